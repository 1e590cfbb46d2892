//! From recipients to deliveries: what is decided for each of them, and the rows of it.

use std::borrow::Cow;

use chrono::NaiveDateTime;

use super::ResolvedRequest;
use super::deduplicator::Deduplicator;
use crate::bridge::planning::await_consent::Waiting;
use crate::bridge::planning::decide::{Asked, Decision, Known, Reach, RecipientKey, decide};
use crate::bridge::planning::senders::channel_of;
use crate::db::{Conn, QueryResult};
use crate::models::delivery::transitions::{
    self, NewDelivery, PlannedRoute, Recipient, SharedByNotification,
};
use crate::models::notification::Notification;

/// Stores those of some recipients who were never seen before.
pub(super) fn record_unseen(
    conn: &mut Conn,
    notification: &Notification,
    usable: &ResolvedRequest,
    whom: &[RecipientKey<'_>],
) -> QueryResult<()> {
    let mut reach = Reach::of(conn, notification.project_id, whom.iter().copied())?;
    Deduplicator::record_unseen(conn, notification, &usable.accounts, whom, &mut reach)
}

/// Decides for some recipients, and stores their deliveries.
pub(super) fn enqueue(
    conn: &mut Conn,
    (notification, shared): (&Notification, SharedByNotification),
    usable: &ResolvedRequest,
    seen: &mut Deduplicator,
    whom: &[RecipientKey<'_>],
) -> QueryResult<()> {
    let mut reach = Reach::of(conn, notification.project_id, whom.iter().copied())?;
    Deduplicator::record_unseen(conn, notification, &usable.accounts, whom, &mut reach)?;
    let known = reach.known();
    let at = notification.created_at;
    let decided = decided(conn, usable, (seen, at), whom, &known)?;
    let rows: Vec<NewDelivery<'_>> = decided
        .iter()
        .map(|decision| row(decision, (notification, shared), usable))
        .collect();
    transitions::insert_many(conn, &rows)
}

/// Decides for those who were not seen before, in their order.
pub(super) fn decided<'a>(
    conn: &mut Conn,
    usable: &'a ResolvedRequest,
    (seen, now): (&mut Deduplicator, NaiveDateTime),
    whom: &[RecipientKey<'a>],
    known: &Known<'a>,
) -> QueryResult<Vec<Decision<'a>>> {
    let asked: Vec<Asked<'a>> = whom
        .iter()
        .filter(|whom| seen.is_new(**whom, known))
        .map(|whom| Asked {
            whom: *whom,
            prepared: &usable.prepared,
            senders: &usable.senders,
            from: 0,
        })
        .collect();
    decide(conn, known, &asked, now)
}

fn row<'a>(
    decision: &'a Decision<'_>,
    (notification, shared): (&Notification, SharedByNotification),
    usable: &ResolvedRequest,
) -> NewDelivery<'a> {
    let now = notification.created_at;
    let to = Recipient {
        shared,
        staff_id: decision.staff_id,
        recipient: decision.whom.recipient(),
        staff_name: decision.name,
        considered: decision.considered(Vec::new()),
    };
    let send_at = notification.send_at.filter(|send_at| *send_at > now);
    let times = (send_at.unwrap_or(now), notification.expires_at);
    let waiting = Waiting::of(decision, usable.consent_wait, times, now);
    let way = match (&decision.way, &waiting) {
        (Ok((route, to)), _) => (*route, *to),
        (Err(_), Some(waiting)) => (waiting.route, waiting.to),
        (Err((reason, detail)), None) => {
            let why = (*reason, Cow::Borrowed(detail.as_str()));
            return transitions::not_reached(to, why);
        }
    };
    let route = PlannedRoute {
        route: way.0,
        channel: channel_of(&usable.senders, way.0),
        account_id: way.1.account_id,
        identity_id: way.1.identity_id,
        openid: way.1.openid.as_deref(),
        // One that waits for consent is claimed at once as well: the consent may have come while this was decided.
        due_at: send_at,
    };
    let waits = waiting.map(|waiting| (waiting.reason, Cow::Owned(waiting.detail)));
    transitions::accepted(to, route, waits)
}
