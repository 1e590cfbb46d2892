//! From staff ids to deliveries: what is decided for each staff member, and the rows of it.

use std::collections::HashMap;

use crate::bridge::plan::{Plan, Sender, plan};
use crate::bridge::prepared::Prepared;
use crate::bridge::route::{FieldError, Recipient};
use crate::db::Conn;
use crate::models::delivery::{self, DeliveryState, NewDelivery};
use crate::models::notification::Notification;
use crate::models::staff::{self, ReachRow};

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
    let decided: Vec<Decision<'_>> = asked
        .iter()
        .map(|&staff_id| decide(staff_id, rows_of(&known, staff_id), prepared, senders))
        .collect();
    let rows: Vec<NewDelivery<'_>> = decided
        .iter()
        .map(|decision| decision.to_row(notification))
        .collect();
    delivery::insert_many(conn, &rows)
}

/// What is known of each staff member.
pub(super) type Known<'a> = HashMap<&'a str, Vec<&'a ReachRow>>;

pub(super) fn by_staff_id(reach: &[ReachRow]) -> Known<'_> {
    let mut known = Known::with_capacity(reach.len());
    for row in reach {
        known.entry(row.staff_id.as_str()).or_default().push(row);
    }
    known
}

pub(super) fn rows_of<'k, 'a>(known: &'k Known<'a>, staff_id: &str) -> &'k [&'a ReachRow] {
    known.get(staff_id).map_or(&[], Vec::as_slice)
}

/// What is decided for one staff member.
pub(super) struct Decision<'a> {
    staff_id: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) way: Result<(i32, &'a ReachRow), (&'static str, String)>,
}

pub(super) fn decide<'a>(
    staff_id: &'a str,
    rows: &[&'a ReachRow],
    prepared: &Prepared,
    senders: &[Sender],
) -> Decision<'a> {
    let name = rows.first().and_then(|row| row.name.as_deref());
    let way = match plan(rows, senders) {
        Plan::Unreachable { reason, detail } => Err((reason.as_str(), detail)),
        Plan::Send { route, to } => sendable(prepared, route, staff_id, name)
            .map(|number| (number, to))
            .map_err(|error| {
                (
                    "not_renderable",
                    format!("The message has no text for this staff member: {error}."),
                )
            }),
    };
    Decision {
        staff_id,
        name,
        way,
    }
}

/// Whether a route can be filled in for this very staff member: a name may be missing.
fn sendable(
    prepared: &Prepared,
    route: usize,
    id: &str,
    name: Option<&str>,
) -> Result<i32, FieldError> {
    if prepared.mentions_staff(route) {
        prepared.render(route, Recipient { id, name })?;
    }
    i32::try_from(route).map_err(|_| FieldError::new("routes", "are too many"))
}

impl Decision<'_> {
    fn to_row(&self, notification: &Notification) -> NewDelivery<'_> {
        let now = notification.created_at;
        let (way, why) = match &self.way {
            Ok(way) => (Some(way), None),
            Err(why) => (None, Some(why)),
        };
        NewDelivery {
            notification_id: notification.id,
            project_id: notification.project_id,
            staff_id: self.staff_id,
            staff_name: self.name,
            account_id: way.and_then(|(_, to)| to.account_id),
            identity_id: way.and_then(|(_, to)| to.identity_id),
            openid: way.and_then(|(_, to)| to.openid.as_deref()),
            route: way.map(|(route, _)| *route),
            state: match way {
                Some(_) => DeliveryState::Queued,
                None => DeliveryState::Unreachable,
            },
            reason: why.map(|(reason, _)| *reason),
            detail: why.map(|(_, detail)| detail.as_str()),
            due_at: way.map(|_| notification.send_at.map_or(now, |send_at| send_at.max(now))),
            finished_at: why.map(|_| now),
            created_at: now,
        }
    }
}
