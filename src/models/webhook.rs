//! Endpoints that events are posted to, and the outbox of what is posted to each.

mod facts;
mod message;
mod search;
mod turn;

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text};

use crate::db::prelude::*;
use crate::db::schema::webhook_messages as m;
use crate::db::{Conn, json, on_engine, schema::webhooks, statement, text_enum};
use crate::ids::{ProjectId, WebhookId, WebhookMessageId};

pub use facts::{
    DeliveryFact, IdentityFact, IdentityState, Known, OfPerson, deliveries, identities,
    identities_of_people, identity_states, known,
};
pub use message::{MessageState, NewMessage, has_older, insert_many, prune};
pub use search::{Filter, Message, Range, begin, make_due, page, replay, retry, window};
pub use turn::{
    Done, Lane, Leased, Turn, claim, due, finish, forget_rests, is_in_turn, make_all_due,
};

text_enum! {
    /// Whether an endpoint is posted to.
    pub enum WebhookState {
        /// It is.
        Enabled = "enabled",
        /// Not, because its owner said so. Nothing is recorded for it.
        Disabled = "disabled",
        /// Not, because it took nothing for long. What happens is still recorded for it.
        Failing = "failing",
        /// Not, because it answered 410. Nothing is recorded for it.
        Gone = "gone",
        /// Not, because it was deleted: nobody is shown it, and its row goes when what was recorded
        /// for it has gone.
        Deleted = "deleted",
    }
}

/// An endpoint.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = webhooks)]
pub struct Webhook {
    /// Row id.
    pub id: WebhookId,
    /// The project.
    pub project_id: ProjectId,
    /// Where it is.
    pub url: String,
    /// The event types it wants, a JSON list; `*` stands for all.
    pub events: String,
    /// The accounts whose events it wants, a JSON list of app ids; none for all.
    pub app_ids: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is posted to.
    pub state: WebhookState,
    /// Why not, in a sentence.
    pub state_reason: Option<String>,
    /// Since when it is in that state, UTC.
    pub state_at: NaiveDateTime,
    /// The secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// The one before, sealed.
    pub sealed_old_secret: Option<Vec<u8>>,
    /// Until when that one signs too, UTC.
    pub old_secret_until: Option<NaiveDateTime>,
    /// Turns in a row that brought nothing but failures.
    pub failures: i32,
    /// Since when it takes nothing, UTC.
    pub failing_since: Option<NaiveDateTime>,
    /// Until when it is left alone after failures, UTC.
    pub paused_until: Option<NaiveDateTime>,
    /// When it last took something, UTC.
    pub last_success_at: Option<NaiveDateTime>,
    /// When it was added, UTC.
    pub created_at: NaiveDateTime,
    /// When it was last changed, UTC.
    pub updated_at: NaiveDateTime,
    /// The secret before the one before, sealed.
    pub sealed_older_secret: Option<Vec<u8>>,
    /// Until when that one signs too, UTC.
    pub older_secret_until: Option<NaiveDateTime>,
    /// The Idempotency-Key of the last rotation.
    pub rotation_key: Option<String>,
}

/// What the owner of an endpoint says of it.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub struct EndpointSettings {
    /// Where it is.
    pub url: String,
    /// The event types, a JSON list.
    pub events: String,
    /// The accounts, a JSON list.
    pub app_ids: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// Adds an endpoint, with a secret still to be set: its place in the vault is its row id.
pub fn create(
    conn: &mut Conn,
    project: ProjectId,
    settings: &EndpointSettings,
    state: WebhookState,
    now: NaiveDateTime,
) -> QueryResult<WebhookId> {
    use webhooks as w;
    let row = (
        w::project_id.eq(project),
        w::url.eq(&settings.url),
        w::events.eq(&settings.events),
        w::app_ids.eq(settings.app_ids.as_deref()),
        w::description.eq(settings.description.as_deref()),
        w::state.eq(state),
        w::state_at.eq(now),
        w::sealed_secret.eq(Vec::<u8>::new()),
        w::lane.eq(0_i64),
        w::failures.eq(0),
        w::created_at.eq(now),
        w::updated_at.eq(now),
    );
    on_engine!(conn, conn => diesel::insert_into(w::table)
        .values(row)
        .returning(w::id)
        .get_result(conn))
}

