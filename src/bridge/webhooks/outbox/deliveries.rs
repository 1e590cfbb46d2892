//! What became of deliveries.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers};
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, IdentityId, NotificationId};
use crate::models::delivery::DeliveryState;
use crate::models::delivery::transitions::Outcome;
use crate::models::webhook::{self, DeliveryFact};

/// What the row of a delivery shows if its outcome was recorded, and not another one that came
/// first.
type Shown = (DeliveryState, i32, Option<i64>);

fn was_recorded(fact: &DeliveryFact, (state, attempt, msgid): Shown) -> bool {
    let same = match msgid {
        Some(_) => msgid == fact.msgid,
        None => attempt == fact.attempts,
    };
    state == fact.state && same
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryEvent)]
pub(super) struct Data<'a> {
    delivery_id: DeliveryId,
    notification_id: NotificationId,
    message_type: &'a str,
    staff_id: Option<&'a str>,
    /// The person, where they were not asked for by staff id, as the app named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient: Option<&'a RawValue>,
    state: DeliveryState,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    identity_id: Option<IdentityId>,
    app_id: Option<&'a str>,
    openid: Option<&'a str>,
    unionid: Option<&'a str>,
    route: Option<i32>,
    attempts: i32,
    msgid: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// Which event a state is told by. One that is cancelled was cancelled by the business itself.
fn kind(state: DeliveryState) -> Option<EventKind> {
    match state {
        DeliveryState::Queued | DeliveryState::Cancelled => None,
        DeliveryState::Sent => Some(EventKind::Sent),
        DeliveryState::Delivered => Some(EventKind::Delivered),
        DeliveryState::Failed
        | DeliveryState::Unreachable
        | DeliveryState::Unknown
        | DeliveryState::NoReceipt
        | DeliveryState::Expired => Some(EventKind::Failed),
    }
}

/// Tells of what came of tries, once that is in the database.
pub(crate) fn sends(
    conn: &mut Conn,
    outcomes: &[Outcome],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let told = outcomes.iter().filter(|row| kind(row.state()).is_some());
    let shown: HashMap<DeliveryId, Shown> = told
        .map(|row| (row.id, (row.state(), row.attempt, row.msgid)))
        .collect();
    let ids: Vec<DeliveryId> = shown.keys().copied().collect();
    changed(conn, &ids, now, |fact| {
        let shown = shown.get(&fact.delivery_id);
        shown.is_some_and(|shown| was_recorded(fact, *shown))
    })
}

/// Tells of deliveries that came to their end, once that is in the database.
pub(crate) fn ended(conn: &mut Conn, ids: &[DeliveryId], now: NaiveDateTime) -> QueryResult<usize> {
    changed(conn, ids, now, |_| true)
}

fn changed(
    conn: &mut Conn,
    ids: &[DeliveryId],
    now: NaiveDateTime,
    made: impl Fn(&DeliveryFact) -> bool,
) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants(&[EventKind::Sent, EventKind::Delivered, EventKind::Failed]) {
        return Ok(0);
    }
    let mut events = Vec::new();
    for fact in webhook::deliveries(conn, ids)? {
        let kind = kind(fact.state).filter(|_| made(&fact));
        if let Some(kind) = kind.filter(|kind| subscribers.wants_in(fact.project_id, *kind)) {
            events.push(event_of(&fact, kind, now)?);
        }
    }
    subscribers.publish(conn, &events, now)
}

fn event_of(fact: &DeliveryFact, kind: EventKind, now: NaiveDateTime) -> QueryResult<Event> {
    let utc = |time: Option<NaiveDateTime>| time.map(|time| time.and_utc());
    let app_id = fact.app_id.as_deref();
    let recipient = fact.recipient.as_deref();
    let data = Data {
        delivery_id: fact.delivery_id,
        notification_id: fact.notification_id,
        message_type: &fact.message_type,
        staff_id: fact.staff_id.as_deref(),
        recipient: recipient.and_then(|json| serde_json::from_str(json).ok()),
        state: fact.state,
        reason: fact.reason.as_deref(),
        detail: fact.detail.as_deref(),
        identity_id: fact.identity_id,
        app_id,
        openid: fact.openid.as_deref(),
        unionid: fact.unionid.as_deref(),
        route: fact.route,
        attempts: fact.attempts,
        msgid: fact.msgid.map(|msgid| msgid.to_string()),
        sent_at: utc(fact.sent_at),
        finished_at: utc(fact.finished_at),
    };
    let event = Event::new(fact.project_id, kind, now, &data)?;
    Ok(event.of_account(app_id).of_identity(fact.identity_id))
}
