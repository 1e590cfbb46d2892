//! From recipients to deliveries: what is decided for each of them, and the rows of it.

use chrono::NaiveDateTime;

use super::Usable;
use super::met::Met;
use crate::bridge::decide::{Addressee, Asked, Decision, Known, Reach, decide};
use crate::db::Conn;
use crate::models::delivery::{self, DeliveryState, NewDelivery};
use crate::models::notification::Notification;

/// Stores those of some recipients who were never seen before.
pub(super) fn sight(
    conn: &mut Conn,
    notification: &Notification,
    usable: &Usable,
    whom: &[Addressee<'_>],
) -> diesel::QueryResult<()> {
    let mut reach = Reach::of(conn, notification.project_id, whom.iter().copied())?;
    Met::sight(conn, notification, &usable.accounts, whom, &mut reach)
}

/// Decides for some recipients, and stores their deliveries.
pub(super) fn enqueue(
    conn: &mut Conn,
    notification: &Notification,
    usable: &Usable,
    met: &mut Met,
    whom: &[Addressee<'_>],
) -> diesel::QueryResult<()> {
    let mut reach = Reach::of(conn, notification.project_id, whom.iter().copied())?;
    Met::sight(conn, notification, &usable.accounts, whom, &mut reach)?;
    let known = reach.known();
    let at = notification.created_at;
    let decided = decided(conn, usable, (met, at), whom, &known)?;
    let rows: Vec<NewDelivery<'_>> = decided
        .iter()
        .map(|decision| row(decision, notification))
        .collect();
    delivery::insert_many(conn, &rows)
}

/// Decides for those who were not met before, in their order.
pub(super) fn decided<'a>(
    conn: &mut Conn,
    usable: &'a Usable,
    (met, now): (&mut Met, NaiveDateTime),
    whom: &[Addressee<'a>],
    known: &Known<'a>,
) -> diesel::QueryResult<Vec<Decision<'a>>> {
    let asked: Vec<Asked<'a>> = whom
        .iter()
        .filter(|whom| met.is_new(**whom, known))
        .map(|whom| Asked {
            whom: *whom,
            prepared: &usable.prepared,
            senders: &usable.senders,
            from: 0,
        })
        .collect();
    decide(conn, known, &asked, now)
}

fn row<'a>(decision: &'a Decision<'_>, notification: &Notification) -> NewDelivery<'a> {
    let now = notification.created_at;
    let (way, why) = match &decision.way {
        Ok(way) => (Some(way), None),
        Err(why) => (None, Some(why)),
    };
    NewDelivery {
        notification_id: notification.id,
        project_id: notification.project_id,
        staff_id: decision.staff_id,
        recipient: decision.whom.recipient(),
        staff_name: decision.name,
        account_id: way.and_then(|(_, to)| to.account_id),
        identity_id: way.and_then(|(_, to)| to.identity_id),
        openid: way.and_then(|(_, to)| to.openid.as_deref()),
        route: way.map(|(route, _)| *route),
        priority: notification.priority.rank(),
        state: match way {
            Some(_) => DeliveryState::Queued,
            None => DeliveryState::Unreachable,
        },
        reason: why.map(|(reason, _)| *reason),
        detail: why.map(|(_, detail)| detail.as_str()),
        considered: decision.considered(Vec::new()),
        due_at: way
            .and(notification.send_at)
            .filter(|send_at| *send_at > now),
        created_at: now,
    }
}