/// Sets the secret of an endpoint that has none yet.
pub fn set_secret(
    conn: &mut Conn,
    id: WebhookId,
    sealed: &[u8],
    now: NaiveDateTime,
) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((
            webhooks::sealed_secret.eq(sealed),
            webhooks::updated_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// The secrets of an endpoint after a rotation. Until when the old ones sign too, UTC.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub struct Rotation {
    /// The new one, sealed.
    pub sealed_secret: Vec<u8>,
    /// The one before.
    pub sealed_old_secret: Option<Vec<u8>>,
    /// Until when.
    pub old_secret_until: Option<NaiveDateTime>,
    /// The one before that.
    pub sealed_older_secret: Option<Vec<u8>>,
    /// Until when.
    pub older_secret_until: Option<NaiveDateTime>,
    /// The Idempotency-Key of the request.
    pub rotation_key: Option<String>,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Writes the secrets after a rotation.
pub fn rotate(conn: &mut Conn, id: WebhookId, rotation: &Rotation) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set(rotation)
        .execute(conn)
        .map(drop)
}

/// The endpoint of that row id, within a project.
pub fn find(conn: &mut Conn, project: ProjectId, id: WebhookId) -> QueryResult<Option<Webhook>> {
    webhooks::table
        .find(id)
        .filter(webhooks::project_id.eq(project))
        .filter(webhooks::state.ne(WebhookState::Deleted))
        .select(Webhook::as_select())
        .first(conn)
        .optional()
}

/// The endpoints of those row ids, of whatever project.
pub fn by_ids(conn: &mut Conn, ids: &[WebhookId]) -> QueryResult<Vec<Webhook>> {
    webhooks::table
        .filter(webhooks::id.eq_any(ids))
        .filter(webhooks::state.ne(WebhookState::Deleted))
        .select(Webhook::as_select())
        .load(conn)
}

/// A page of a project's endpoints, newest first, with ids below `before`.
pub fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<WebhookId>,
    limit: i64,
) -> QueryResult<Vec<Webhook>> {
    webhooks::table
        .filter(webhooks::project_id.eq(project))
        .filter(webhooks::state.ne(WebhookState::Deleted))
        .filter(webhooks::id.lt(before.unwrap_or(WebhookId(i64::MAX))))
        .order(webhooks::id.desc())
        .limit(limit)
        .select(Webhook::as_select())
        .load(conn)
}

/// How many endpoints a project has.
pub fn count(conn: &mut Conn, project: ProjectId) -> QueryResult<i64> {
    webhooks::table
        .filter(webhooks::project_id.eq(project))
        .filter(webhooks::state.ne(WebhookState::Deleted))
        .count()
        .get_result(conn)
}

/// How many events wait for each of these endpoints, counted up to `cap`; 0 of one that is not there.
pub fn waiting(
    conn: &mut Conn,
    ids: &[WebhookId],
    cap: i64,
) -> QueryResult<HashMap<WebhookId, i64>> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        id: WebhookId,
        #[diesel(sql_type = BigInt)]
        waiting: i64,
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let counted: Vec<Counted> = statement(
        conn,
        "SELECT w.id, (SELECT COUNT(*) FROM (SELECT m.id FROM webhook_messages m \
             WHERE m.webhook_id = w.id AND m.due_at IS NOT NULL LIMIT $1) counted) AS waiting \
         FROM webhooks w WHERE w.id {in_ids_2}",
    )
    .bind::<BigInt, _>(cap)
    .bind::<Text, _>(json(ids)?)
    .load(conn)?;
    Ok(counted
        .into_iter()
        .map(|one| (one.id, one.waiting))
        .collect())
}

/// Writes what the owner says of an endpoint, which nobody else changes before the transaction is over.
/// Returns whether there is one still.
pub fn change(
    conn: &mut Conn,
    id: WebhookId,
    settings: &EndpointSettings,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let one = webhooks::table
        .find(id)
        .filter(webhooks::state.ne(WebhookState::Deleted));
    diesel::update(one)
        .set((settings, webhooks::updated_at.eq(now)))
        .execute(conn)
        .map(|rows| rows == 1)
}

/// Lets nobody else change an endpoint before the transaction is over. SQLite has one writer anyway.
pub fn hold(conn: &mut Conn, id: WebhookId) -> QueryResult<()> {
    if let Conn::Postgres(conn) = conn {
        webhooks::table
            .find(id)
            .select(webhooks::id)
            .for_no_key_update()
            .load::<WebhookId>(conn)?;
    }
    Ok(())
}

