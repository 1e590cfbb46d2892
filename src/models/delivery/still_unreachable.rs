//! Deliveries that were retried by hand, and that still nothing leads to.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Reason;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::DeliveryId;

/// A delivery for which there is no way by now either.
#[derive(Clone, Debug, Serialize)]
pub struct StillUnreachable {
    /// The delivery.
    pub id: DeliveryId,
    /// A stable word for why.
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
    /// The routes, each with the reason, as JSON.
    pub considered: Option<String>,
    /// What the app was told of it.
    pub first_answer: String,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Writes why deliveries are unreachable now, which may be for another reason than before.
pub fn explain_again(conn: &mut Conn, rows: &[StillUnreachable]) -> QueryResult<usize> {
    const EXPLAIN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("considered", Kind::Text),
            ("first_answer", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET reason = r.reason, detail = r.detail, \
              considered = r.considered, finished_at = r.now, \
              first_answer = COALESCE(deliveries.first_answer, r.first_answer) \
              FROM {rows} WHERE deliveries.id = r.id AND deliveries.state = 'unreachable'",
    };
    let mut rows: Vec<&StillUnreachable> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    EXPLAIN.execute(conn, &rows)
}
