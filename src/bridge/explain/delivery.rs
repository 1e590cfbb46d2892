//! What became of the last messages to a staff member.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::facts::Facts;
use super::refusal::Refusal;
use crate::bridge::planning::route_views::RouteView;
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::{Delivery, DeliveryState};

/// One delivery.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryStory {
    /// Row id.
    pub id: DeliveryId,
    /// Its notification.
    pub notification_id: NotificationId,
    /// The message type of that.
    pub message_type: Option<String>,
    /// How far it has come.
    pub state: DeliveryState,
    /// A stable word for why it is in that state.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// The account of the route taken.
    pub app_id: Option<String>,
    /// Tries so far.
    pub attempts: i32,
    /// WeChat's last error.
    pub error: Option<Refusal>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When WeChat took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it is tried next, while it is queued.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it came to its end.
    pub finished_at: Option<DateTime<Utc>>,
    /// The routes that were considered, in order.
    pub routes: Vec<RouteView>,
}

pub(super) fn stories(facts: &Facts) -> Vec<DeliveryStory> {
    facts
        .deliveries
        .iter()
        .map(|one| story(facts, one))
        .collect()
}

fn story(facts: &Facts, delivery: &Delivery) -> DeliveryStory {
    let account = delivery.account_id.and_then(|id| facts.account(id));
    let is_queued = delivery.state == DeliveryState::Queued;
    DeliveryStory {
        id: delivery.id,
        notification_id: delivery.notification_id,
        message_type: facts.types.get(&delivery.notification_id).cloned(),
        state: delivery.state,
        reason: delivery.reason.clone(),
        detail: delivery.detail.clone(),
        app_id: account.map(|account| account.app_id.clone()),
        attempts: delivery.attempts,
        error: facts.refusals.get(&delivery.id).cloned(),
        created_at: delivery.created_at.and_utc(),
        sent_at: delivery
            .sent_at
            .filter(|_| !is_queued)
            .map(|at| at.and_utc()),
        next_attempt_at: delivery.due_at.filter(|_| is_queued).map(|at| at.and_utc()),
        finished_at: delivery.finished_at.map(|at| at.and_utc()),
        routes: facts.routes.considered(delivery),
    }
}
