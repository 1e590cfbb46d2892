//! Looking up what was recorded for an endpoint, and putting it back into the outbox.

use std::collections::HashMap;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::sql;
use diesel::sql_types::Integer;

use super::MessageState;
use super::message::size_of_body;
use crate::db::prelude::*;
use crate::db::schema::webhook_messages as m;
use crate::db::{Conn, Sql};
use crate::ids::{WebhookId, WebhookMessageId};
use crate::models::walk::{Walk, Walked, Words, fitting, words};

/// An event for an endpoint, and what became of it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = m)]
pub struct Message {
    /// Row id.
    pub id: WebhookMessageId,
    /// The webhook-id.
    pub uid: String,
    /// The event type.
    pub kind: String,
    /// Whose events are kept in order.
    pub person: Option<String>,
    /// The body, word for word.
    pub body: String,
    /// What became of it.
    pub state: MessageState,
    /// Tries, since it was last put into the outbox.
    pub attempts: i32,
    /// When it is tried next, UTC.
    pub due_at: Option<NaiveDateTime>,
    /// When it was last tried, UTC.
    pub last_attempt_at: Option<NaiveDateTime>,
    /// The HTTP status of the last answer.
    pub last_status: Option<i32>,
    /// Its beginning, or why there was none.
    pub last_answer: Option<String>,
    /// When it was taken or given up, UTC.
    pub finished_at: Option<NaiveDateTime>,
    /// When it happened, UTC.
    pub created_at: NaiveDateTime,
}

/// Which of an endpoint's events.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<MessageState>,
    /// Of this type.
    pub kind: Option<String>,
    /// With ids below this one.
    pub before: Option<WebhookMessageId>,
}

/// Events that one page looks at.
const ROWS: i64 = 4_000;
/// Bytes of bodies on one page, unless its first event alone has more.
const BYTES: usize = 4 << 20;

/// Types that come in masses: all others are in an index by type.
const FREQUENT: Words = words![
    "identity.followed",
    "identity.unfollowed",
    "person.linked",
    "delivery.sent",
    "delivery.delivered",
    "delivery.failed",
    "message.received",
    "push.raw",
];

/// A page of an endpoint's events, newest first.
pub fn page(
    conn: &mut Conn,
    webhook: WebhookId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<Message>> {
    let mut walk = Walk::new("webhook_messages", ROWS, filter.before.map(|id| id.0));
    let mut of = Sql::new("webhook_id = ?").bind(webhook.0);
    match (filter.state, filter.kind.as_deref()) {
        (Some(MessageState::Queued), _) => of = of.and(" AND due_at IS NOT NULL"),
        (Some(MessageState::Failed), _) => of = of.and(" AND state = 'failed'"),
        (_, Some(kind)) if !FREQUENT.all.contains(&kind) => {
            let rare = Sql::new(" AND kind NOT IN {frequent} AND kind = ?").bind(kind);
            of = of.and(rare.put("{frequent}", FREQUENT.list));
        }
        _ => {}
    }
    walk.branch(of);
    if let Some(kind) = filter.kind.as_deref() {
        walk.only(Sql::new("kind = ?").bind(kind));
    }
    if let Some(state) = filter.state {
        walk.only(Sql::new("state = ?").bind(state.as_str()));
    }
    let ids = walk.ids(conn, limit)?;
    let ids = within_bytes(conn, ids)?;
    let rows = m::table
        .filter(m::id.eq_any(&ids.found))
        .select(Message::as_select())
        .load(conn)?;
    Ok(ids.with(rows, |message: &Message| message.id.0))
}

/// The page without those of its events that would make it too long.
fn within_bytes(conn: &mut Conn, mut page: Walked<i64>) -> QueryResult<Walked<i64>> {
    let size = size_of_body(conn.engine());
    let sizes: Vec<(i64, i32)> = m::table
        .filter(m::id.eq_any(&page.found))
        .select((m::id, sql::<Integer>(size)))
        .load(conn)?;
    let sizes: HashMap<i64, i32> = sizes.into_iter().collect();
    let in_order = page.found.iter();
    let in_order = in_order.map(|id| sizes.get(id).copied().unwrap_or_default());
    let fit = fitting(in_order, BYTES);
    if fit < page.found.len() {
        page.found.truncate(fit);
        page.next = page.found.last().copied();
    }
    Ok(page)
}

/// Puts one event back, due at once, or sooner than planned. Returns whether there is such a one.
pub fn retry(
    conn: &mut Conn,
    webhook: WebhookId,
    id: WebhookMessageId,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let one = m::table.find(id).filter(m::webhook_id.eq(webhook));
    diesel::update(one)
        .set(again(now))
        .execute(conn)
        .map(|rows| rows == 1)
}

/// What happened from `since` to before `until`.
#[derive(Clone, Debug)]
pub struct Range {
    /// From then on.
    pub since: NaiveDateTime,
    /// Before then.
    pub until: NaiveDateTime,
    /// Of these types; none for all.
    pub kinds: Option<Vec<String>>,
}

/// How far the order of ids may be from that of times: clocks of several processes, and transactions that
/// overtake each other.
const SLACK: TimeDelta = TimeDelta::hours(1);
/// Ids that are not worth another step of the search.
const NEAR: i64 = 10_000;

/// An id of an endpoint's events behind which all are that happened from `since` on. Ids grow with time, so
/// that a few looks into their index find it.
pub fn begin(
    conn: &mut Conn,
    webhook: WebhookId,
    since: NaiveDateTime,
) -> QueryResult<WebhookMessageId> {
    let since = since - SLACK;
    let newest: Option<WebhookMessageId> = m::table
        .filter(m::webhook_id.eq(webhook))
        .order(m::id.desc())
        .select(m::id)
        .first(conn)
        .optional()?;
    let (mut before, mut behind) = (0, newest.map_or(0, |id| id.0));
    while behind - before > NEAR {
        let middle = before + (behind - before) / 2;
        let next: Option<(WebhookMessageId, NaiveDateTime)> = m::table
            .filter(m::webhook_id.eq(webhook))
            .filter(m::id.ge(WebhookMessageId(middle)))
            .order(m::id)
            .select((m::id, m::created_at))
            .first(conn)
            .optional()?;
        match next.filter(|(_, at)| *at < since) {
            Some((id, _)) => before = id.0,
            None => behind = middle,
        }
    }
    Ok(WebhookMessageId(before))
}

/// Looks at the `limit` events of an endpoint that follow `after`, oldest first. Returns those of them
/// that have come to an end and are in the range, and the last that it looked at, if there are more.
pub fn window(
    conn: &mut Conn,
    webhook: WebhookId,
    after: WebhookMessageId,
    limit: i64,
    range: &Range,
) -> QueryResult<(Vec<WebhookMessageId>, Option<WebhookMessageId>)> {
    let rows: Vec<(
        WebhookMessageId,
        NaiveDateTime,
        String,
        Option<NaiveDateTime>,
    )> = m::table
        .filter(m::webhook_id.eq(webhook))
        .filter(m::id.gt(after))
        .order(m::id)
        .limit(limit)
        .select((m::id, m::created_at, m::kind, m::due_at))
        .load(conn)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == limit);
    let is_past = rows.first().is_some_and(|row| row.1 >= range.until + SLACK);
    let last = rows.last().filter(|_| is_full && !is_past);
    let last = last.map(|row| row.0);
    let wanted = rows.into_iter().filter(|(_, at, kind, due)| {
        let kinds = range.kinds.as_ref();
        due.is_none()
            && (range.since..range.until).contains(at)
            && kinds.is_none_or(|kinds| kinds.contains(kind))
    });
    Ok((wanted.map(|row| row.0).collect(), last))
}

