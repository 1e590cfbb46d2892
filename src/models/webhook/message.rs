//! What is recorded for endpoints: one row for each event and endpoint.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::schema::webhook_messages as m;
use crate::db::{Conn, Engine, text_enum};
use crate::ids::{WebhookId, WebhookMessageId};

text_enum! {
    /// What became of an event for an endpoint.
    pub enum MessageState {
        /// To be posted, or posted again.
        Queued = "queued",
        /// The endpoint answered 2xx.
        Sent = "sent",
        /// Given up after a day of tries.
        Failed = "failed",
    }
}

/// An event to post to an endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct NewMessage<'a> {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The webhook-id, the same for every endpoint.
    pub uid: &'a str,
    /// The event type.
    pub kind: &'a str,
    /// Whose events are kept in order.
    pub person: Option<&'a str>,
    /// The body, word for word.
    pub body: &'a str,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Records events, in the given order, due at once.
pub fn insert_many(conn: &mut Conn, rows: &[NewMessage<'_>]) -> QueryResult<usize> {
    const INSERT: Batch = Batch {
        columns: &[
            ("webhook_id", Kind::BigInt),
            ("uid", Kind::Text),
            ("kind", Kind::Text),
            ("person", Kind::Text),
            ("body", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO webhook_messages (webhook_id, uid, kind, person, body, state, attempts, \
              due_at, created_at) SELECT r.webhook_id, r.uid, r.kind, r.person, r.body, 'queued', \
              0, r.now, r.now FROM {rows}",
    };
    INSERT.execute(conn, rows)
}

/// Whether the oldest row is from before `before`.
pub fn has_older(conn: &mut Conn, before: NaiveDateTime) -> QueryResult<bool> {
    let oldest: Option<NaiveDateTime> = m::table
        .order(m::id)
        .select(m::created_at)
        .first(conn)
        .optional()?;
    Ok(oldest.is_some_and(|at| at < before))
}

/// Deletes up to `limit` of the oldest rows, those from before `before`. Returns how many.
pub fn prune(conn: &mut Conn, before: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    let oldest: Vec<(WebhookMessageId, NaiveDateTime)> = m::table
        .order(m::id)
        .limit(limit)
        .select((m::id, m::created_at))
        .load(conn)?;
    let old = oldest.into_iter().filter(|(_, at)| *at < before);
    let old: Vec<WebhookMessageId> = old.map(|(id, _)| id).collect();
    if old.is_empty() {
        return Ok(0);
    }
    diesel::delete(m::table.filter(m::id.eq_any(old))).execute(conn)
}

/// How many bytes a body has, in SQL, without reading it where the database can tell.
pub(super) fn size_of_body(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "octet_length(body)",
        Engine::Sqlite => "length(CAST(body AS BLOB))",
    }
}
