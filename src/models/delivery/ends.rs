//! Deliveries that came to their end, counted by what they have in common.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;

use super::DeliveryState;
use super::transitions::Outcome;
use crate::db::batch::{Batch, Kind};
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, NotificationId};

/// Deliveries of one notification that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct End {
    /// The notification.
    #[diesel(sql_type = BigInt)]
    pub notification_id: NotificationId,
    /// The account of the route, if it has one.
    #[diesel(sql_type = Nullable<Text>)]
    pub app_id: Option<String>,
    /// How they ended.
    #[diesel(sql_type = Text)]
    pub state: DeliveryState,
    /// A stable word for why.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// The same in a sentence, of one of them.
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

#[derive(Serialize)]
struct Row {
    id: DeliveryId,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i32>,
}

/// Of these deliveries those that are at their end now, with the reasons that they have now.
pub fn ends(conn: &mut Conn, ids: &[DeliveryId]) -> QueryResult<Vec<End>> {
    let rows = ids.iter().map(|id| Row {
        id: *id,
        attempt: None,
    });
    find(conn, &rows.collect::<Vec<_>>())
}

/// Of what was recorded, what came to its end by it, and did not go on to another route.
pub fn ends_of(conn: &mut Conn, outcomes: &[Outcome]) -> QueryResult<Vec<End>> {
    let ended = outcomes.iter().filter(|row| row.is_end());
    let rows = ended.map(|row| Row {
        id: row.id,
        attempt: Some(row.attempt),
    });
    find(conn, &rows.collect::<Vec<_>>())
}

fn find(conn: &mut Conn, rows: &[Row]) -> QueryResult<Vec<End>> {
    const ENDS: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("attempt", Kind::Integer)],
        sql: "SELECT d.notification_id, a.app_id, d.state, d.reason, MIN(d.detail) AS detail, \
              COUNT(*) AS count FROM {rows} JOIN deliveries d ON d.id = r.id \
              LEFT JOIN accounts a ON a.id = d.account_id \
              WHERE d.state NOT IN ('queued', 'sent') \
              AND (r.attempt IS NULL OR d.attempts = r.attempt) \
              GROUP BY d.notification_id, a.app_id, d.state, d.reason",
    };
    ENDS.load(conn, rows)
}
