//! Turns of sending. An endpoint is leased as a whole to one process at a time, which keeps the
//! order of a person's events without a lock on any of them, and one endpoint from another's way.

use std::collections::HashSet;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::{exists, sql};
use diesel::sql_types::{BigInt, Integer, Timestamp};
use serde::Serialize;

use super::message::size_of_body;
use super::{MessageState, Webhook, WebhookState};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::schema::{webhook_messages as m, webhooks as w};
use crate::db::{Conn, on_engine, statement};
use crate::ids::{WebhookId, WebhookMessageId};
use crate::models::walk::fitting;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: WebhookId,
}

/// The endpoints that may be posted to now and have something due that does not have to wait for
/// an earlier event of the same person.
pub fn due(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<Vec<WebhookId>> {
    let found: Vec<Found> = statement(
        conn,
        "SELECT w.id FROM webhooks w WHERE w.state = 'enabled' \
         AND (w.paused_until IS NULL OR w.paused_until <= $1) \
         AND (w.leased_until IS NULL OR w.leased_until <= $1) \
         AND EXISTS (SELECT 1 FROM webhook_messages m WHERE m.webhook_id = w.id \
             AND m.due_at IS NOT NULL AND m.due_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM webhook_messages e WHERE e.webhook_id = m.webhook_id \
                 AND e.person = m.person AND e.id < m.id \
                 AND e.due_at IS NOT NULL AND e.due_at > $1)) ORDER BY w.id",
    )
    .bind::<Timestamp, _>(now)
    .load(conn)?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Makes due what waits for a later time, at most `limit` of it: the clock went back. Returns how many
/// events those are.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    statement(
        conn,
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM webhook_messages WHERE due_at IS NOT NULL AND due_at > $1 \
             LIMIT $2 {skip_locked} \
         ) UPDATE webhook_messages SET due_at = $1 WHERE id IN (SELECT id FROM planned)",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// Ends the rests of endpoints: the clock went back. No turn lasts longer than a `lease` from now.
pub fn forget_rests(conn: &mut Conn, now: NaiveDateTime, lease: TimeDelta) -> QueryResult<usize> {
    diesel::update(w::table.filter(w::leased_until.gt(now + lease)))
        .set(w::leased_until.eq(now + lease))
        .execute(conn)?;
    diesel::update(w::table.filter(w::paused_until.gt(now)))
        .set(w::paused_until.eq(None::<NaiveDateTime>))
        .execute(conn)
}

/// An event to post.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = m)]
pub struct Leased {
    /// Row id.
    pub id: WebhookMessageId,
    /// The webhook-id.
    pub uid: String,
    /// Whose events are kept in order.
    pub person: Option<String>,
    /// The body.
    pub body: String,
    /// Tries so far.
    pub attempts: i32,
    /// When it was first tried, UTC.
    pub begun_at: Option<NaiveDateTime>,
}

/// One turn with an endpoint, leased to the caller.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The endpoint.
    pub webhook: Webhook,
    /// The turn's number, which proves that the lease is still ours.
    pub number: i64,
    /// What to post, oldest first.
    pub messages: Vec<Leased>,
}

diesel::alias!(m as earlier: Earlier);

/// Bytes of bodies in one turn, unless its first event alone has more.
const BYTES: usize = 4 << 20;

/// Leases an endpoint until `lease_until` with up to `limit` of its due events, fewer where they are long. None if another
/// process has it, or it is not to be posted to. One that has failed is tried with one event only.
pub fn claim(
    conn: &mut Conn,
    id: WebhookId,
    now: NaiveDateTime,
    lease_until: NaiveDateTime,
    limit: i64,
) -> QueryResult<Option<Lane>> {
    let free = w::table
        .find(id)
        .filter(w::state.eq(WebhookState::Enabled))
        .filter(w::paused_until.is_null().or(w::paused_until.le(now)))
        .filter(w::leased_until.is_null().or(w::leased_until.le(now)));
    let turn = (w::lane.eq(w::lane + 1), w::leased_until.eq(lease_until));
    let number: Option<i64> = on_engine!(conn, conn => diesel::update(free)
        .set(turn)
        .returning(w::lane)
        .get_result(conn)
        .optional())?;
    let Some(number) = number else {
        return Ok(None);
    };
    let webhook: Webhook = w::table.find(id).select(Webhook::as_select()).first(conn)?;
    let mut messages = unblocked(conn, id, now, limit)?;
    if webhook.failures > 0 {
        // Not always the same one, which may be the only one that is refused; and nobody's second
        // before their first.
        let mut seen = HashSet::new();
        messages.retain(|one| one.person.is_none() || seen.insert(one.person.clone()));
        messages.sort_by_key(|one| (one.attempts, one.id));
        messages.truncate(1);
    }
    Ok(Some(Lane {
        webhook,
        number,
        messages,
    }))
}

