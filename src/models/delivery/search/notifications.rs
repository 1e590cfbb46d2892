//! Deliveries of a message type or of a time, or all of a project: notification by notification, the
//! newest first, and of each the newest delivery first.

use chrono::NaiveDateTime;

use super::{Filter, filtered};
use crate::db::prelude::*;
use crate::db::schema::{deliveries, notifications};
use crate::db::{Conn, Engine, Sql};
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::walk::{Row, Walked};

/// Deliveries that one page looks at, each found through its notification.
const ROWS: i64 = 200;

/// A page of the deliveries that a filter means, by their notifications.
pub(super) fn ids(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<i64>> {
    let is_exact = Filter {
        message_type: None,
        since: None,
        until: None,
        before: None,
        ..filter.clone()
    } == Filter::default();
    let wanted = limit.max(0) + 1;
    let looked_at = if is_exact { wanted } else { ROWS };
    let Some(sql) = statement(conn, project, filter, looked_at)? else {
        return Ok(Walked::cut(Vec::new(), limit, |id| *id));
    };
    let rows: Vec<Row> = sql.load(conn)?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    if is_exact {
        return Ok(Walked::cut(ids, limit, |id| *id));
    }
    let full = i64::try_from(ids.len()).is_ok_and(|count| count >= ROWS);
    let last = ids.last().copied().filter(|_| full);
    let page = Walked::cut(filtered(conn, project, filter, ids)?, limit, |id| *id);
    Ok(Walked {
        next: page.next.or(last),
        ..page
    })
}

/// Where the page before ended.
#[derive(Queryable)]
struct Place {
    notification: NotificationId,
    created_at: NaiveDateTime,
}

fn place_of(conn: &mut Conn, before: DeliveryId) -> QueryResult<Option<Place>> {
    deliveries::table
        .inner_join(notifications::table)
        .filter(deliveries::id.eq(before))
        .select((notifications::id, notifications::created_at))
        .first(conn)
        .optional()
}

/// The statement that reads the newest of them; none if there can be none.
fn statement(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    rows: i64,
) -> QueryResult<Option<Sql>> {
    let is_timed = filter.since.is_some() || filter.until.is_some();
    let place = match filter.before {
        Some(before) => match place_of(conn, before)? {
            Some(place) => Some((before, place)),
            // What is gone has nothing older behind it: deliveries are deleted from the oldest on.
            None => return Ok(None),
        },
        None => None,
    };
    // With two upper ends SQLite reads from the wrong one.
    let until = filter.until.filter(|until| {
        let is_below = |(_, place): &(_, Place)| place.created_at < *until;
        !place.as_ref().is_some_and(is_below)
    });
    let mut which = Sql::new("n.project_id = ?").bind(project.0);
    if let Some(message_type) = filter.message_type.as_deref() {
        which = which.and(Sql::new(" AND n.message_type = ?").bind(message_type));
    }
    for (condition, time) in [
        (" AND n.created_at >= ?", filter.since),
        (" AND n.created_at < ?", until),
    ] {
        if let Some(time) = time {
            which = which.and(Sql::new(condition).bind(time));
        }
    }
    let mut rest = Sql::default();
    if let Some((before, place)) = place {
        let of = place.notification.0;
        which = which.and(match is_timed {
            true => Sql::new(" AND (n.created_at, n.id) <= (?, ?)")
                .bind(place.created_at)
                .bind(of),
            false => Sql::new(" AND n.id <= ?").bind(of),
        });
        rest = Sql::new(" AND d.id < CASE WHEN n.id = ? THEN ? ELSE ? END")
            .bind(of)
            .bind(before.0)
            .bind(i64::MAX);
    }
    let order = match is_timed {
        true => "n.created_at DESC, n.id DESC",
        false => "n.id DESC",
    };
    // The same, each so that its engine reads both indexes in this order and stops at the limit.
    let sql = match conn.engine() {
        Engine::Postgres => Sql::new(
            "SELECT d.id FROM (SELECT n.id, n.created_at FROM notifications n WHERE {which} \
             ORDER BY {order} LIMIT ?) n CROSS JOIN LATERAL (SELECT d.id FROM deliveries d \
             WHERE d.notification_id = n.id{rest} ORDER BY d.id DESC LIMIT ?) d \
             ORDER BY {order}, d.id DESC LIMIT ?",
        )
        .bind(rows)
        .bind(rows)
        .bind(rows),
        Engine::Sqlite => Sql::new(
            "SELECT d.id AS id FROM notifications n CROSS JOIN deliveries d \
             ON d.notification_id = n.id{rest} WHERE {which} ORDER BY {order}, d.id DESC LIMIT ?",
        )
        .bind(rows),
    };
    let sql = sql.put("{which}", which).put("{rest}", rest);
    Ok(Some(sql.put("{order}", order)))
}
