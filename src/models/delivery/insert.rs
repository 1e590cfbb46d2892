//! Storing the deliveries of a notification.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::NewDelivery;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::{Conn, QueryResult};
use crate::ids::{NotificationId, ProjectId};

/// Rows in one statement; bounds the JSON that the database has to hold at once.
const CHUNK: usize = 5_000;

const INSERT: Batch = Batch {
    columns: &[
        ("staff_id", Kind::Text),
        ("recipient", Kind::Text),
        ("staff_name", Kind::Text),
        ("account_id", Kind::BigInt),
        ("identity_id", Kind::BigInt),
        ("openid", Kind::Text),
        ("route", Kind::Integer),
        ("ended", Kind::Text),
        ("reason", Kind::Text),
        ("detail", Kind::Text),
        ("considered", Kind::Text),
        ("due_at", Kind::Timestamp),
    ],
    sql: "INSERT INTO deliveries (notification_id, project_id, staff_id, recipient, staff_name, \
          account_id, identity_id, openid, route, priority, state, reason, detail, considered, \
          attempts, spent, begun_at, due_at, finished_at, created_at) SELECT s.notification_id, \
          s.project_id, r.staff_id, r.recipient, r.staff_name, r.account_id, r.identity_id, \
          r.openid, r.route, s.priority, COALESCE(r.ended, 'queued'), r.reason, r.detail, \
          r.considered, 0, 0, COALESCE(r.due_at, s.created_at), \
          CASE WHEN r.ended IS NULL THEN COALESCE(r.due_at, s.created_at) END, \
          CASE WHEN r.ended IS NOT NULL THEN s.created_at END, s.created_at \
          FROM {rows} CROSS JOIN {shared}",
};

/// What the deliveries of a notification have in common.
#[derive(PartialEq, Eq, Serialize)]
struct Shared {
    notification_id: NotificationId,
    project_id: ProjectId,
    priority: i32,
    #[serde(serialize_with = "timestamp")]
    created_at: NaiveDateTime,
}

const SHARED: &[(&str, Kind)] = &[
    ("notification_id", Kind::BigInt),
    ("project_id", Kind::BigInt),
    ("priority", Kind::Integer),
    ("created_at", Kind::Timestamp),
];

impl Shared {
    fn of(row: &NewDelivery<'_>) -> Self {
        Self {
            notification_id: row.notification_id,
            project_id: row.project_id,
            priority: row.priority,
            created_at: row.created_at,
        }
    }
}

/// Stores deliveries, in the given order.
pub fn insert_many(conn: &mut Conn, rows: &[NewDelivery<'_>]) -> QueryResult<()> {
    let alike = rows.chunk_by(|one, next| Shared::of(one) == Shared::of(next));
    for chunk in alike.flat_map(|rows| rows.chunks(CHUNK)) {
        let Some(first) = chunk.first() else { continue };
        INSERT.execute_sharing(conn, SHARED, &Shared::of(first), chunk)?;
    }
    Ok(())
}
