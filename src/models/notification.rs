//! Notifications: requests to notify, as accepted.

pub mod message_type;
mod priority;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::notifications};
use crate::ids::{NotificationId, ProjectId};

pub use priority::Priority;

/// A notification.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = notifications)]
pub struct Notification {
    /// Row id.
    pub id: NotificationId,
    /// The project.
    pub project_id: ProjectId,
    /// The name of its message type.
    pub message_type: String,
    /// The routes as they were when it was accepted, JSON.
    pub routes: String,
    /// What the app gave to fill the template, JSON.
    pub params: String,
    /// What goes before it.
    pub priority: Priority,
    /// Makes its `client_msg_id`s unlike those of any other installation.
    pub nonce: i64,
    /// The caller's key, if one was given.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, to tell a repetition from another request under the same key.
    pub request_hash: Option<Vec<u8>>,
    /// When it is to be sent, if not at once, UTC.
    pub send_at: Option<NaiveDateTime>,
    /// When what is not sent yet is not sent any more, UTC.
    pub expires_at: Option<NaiveDateTime>,
    /// When it was cancelled, UTC.
    pub cancelled_at: Option<NaiveDateTime>,
    /// When it was accepted, UTC.
    pub created_at: NaiveDateTime,
    /// What it wanted otherwise than its message type says, JSON.
    pub manner: Option<String>,
}

/// A notification to store.
#[derive(Insertable)]
#[diesel(table_name = notifications)]
pub struct NewNotification<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// The name of its message type.
    pub message_type: &'a str,
    /// The routes, JSON.
    pub routes: &'a str,
    /// The params, JSON.
    pub params: &'a str,
    /// What goes before it.
    pub priority: Priority,
    /// Random.
    pub nonce: i64,
    /// The caller's key.
    pub idempotency_key: Option<&'a str>,
    /// SHA-256 of the request.
    pub request_hash: Option<&'a [u8]>,
    /// When it is to be sent, if not at once.
    pub send_at: Option<NaiveDateTime>,
    /// When what is not sent yet is not sent any more.
    pub expires_at: Option<NaiveDateTime>,
    /// Now.
    pub created_at: NaiveDateTime,
    /// What it wants otherwise than its message type says, JSON.
    pub manner: Option<String>,
}

/// Stores a notification. Returns none if its idempotency key is taken.
pub fn create(
    conn: &mut Conn,
    notification: &NewNotification<'_>,
) -> QueryResult<Option<Notification>> {
    on_engine!(conn, conn => diesel::insert_into(notifications::table)
        .values(notification)
        .on_conflict_do_nothing()
        .returning(Notification::as_returning())
        .get_result(conn)
        .optional())
}

/// The notification that was accepted under an idempotency key.
pub fn by_idempotency_key(
    conn: &mut Conn,
    project: ProjectId,
    key: &str,
) -> QueryResult<Option<Notification>> {
    notifications::table
        .filter(notifications::project_id.eq(project))
        .filter(notifications::idempotency_key.eq(key))
        .select(Notification::as_select())
        .first(conn)
        .optional()
}

/// One notification of a project.
pub fn by_id(
    conn: &mut Conn,
    project: ProjectId,
    id: NotificationId,
) -> QueryResult<Option<Notification>> {
    notifications::table
        .find(id)
        .filter(notifications::project_id.eq(project))
        .select(Notification::as_select())
        .first(conn)
        .optional()
}

/// Several notifications, whatever their project.
pub fn by_ids(conn: &mut Conn, ids: &[NotificationId]) -> QueryResult<Vec<Notification>> {
    notifications::table
        .filter(notifications::id.eq_any(ids))
        .select(Notification::as_select())
        .load(conn)
}

/// Marks a notification of a project as cancelled; it stays as of the first time. Whether there is
/// such a notification.
pub fn cancel(
    conn: &mut Conn,
    project: ProjectId,
    id: NotificationId,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let found = notifications::table
        .find(id)
        .filter(notifications::project_id.eq(project));
    let first: Option<NaiveDateTime> = match found
        .select(notifications::cancelled_at)
        .first(conn)
        .optional()?
    {
        Some(first) => first,
        None => return Ok(false),
    };
    // Written again also where it is set, since that holds the row.
    diesel::update(found)
        .set(notifications::cancelled_at.eq(first.unwrap_or(now)))
        .execute(conn)?;
    Ok(true)
}

/// Several notifications, which cannot be cancelled before the transaction is over.
pub fn hold(conn: &mut Conn, ids: &[NotificationId]) -> QueryResult<Vec<Notification>> {
    if let Conn::Postgres(conn) = conn {
        notifications::table
            .filter(notifications::id.eq_any(ids))
            .order(notifications::id)
            .select(notifications::id)
            .for_share()
            .load::<NotificationId>(conn)?;
    }
    by_ids(conn, ids)
}

/// The message types of several notifications.
pub fn types_of(
    conn: &mut Conn,
    ids: &[NotificationId],
) -> QueryResult<Vec<(NotificationId, String)>> {
    notifications::table
        .filter(notifications::id.eq_any(ids))
        .select((notifications::id, notifications::message_type))
        .load(conn)
}

/// The routes of several notifications, as JSON.
pub fn routes_of(
    conn: &mut Conn,
    ids: &[NotificationId],
) -> QueryResult<Vec<(NotificationId, String)>> {
    notifications::table
        .filter(notifications::id.eq_any(ids))
        .select((notifications::id, notifications::routes))
        .load(conn)
}

/// A page of a project's notifications, newest first, with ids below `before`.
pub fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<NotificationId>,
    limit: i64,
) -> QueryResult<Vec<Notification>> {
    let mut query = notifications::table
        .filter(notifications::project_id.eq(project))
        .order(notifications::id.desc())
        .limit(limit)
        .select(Notification::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(notifications::id.lt(before));
    }
    query.load(conn)
}
