//! What the app was told of deliveries, kept where they will not show it any more.

use serde::Serialize;

use crate::db::batch::{Batch, Kind};
use crate::db::{Conn, QueryResult};
use crate::ids::DeliveryId;

/// What was told of a delivery.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The delivery.
    pub id: DeliveryId,
    /// An [`Answered`](super::Answered) as JSON.
    pub first_answer: String,
}

/// Keeps what was told of deliveries of which that is not kept yet.
pub fn keep_told(conn: &mut Conn, rows: &[Told]) -> QueryResult<usize> {
    const KEEP: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("first_answer", Kind::Text)],
        sql: "UPDATE deliveries SET first_answer = r.first_answer FROM {rows} \
              WHERE deliveries.id = r.id AND deliveries.first_answer IS NULL",
    };
    let mut rows: Vec<&Told> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    KEEP.execute(conn, &rows)
}
