//! What the app was answered about deliveries, kept where they will not show it any more.

use serde::Serialize;

use crate::db::batch::{Batch, Kind};
use crate::db::{Conn, QueryResult};
use crate::ids::DeliveryId;

/// What was answered about a delivery.
#[derive(Clone, Debug, Serialize)]
pub struct FirstAnswer {
    /// The delivery.
    pub id: DeliveryId,
    /// An [`Answered`](super::Answered) as JSON.
    pub first_answer: String,
}

/// Keeps the first answers of deliveries of which none is kept yet.
pub fn keep_first_answers(conn: &mut Conn, rows: &[FirstAnswer]) -> QueryResult<usize> {
    const KEEP: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("first_answer", Kind::Text)],
        sql: "UPDATE deliveries SET first_answer = r.first_answer FROM {rows} \
              WHERE deliveries.id = r.id AND deliveries.first_answer IS NULL",
    };
    let mut rows: Vec<&FirstAnswer> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    KEEP.execute(conn, &rows)
}
