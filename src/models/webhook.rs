//! Endpoints that events are posted to, and the outbox of what is posted to each.

mod facts;
mod lane;
mod message;
mod search;

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::db::schema::webhook_messages as m;
use crate::db::{Conn, on_engine, schema::webhooks, text_enum};
use crate::ids::{ProjectId, WebhookId};

pub use facts::{
    DeliveryFact, IdentityFact, Known, OfPerson, Standing, deliveries, identities,
    identities_of_people, known, standings,
};
pub use lane::{Done, Lane, Leased, Turn, claim, due, finish, hasten_all};
pub use message::{MessageState, NewMessage, has_older, insert_many, prune};
pub use search::{Filter, Message, page, replay, retry};

text_enum! {
    /// Whether an endpoint is posted to.
    pub enum WebhookState {
        /// It is.
        Enabled = "enabled",
        /// Not, because its owner said so. Nothing is taken down for it.
        Disabled = "disabled",
        /// Not, because it took nothing for long. What happens is still taken down for it.
        Failing = "failing",
        /// Not, because it answered 410. Nothing is taken down for it.
        Gone = "gone",
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
}

/// What the owner of an endpoint says of it.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub struct Wish {
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
    wish: &Wish,
    state: WebhookState,
    now: NaiveDateTime,
) -> QueryResult<WebhookId> {
    use webhooks as w;
    let row = (
        w::project_id.eq(project),
        w::url.eq(&wish.url),
        w::events.eq(&wish.events),
        w::app_ids.eq(wish.app_ids.as_deref()),
        w::description.eq(wish.description.as_deref()),
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

/// Sets the secret of an endpoint. With `old_until`, the one before signs too until then.
pub fn set_secret(
    conn: &mut Conn,
    id: WebhookId,
    sealed: &[u8],
    old: Option<(&[u8], NaiveDateTime)>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((
            webhooks::sealed_secret.eq(sealed),
            webhooks::sealed_old_secret.eq(old.map(|(sealed, _)| sealed)),
            webhooks::old_secret_until.eq(old.map(|(_, until)| until)),
            webhooks::updated_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// The endpoint of that row id, within a project.
pub fn find(conn: &mut Conn, project: ProjectId, id: WebhookId) -> QueryResult<Option<Webhook>> {
    webhooks::table
        .find(id)
        .filter(webhooks::project_id.eq(project))
        .select(Webhook::as_select())
        .first(conn)
        .optional()
}

/// The endpoints of those row ids, of whatever project.
pub fn by_ids(conn: &mut Conn, ids: &[WebhookId]) -> QueryResult<Vec<Webhook>> {
    webhooks::table
        .filter(webhooks::id.eq_any(ids))
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
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let counted: Vec<Counted> = sql_query(format!(
        "SELECT w.id, (SELECT COUNT(*) FROM (SELECT m.id FROM webhook_messages m \
             WHERE m.webhook_id = w.id AND m.due_at IS NOT NULL LIMIT {cap}) counted) AS waiting \
         FROM webhooks w WHERE w.id IN ({})",
        ids.join(", ")
    ))
    .load(conn)?;
    Ok(counted
        .into_iter()
        .map(|one| (one.id, one.waiting))
        .collect())
}

/// Writes what the owner says of an endpoint.
pub fn change(conn: &mut Conn, id: WebhookId, wish: &Wish, now: NaiveDateTime) -> QueryResult<()> {
    diesel::update(webhooks::table.find(id))
        .set((wish, webhooks::updated_at.eq(now)))
        .execute(conn)
        .map(drop)
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

/// Enables an endpoint as if it had never failed: what waits for it is due at once.
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
        .execute(conn)?;
    diesel::update(
        m::table
            .filter(m::webhook_id.eq(id))
            .filter(m::due_at.is_not_null())
            .filter(m::attempts.gt(0)),
    )
    .set((
        m::due_at.eq(now),
        m::begun_at.eq(None::<NaiveDateTime>),
        m::attempts.eq(0),
    ))
    .execute(conn)
    .map(drop)
}

/// Removes an endpoint and all that was taken down for it. Returns whether there was one.
pub fn delete(conn: &mut Conn, project: ProjectId, id: WebhookId) -> QueryResult<bool> {
    diesel::delete(
        webhooks::table
            .find(id)
            .filter(webhooks::project_id.eq(project)),
    )
    .execute(conn)
    .map(|rows| rows == 1)
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

/// Every endpoint for which events are taken down. A small table, read once for a batch.
pub fn listeners(conn: &mut Conn) -> QueryResult<Vec<Listener>> {
    webhooks::table
        .filter(webhooks::state.eq_any([WebhookState::Enabled, WebhookState::Failing]))
        .order(webhooks::id)
        .select(Listener::as_select())
        .load(conn)
}
