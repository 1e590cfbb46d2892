//! Attempts: each try of a delivery, with what came of it.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::attempts, text_enum};
use crate::ids::{AttemptId, DeliveryId};

text_enum! {
    /// What came of one try.
    pub enum AttemptOutcome {
        /// WeChat, or the endpoint, took the message.
        Accepted = "accepted",
        /// It was refused.
        Refused = "refused",
        /// It did not leave.
        NotSent = "not_sent",
        /// It may have been taken.
        Ambiguous = "ambiguous",
        /// The process stopped, or took too long, before it recorded what came of it.
        Interrupted = "interrupted",
    }
}

/// An attempt.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = attempts)]
pub struct Attempt {
    /// Row id.
    pub id: AttemptId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// 1 for the first try.
    pub number: i32,
    /// UTC.
    pub started_at: NaiveDateTime,
    /// UTC.
    pub finished_at: NaiveDateTime,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// WeChat's error code, if it gave one.
    pub errcode: Option<i64>,
    /// The call that WeChat refused, as it is counted.
    pub call: Option<String>,
    /// WeChat's own words.
    pub errmsg: Option<String>,
    /// WeChat's id of the request.
    pub rid: Option<String>,
    /// What happened, in words.
    pub detail: Option<String>,
}

/// An attempt to store.
#[derive(Clone, Debug, Serialize)]
pub struct NewAttempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// 1 for the first try.
    pub number: i32,
    /// UTC.
    #[serde(serialize_with = "timestamp")]
    pub started_at: NaiveDateTime,
    /// UTC.
    #[serde(serialize_with = "timestamp")]
    pub finished_at: NaiveDateTime,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// WeChat's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errcode: Option<i64>,
    /// The call that WeChat refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<&'static str>,
    /// WeChat's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errmsg: Option<String>,
    /// WeChat's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

const COLUMNS: &[(&str, Kind)] = &[
    ("delivery_id", Kind::BigInt),
    ("number", Kind::Integer),
    ("started_at", Kind::Timestamp),
    ("finished_at", Kind::Timestamp),
    ("outcome", Kind::Text),
    ("errcode", Kind::BigInt),
    ("call", Kind::Text),
    ("errmsg", Kind::Text),
    ("rid", Kind::Text),
    ("detail", Kind::Text),
];

/// Stores attempts.
pub fn insert_many(conn: &mut Conn, rows: &[NewAttempt]) -> QueryResult<()> {
    const INSERT: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, \
              errcode, call, errmsg, rid, detail) SELECT r.delivery_id, r.number, r.started_at, r.finished_at, \
              r.outcome, r.errcode, r.call, r.errmsg, r.rid, r.detail FROM {rows}",
    };
    INSERT.execute(conn, rows).map(drop)
}

/// Stores attempts of which nothing is stored yet.
pub fn insert_missing(conn: &mut Conn, rows: &[NewAttempt]) -> QueryResult<()> {
    const INSERT: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, \
              errcode, call, errmsg, rid, detail) SELECT r.delivery_id, r.number, r.started_at, r.finished_at, \
              r.outcome, r.errcode, r.call, r.errmsg, r.rid, r.detail FROM {rows} WHERE NOT EXISTS (SELECT 1 FROM attempts a \
              WHERE a.delivery_id = r.delivery_id AND a.number = r.number)",
    };
    INSERT.execute(conn, rows).map(drop)
}

/// Whether what came of this try is stored. Another try of the same number is not this one: a number is
/// given back with a claim.
pub fn is_stored(conn: &mut Conn, row: &NewAttempt) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        attempts::table
            .filter(attempts::delivery_id.eq(row.delivery_id))
            .filter(attempts::number.eq(row.number))
            .filter(attempts::started_at.eq(row.started_at))
            .filter(attempts::outcome.ne("interrupted")),
    ))
    .get_result(conn)
}

/// The attempts of the given deliveries, in order.
pub fn of_deliveries(conn: &mut Conn, ids: &[DeliveryId]) -> QueryResult<Vec<Attempt>> {
    attempts::table
        .filter(attempts::delivery_id.eq_any(ids))
        .order((attempts::delivery_id, attempts::number, attempts::id))
        .select(Attempt::as_select())
        .load(conn)
}
