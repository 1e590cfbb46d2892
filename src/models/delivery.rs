//! Deliveries: one notification to one person each, and the outbox of what is to be sent.

mod ahead;
pub mod attempt;
mod begin;
mod cancel;
mod claim;
mod consent;
mod ends;
mod first_answer;
mod holds;
mod overdue;
mod progress;
mod queue;
mod reason;
pub mod receipt;
mod replan;
mod reroute;
mod search;
mod still_unreachable;
pub mod transitions;
mod withdrawn;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::db::prelude::*;
use crate::db::{Conn, schema::deliveries, text_enum};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, VersionId};

pub use ahead::{forget_pauses, is_ahead, make_all_due, shorten_leases};
pub use begin::{Begin, begin};
pub use cancel::{accounts_of, cancel};
pub use claim::{
    Claim, Claimed, Due, Ended, Head, NO_ACCOUNT, Postponed, are_ours, claim_due, heads, make_due,
    release, resume_asked, rouse,
};
pub use consent::consented;
pub use ends::{End, ends, ends_of};
pub use first_answer::{FirstAnswer, keep_first_answers};
pub use holds::{MOST_ASTRAY, astray};
pub use overdue::{OverdueRound, close_overdue, has_overdue};
pub use progress::{begin_counting, counts};
pub use queue::{COUNTED, QueueState, queue_lengths};
pub use reason::{AtFault, Reason, RetryRefusal};
pub use replan::{Replanned, replan};
pub use reroute::{RerouteCandidate, RoutesExhausted, end, reroute_candidates};
pub use search::{Filter, latest_of_staff, search};
pub use still_unreachable::{StillUnreachable, explain_again};
pub use withdrawn::{Going, Withdrawn, withdrawn};

/// What a delivery sends: a notification, over the routes that it was accepted with or, after a retry
/// by hand, over those that its message type had then.
pub type Edition = (NotificationId, Option<VersionId>);

text_enum! {
    /// How far a delivery has come.
    pub enum DeliveryState {
        /// To be sent, or being sent.
        Queued = "queued",
        /// WeChat accepted it; the receipt has not come yet.
        Sent = "sent",
        /// WeChat says that it arrived.
        Delivered = "delivered",
        /// It will not arrive; `reason` says why.
        Failed = "failed",
        /// There was no way to reach the person when the request was accepted.
        Unreachable = "unreachable",
        /// It may or may not have been sent; trying again could notify twice.
        Unknown = "unknown",
        /// WeChat accepted it, and the receipt did not come in time. One that comes later counts.
        NoReceipt = "no_receipt",
        /// It was not sent in the time in which it was of use.
        Expired = "expired",
        /// Its notification was cancelled before it was sent.
        Cancelled = "cancelled",
    }
}

/// A delivery.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct Delivery {
    /// Row id.
    pub id: DeliveryId,
    /// The notification.
    pub notification_id: NotificationId,
    /// The staff member, as the app named them; none for a person who is not one.
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id: a
    /// [`Person`](crate::models::staff::Person) as JSON.
    pub recipient: Option<String>,
    /// The account of the route taken.
    pub account_id: Option<AccountId>,
    /// The identity it goes to.
    pub identity_id: Option<IdentityId>,
    /// That identity's openid.
    pub openid: Option<String>,
    /// Which of the message type's routes, from 0.
    pub route: Option<i32>,
    /// How far it has come.
    pub state: DeliveryState,
    /// A stable word for why it is in that state.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// The routes that were considered and left, as JSON; none where the first was taken.
    pub considered: Option<String>,
    /// Tries so far.
    pub attempts: i32,
    /// Those of them before it was last retried by hand.
    pub spent: i32,
    /// When it is tried next, UTC.
    pub due_at: Option<NaiveDateTime>,
    /// WeChat's id of the message.
    pub msgid: Option<i64>,
    /// When WeChat accepted it, UTC. While it is queued: when a try of it began, on channels without
    /// an id.
    pub sent_at: Option<NaiveDateTime>,
    /// When it came to its end, UTC.
    pub finished_at: Option<NaiveDateTime>,
    /// When it was accepted, UTC.
    pub created_at: NaiveDateTime,
    /// The routes it uses, if they are not the notification's own.
    pub routes_id: Option<VersionId>,
    /// What the app was told of it, once that differs from its state: an [`Answered`] as JSON.
    pub first_answer: Option<String>,
}

impl Delivery {
    /// What it sends.
    pub fn edition(&self) -> Edition {
        (self.notification_id, self.routes_id)
    }

    /// What the app was told of it when the request was accepted.
    pub fn answered(&self) -> String {
        let known = self.first_answer.clone();
        known.unwrap_or_else(|| {
            let (reason, detail) = (self.reason.as_deref(), self.detail.as_deref());
            Answered::of(self.state, reason, detail).to_json()
        })
    }
}

/// What an app was told of a delivery when its request was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// `queued` or `unreachable`.
    pub state: DeliveryState,
    /// A stable word for why it is not simply sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Answered {
    /// What was told of a delivery that has no [`Delivery::first_answer`]: what became of it since
    /// then was not told.
    pub fn of(state: DeliveryState, reason: Option<&str>, detail: Option<&str>) -> Self {
        let is_waiting =
            state == DeliveryState::Queued && reason == Some(Reason::WaitingForConsent.as_str());
        let is_unreachable = state == DeliveryState::Unreachable;
        let is_told = is_waiting || is_unreachable;
        let shown = |text: Option<&str>| text.filter(|_| is_told).map(str::to_owned);
        Self {
            state: match is_unreachable {
                true => DeliveryState::Unreachable,
                false => DeliveryState::Queued,
            },
            reason: shown(reason),
            detail: shown(detail),
        }
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        // JSON of strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A page of a notification's deliveries, in the order of acceptance, with ids above `after`.
pub fn of_notification(
    conn: &mut Conn,
    notification: NotificationId,
    after: Option<DeliveryId>,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    deliveries::table
        .filter(deliveries::notification_id.eq(notification))
        .filter(deliveries::id.gt(after.unwrap_or(DeliveryId(0))))
        .order(deliveries::id)
        .limit(limit)
        .select(Delivery::as_select())
        .load(conn)
}

/// What was decided for one person when the request was accepted.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct Decided {
    /// Row id.
    pub id: DeliveryId,
    /// The staff member, as the app named them; none for a person who is not one.
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id.
    pub recipient: Option<String>,
    /// The state by now.
    pub state: DeliveryState,
    /// A stable word for why it is in that state.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// What the app was told, once that differs from the state.
    pub first_answer: Option<String>,
}

impl Decided {
    /// What the app was told, whatever became of the delivery since then.
    pub fn answered(&self) -> Answered {
        let stored = self.first_answer.as_deref();
        let stored = stored.and_then(|json| serde_json::from_str(json).ok());
        let (reason, detail) = (self.reason.as_deref(), self.detail.as_deref());
        stored.unwrap_or_else(|| Answered::of(self.state, reason, detail))
    }
}

/// Deliveries of a notification in short, in the order of acceptance, with ids above `after`.
pub fn verdicts(
    conn: &mut Conn,
    notification: NotificationId,
    after: DeliveryId,
    limit: i64,
) -> QueryResult<Vec<Decided>> {
    deliveries::table
        .filter(deliveries::notification_id.eq(notification))
        .filter(deliveries::id.gt(after))
        .order(deliveries::id)
        .limit(limit)
        .select(Decided::as_select())
        .load(conn)
}
