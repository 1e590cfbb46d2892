//! Message types: the named notifications of a business. Their routes are JSON, whose shape
//! belongs to `bridge::route`.

mod version;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::message_types};
use crate::ids::{MessageTypeId, ProjectId};

pub use version::{Version, keep_versions, versions};

/// A message type.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = message_types)]
pub struct MessageType {
    /// Row id.
    pub id: MessageTypeId,
    /// The project.
    pub project_id: ProjectId,
    /// Its name, for example `order_created`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its routes, JSON.
    pub routes: String,
    /// When it was added, UTC.
    pub created_at: NaiveDateTime,
    /// When it was last changed, UTC.
    pub updated_at: NaiveDateTime,
}

/// Adds or replaces a message type. Returns it, and whether it is new.
pub fn put(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
    description: Option<&str>,
    routes: &str,
    now: NaiveDateTime,
) -> QueryResult<(MessageType, bool)> {
    use message_types as m;
    let is_new = find(conn, project, name)?.is_none();
    let row = (
        m::project_id.eq(project),
        m::name.eq(name),
        m::description.eq(description),
        m::routes.eq(routes),
        m::created_at.eq(now),
        m::updated_at.eq(now),
    );
    let change = (
        m::description.eq(description),
        m::routes.eq(routes),
        m::updated_at.eq(now),
    );
    on_engine!(conn, conn => diesel::insert_into(m::table)
        .values(row)
        .on_conflict((m::project_id, m::name))
        .do_update()
        .set(change)
        .returning(MessageType::as_returning())
        .get_result(conn))
    .map(|stored| (stored, is_new))
}

/// The message type of that name.
pub fn find(conn: &mut Conn, project: ProjectId, name: &str) -> QueryResult<Option<MessageType>> {
    message_types::table
        .filter(message_types::project_id.eq(project))
        .filter(message_types::name.eq(name))
        .select(MessageType::as_select())
        .first(conn)
        .optional()
}

/// A page of a project's message types, newest first, with ids below `before`.
pub fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<MessageTypeId>,
    limit: i64,
) -> QueryResult<Vec<MessageType>> {
    let mut query = message_types::table
        .filter(message_types::project_id.eq(project))
        .order(message_types::id.desc())
        .limit(limit)
        .select(MessageType::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(message_types::id.lt(before));
    }
    query.load(conn)
}

/// The names of a project's message types with their routes, in the order of the names.
pub fn routes(conn: &mut Conn, project: ProjectId) -> QueryResult<Vec<(String, String)>> {
    message_types::table
        .filter(message_types::project_id.eq(project))
        .order(message_types::name)
        .select((message_types::name, message_types::routes))
        .load(conn)
}

/// The message types of these names, as far as there are any.
pub fn by_names(
    conn: &mut Conn,
    project: ProjectId,
    names: &[&str],
) -> QueryResult<Vec<MessageType>> {
    message_types::table
        .filter(message_types::project_id.eq(project))
        .filter(message_types::name.eq_any(names))
        .select(MessageType::as_select())
        .load(conn)
}

/// Removes a message type; notifications already accepted keep their copy. Returns whether there
/// was one.
pub fn delete(conn: &mut Conn, project: ProjectId, name: &str) -> QueryResult<bool> {
    diesel::delete(
        message_types::table
            .filter(message_types::project_id.eq(project))
            .filter(message_types::name.eq(name)),
    )
    .execute(conn)
    .map(|rows| rows == 1)
}
