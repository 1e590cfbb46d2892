//! Projects: one unionid scope each.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::projects};
use crate::ids::ProjectId;

/// A project.
#[derive(Clone, Debug, Queryable, Selectable, Serialize)]
#[diesel(table_name = projects)]
pub struct Project {
    /// Row id.
    pub id: ProjectId,
    /// Unique name, chosen by the operator.
    pub name: String,
    /// When it was added, UTC.
    pub created_at: NaiveDateTime,
}

/// Adds a project.
pub fn create(conn: &mut Conn, name: &str, now: NaiveDateTime) -> QueryResult<Project> {
    let row = (projects::name.eq(name), projects::created_at.eq(now));
    on_engine!(conn, conn => diesel::insert_into(projects::table)
        .values(row)
        .returning(Project::as_returning())
        .get_result(conn))
}

/// All projects, oldest first.
pub fn list(conn: &mut Conn) -> QueryResult<Vec<Project>> {
    projects::table
        .order(projects::id)
        .select(Project::as_select())
        .load(conn)
}

/// Makes others who lock the project wait until this transaction ends. SQLite has one writer, so
/// there nobody is to wait.
pub fn lock(conn: &mut Conn, id: ProjectId) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(conn) => projects::table
            .find(id)
            .select(projects::id)
            .for_no_key_update()
            .execute(conn)
            .map(drop),
    }
}

/// The project of that name.
pub fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<Project>> {
    projects::table
        .filter(projects::name.eq(name))
        .select(Project::as_select())
        .first(conn)
        .optional()
}
