//! Projects: one unionid scope each.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Integer};
use serde::Serialize;

use crate::clock::TimeZone;
use crate::db::prelude::*;
use crate::db::{Conn, Engine, on_engine, schema::projects, statement};
use crate::ids::ProjectId;

/// The first number of the advisory locks of projects; the second one is the project.
const LOCKS: i32 = 7_114_703;

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
    /// The time zone in which its days begin, by its IANA name.
    pub time_zone: String,
}

/// Adds a project.
pub fn create(conn: &mut Conn, name: &str, now: NaiveDateTime) -> QueryResult<Project> {
    create_in(conn, name, TimeZone::default(), now)
}

/// Adds a project whose days begin in that time zone.
pub fn create_in(
    conn: &mut Conn,
    name: &str,
    time_zone: TimeZone,
    now: NaiveDateTime,
) -> QueryResult<Project> {
    let row = (
        projects::name.eq(name),
        projects::created_at.eq(now),
        projects::time_zone.eq(time_zone.name()),
    );
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

/// Makes others who lock or [`share`] the project wait until this transaction ends. SQLite has one
/// writer, so there nobody is to wait.
///
/// The row is locked as well: that is all that processes of a version before [`share`] know.
pub fn lock(conn: &mut Conn, id: ProjectId) -> QueryResult<()> {
    if conn.engine() == Engine::Sqlite {
        return Ok(());
    }
    statement(
        conn,
        "WITH held AS MATERIALIZED (SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE) \
         SELECT pg_advisory_xact_lock($2, (id % 2147483647)::integer) FROM held",
    )
    .bind::<BigInt, _>(id)
    .bind::<Integer, _>(LOCKS)
    .execute(conn)
    .map(drop)
}

/// Makes those who [`lock`] the project wait until this transaction ends, and not others who share
/// it. The lock is none of a row: whoever waits for it has a place in a queue, so that many who share
/// the project keep nobody waiting for ever.
pub fn share(conn: &mut Conn, id: ProjectId) -> QueryResult<()> {
    if conn.engine() == Engine::Sqlite {
        return Ok(());
    }
    statement(
        conn,
        "SELECT pg_advisory_xact_lock_shared($2, ($1 % 2147483647)::integer)",
    )
    .bind::<BigInt, _>(id)
    .bind::<Integer, _>(LOCKS)
    .execute(conn)
    .map(drop)
}

/// The time zone of a project.
pub fn time_zone(conn: &mut Conn, id: ProjectId) -> QueryResult<TimeZone> {
    let name: String = projects::table
        .find(id)
        .select(projects::time_zone)
        .first(conn)?;
    Ok(TimeZone::stored(&name))
}

/// Sets the time zone of the project of that name. Returns whether there is one.
pub fn set_time_zone(conn: &mut Conn, name: &str, time_zone: TimeZone) -> QueryResult<bool> {
    diesel::update(projects::table.filter(projects::name.eq(name)))
        .set(projects::time_zone.eq(time_zone.name()))
        .execute(conn)
        .map(|changed| changed > 0)
}

/// The project of that name.
pub fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<Project>> {
    projects::table
        .filter(projects::name.eq(name))
        .select(Project::as_select())
        .first(conn)
        .optional()
}