/// Disables an endpoint that is enabled. Returns whether it was.
pub fn disable(
    conn: &mut Conn,
    id: WebhookId,
    state: WebhookState,
    reason: &str,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    diesel::update(
        webhooks::table
            .find(id)
            .filter(webhooks::state.eq(WebhookState::Enabled)),
    )
    .set((
        webhooks::state.eq(state),
        webhooks::state_reason.eq(reason),
        webhooks::state_at.eq(now),
    ))
    .execute(conn)
    .map(|rows| rows == 1)
}

/// Ends the turn that an endpoint is in, so that nothing it brings is written over what its owner says,
/// and so that the next begins at once. The process that has it notices within a second.
pub fn end_turn(conn: &mut Conn, id: WebhookId) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((
            webhooks::lane.eq(webhooks::lane + 1),
            webhooks::leased_until.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
        .map(drop)
}

/// Disables an endpoint because its owner says so.
pub fn turn_off(conn: &mut Conn, id: WebhookId, now: NaiveDateTime) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((
            webhooks::state.eq(WebhookState::Disabled),
            webhooks::state_reason.eq(None::<String>),
            webhooks::state_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Enables an endpoint as if it had never failed. What waits for it is due when [`make_due`] says so.
pub fn enable(conn: &mut Conn, id: WebhookId, now: NaiveDateTime) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((
            webhooks::state.eq(WebhookState::Enabled),
            webhooks::state_reason.eq(None::<String>),
            webhooks::state_at.eq(now),
            webhooks::failures.eq(0),
            webhooks::failing_since.eq(None::<NaiveDateTime>),
            webhooks::paused_until.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
        .map(drop)
}

/// Deletes an endpoint: from now on there is none for anybody. Its row, and what was recorded for it,
/// which may be millions of rows, are cleared away by and by: [`clear_deleted`]. Returns whether there
/// was one.
pub fn delete(
    conn: &mut Conn,
    project: ProjectId,
    id: WebhookId,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let one = webhooks::table
        .find(id)
        .filter(webhooks::project_id.eq(project))
        .filter(webhooks::state.ne(WebhookState::Deleted));
    let rows = diesel::update(one)
        .set((
            webhooks::state.eq(WebhookState::Deleted),
            webhooks::state_reason.eq(None::<String>),
            webhooks::state_at.eq(now),
            webhooks::updated_at.eq(now),
            webhooks::sealed_secret.eq(Vec::<u8>::new()),
            webhooks::sealed_old_secret.eq(None::<Vec<u8>>),
            webhooks::sealed_older_secret.eq(None::<Vec<u8>>),
        ))
        .execute(conn)?;
    if rows == 1 {
        end_turn(conn, id)?;
    }
    Ok(rows == 1)
}

/// An endpoint that was deleted and is still to be cleared away.
pub fn deleted(conn: &mut Conn) -> QueryResult<Option<WebhookId>> {
    webhooks::table
        .filter(webhooks::state.eq(WebhookState::Deleted))
        .order(webhooks::id)
        .select(webhooks::id)
        .first(conn)
        .optional()
}

/// Clears away up to `limit` of what was recorded for an endpoint that was deleted, and its row when
/// nothing is left.
pub fn clear_deleted(conn: &mut Conn, id: WebhookId, limit: i64) -> QueryResult<()> {
    let some: Vec<WebhookMessageId> = m::table
        .filter(m::webhook_id.eq(id))
        .order(m::id)
        .limit(limit)
        .select(m::id)
        .load(conn)?;
    if some.is_empty() {
        let gone = webhooks::table
            .find(id)
            .filter(webhooks::state.eq(WebhookState::Deleted));
        return diesel::delete(gone).execute(conn).map(drop);
    }
    diesel::delete(m::table.filter(m::id.eq_any(some)))
        .execute(conn)
        .map(drop)
}

/// What an endpoint wants to be told.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = webhooks)]
pub struct Listener {
    /// The endpoint.
    pub id: WebhookId,
    /// Its project.
    pub project_id: ProjectId,
    /// The event types, a JSON list.
    pub events: String,
    /// The accounts, a JSON list.
    pub app_ids: Option<String>,
}

/// Every endpoint for which events are recorded. A small table, read once for a batch.
pub fn listeners(conn: &mut Conn) -> QueryResult<Vec<Listener>> {
    webhooks::table
        .filter(webhooks::state.eq_any([WebhookState::Enabled, WebhookState::Failing]))
        .order(webhooks::id)
        .select(Listener::as_select())
        .load(conn)
}