/// Puts events that have come to an end back, due at once. Returns how many.
pub fn replay(conn: &mut Conn, ids: &[WebhookMessageId], now: NaiveDateTime) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    let settled = m::table
        .filter(m::id.eq_any(ids))
        .filter(m::due_at.is_null());
    diesel::update(settled).set(again(now)).execute(conn)
}

/// Makes up to `limit` events of an endpoint that follow `after` and were tried in vain due at once, as
/// if they had not been tried. Returns the last of them, if there may be more.
pub fn make_due(
    conn: &mut Conn,
    webhook: WebhookId,
    after: WebhookMessageId,
    limit: i64,
    now: NaiveDateTime,
) -> QueryResult<Option<WebhookMessageId>> {
    let waiting: Vec<(WebhookMessageId, i32)> = m::table
        .filter(m::webhook_id.eq(webhook))
        .filter(m::due_at.is_not_null())
        .filter(m::id.gt(after))
        .order(m::id)
        .limit(limit)
        .select((m::id, m::attempts))
        .load(conn)?;
    let is_full = i64::try_from(waiting.len()).is_ok_and(|rows| rows == limit);
    let last = waiting.last().filter(|_| is_full).map(|row| row.0);
    let tried = waiting.into_iter().filter(|(_, attempts)| *attempts > 0);
    let tried: Vec<WebhookMessageId> = tried.map(|(id, _)| id).collect();
    if !tried.is_empty() {
        let tried = m::table
            .filter(m::id.eq_any(tried))
            .filter(m::due_at.is_not_null());
        diesel::update(tried).set(again(now)).execute(conn)?;
    }
    Ok(last)
}

type BackInOutbox = (
    diesel::dsl::Eq<m::state, MessageState>,
    diesel::dsl::Eq<m::attempts, i32>,
    diesel::dsl::Eq<m::begun_at, Option<NaiveDateTime>>,
    diesel::dsl::Eq<m::due_at, NaiveDateTime>,
    diesel::dsl::Eq<m::finished_at, Option<NaiveDateTime>>,
);

/// As if it had never been tried.
fn again(now: NaiveDateTime) -> BackInOutbox {
    (
        m::state.eq(MessageState::Queued),
        m::attempts.eq(0),
        m::begun_at.eq(None),
        m::due_at.eq(now),
        m::finished_at.eq(None),
    )
}