/// Whether an endpoint is still in the turn of that number: nobody has changed it since.
pub fn is_in_turn(conn: &mut Conn, id: WebhookId, number: i64) -> QueryResult<bool> {
    let lane: Option<i64> = w::table.find(id).select(w::lane).first(conn).optional()?;
    Ok(lane == Some(number))
}

/// What is due and does not have to wait for an earlier event of the same person.
fn unblocked(
    conn: &mut Conn,
    id: WebhookId,
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<Vec<Leased>> {
    let size = size_of_body(conn.engine());
    let person = earlier.field(m::person);
    let ahead = earlier
        .filter(earlier.field(m::webhook_id).eq(m::webhook_id))
        .filter(person.eq(m::person))
        .filter(earlier.field(m::id).lt(m::id))
        .filter(earlier.field(m::due_at).is_not_null())
        .filter(earlier.field(m::due_at).gt(now));
    let found: Vec<(WebhookMessageId, i32)> = m::table
        .filter(m::webhook_id.eq(id))
        .filter(m::due_at.is_not_null())
        .filter(m::due_at.le(now))
        .filter(diesel::dsl::not(exists(ahead)))
        .order(m::id)
        .limit(limit)
        .select((m::id, sql::<Integer>(size)))
        .load(conn)?;
    let fit = fitting(found.iter().map(|(_, size)| *size), BYTES);
    let ids: Vec<WebhookMessageId> = found.into_iter().take(fit).map(|(id, _)| id).collect();
    m::table
        .filter(m::id.eq_any(ids))
        .order(m::id)
        .select(Leased::as_select())
        .load(conn)
}

/// What came of posting one event.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// The event.
    pub id: WebhookMessageId,
    /// What became of it.
    pub state: MessageState,
    /// When it was first tried.
    #[serde(serialize_with = "timestamp")]
    pub begun_at: NaiveDateTime,
    /// When it is tried again.
    #[serde(serialize_with = "maybe_timestamp")]
    pub due_at: Option<NaiveDateTime>,
    /// The HTTP status of the answer.
    pub status: Option<i32>,
    /// The answer's beginning, or why there was none.
    pub answer: String,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// What a turn says of its endpoint.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = w, treat_none_as_null = true)]
pub struct Turn {
    /// Turns in a row that brought nothing but failures.
    pub failures: i32,
    /// Since when it takes nothing.
    pub failing_since: Option<NaiveDateTime>,
    /// Until when it is left alone.
    pub paused_until: Option<NaiveDateTime>,
    /// When it last took something.
    pub last_success_at: Option<NaiveDateTime>,
}

/// Ends a turn. Returns whether the lease was still ours; if not, only what the endpoint took is
/// recorded, which is true whoever learns it.
pub fn finish(
    conn: &mut Conn,
    id: WebhookId,
    number: i64,
    turn: &Turn,
    done: &[Done],
) -> QueryResult<bool> {
    let ours = diesel::update(w::table.find(id).filter(w::lane.eq(number)))
        .set((turn, w::leased_until.eq(None::<NaiveDateTime>)))
        .execute(conn)?;
    if ours == 1 {
        record(conn, done)?;
        return Ok(true);
    }
    let sent = done.iter().filter(|row| row.state == MessageState::Sent);
    let sent: Vec<Done> = sent.cloned().collect();
    record(conn, &sent)?;
    Ok(false)
}

fn record(conn: &mut Conn, rows: &[Done]) -> QueryResult<usize> {
    const RECORD: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("state", Kind::Text),
            ("begun_at", Kind::Timestamp),
            ("due_at", Kind::Timestamp),
            ("status", Kind::Integer),
            ("answer", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE webhook_messages SET state = r.state, begun_at = r.begun_at, \
              due_at = r.due_at, attempts = attempts + 1, last_attempt_at = r.now, \
              last_status = r.status, last_answer = r.answer, \
              finished_at = CASE WHEN r.due_at IS NULL THEN r.now ELSE NULL END FROM {rows} \
              WHERE webhook_messages.id = r.id AND webhook_messages.due_at IS NOT NULL",
    };
    RECORD.execute(conn, rows)
}
