//! That a try begins, on channels whose messages have no id by which WeChat would know a repetition.
//!
//! A claim alone does not say whether a lost process had sent anything. What is marked may have been
//! sent; what is claimed and not marked was not, and is sent by the next claim. The mark is `sent_at`,
//! which says nothing else while a delivery is queued.

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;
use serde::Serialize;

use super::Due;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::DeliveryId;

/// A delivery that is about to be sent.
#[derive(Clone, Debug, Serialize)]
pub struct Begin {
    id: DeliveryId,
    attempt: i32,
    #[serde(serialize_with = "timestamp")]
    leased_until: NaiveDateTime,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

impl Begin {
    /// Of what was claimed at `claimed_at`.
    pub fn new(due: &Due, claimed_at: NaiveDateTime) -> Self {
        Self {
            id: due.id,
            attempt: due.attempts,
            leased_until: due.leased_until,
            now: claimed_at,
        }
    }

    /// Which delivery it is.
    pub fn id(&self) -> DeliveryId {
        self.id
    }
}

#[derive(QueryableByName)]
struct Begun {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
}

/// Marks them. Returns those that may be sent: their claim is still the last one, and nobody has
/// cancelled them since.
pub fn begin(conn: &mut Conn, rows: &[Begin]) -> QueryResult<Vec<DeliveryId>> {
    const BEGIN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("leased_until", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET sent_at = r.now, unsettled_since = r.now FROM {rows} \
              WHERE deliveries.id = r.id AND deliveries.attempts = r.attempt \
              AND deliveries.leased_until = r.leased_until AND deliveries.state = 'queued' AND deliveries.cancelled_at IS NULL \
              RETURNING deliveries.id",
    };
    let mut rows: Vec<&Begin> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    let begun: Vec<Begun> = BEGIN.load(conn, &rows)?;
    Ok(begun.into_iter().map(|begun| begun.id).collect())
}
