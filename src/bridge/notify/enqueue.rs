//! From staff ids to deliveries: what is decided for each staff member, and the rows of it.

use crate::bridge::decide::{Asked, Decision, by_staff_id, decide};
use crate::bridge::plan::Sender;
use crate::bridge::prepared::Prepared;
use crate::db::Conn;
use crate::models::delivery::{self, DeliveryState, NewDelivery};
use crate::models::notification::Notification;
use crate::models::staff;

/// Decides for some staff members, and stores their deliveries.
pub(super) fn enqueue(
    conn: &mut Conn,
    notification: &Notification,
    prepared: &Prepared,
    senders: &[Sender],
    staff_ids: &[String],
) -> diesel::QueryResult<()> {
    let asked: Vec<&str> = staff_ids.iter().map(String::as_str).collect();
    let reach = staff::reach(conn, notification.project_id, &asked)?;
    let known = by_staff_id(&reach);
    let asked: Vec<Asked<'_>> = asked
        .into_iter()
        .map(|staff_id| Asked {
            staff_id,
            prepared,
            senders,
            from: 0,
        })
        .collect();
    let decided = decide(conn, &known, &asked)?;
    let rows: Vec<NewDelivery<'_>> = decided
        .iter()
        .map(|decision| row(decision, notification))
        .collect();
    delivery::insert_many(conn, &rows)
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
        due_at: way.map(|_| notification.send_at.map_or(now, |send_at| send_at.max(now))),
        finished_at: why.map(|_| now),
        created_at: now,
    }
}
