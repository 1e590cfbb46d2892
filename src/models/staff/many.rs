//! Many staff members at a time.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Staff;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::staff};
use crate::ids::{ProjectId, StaffRowId};

#[derive(Serialize)]
struct Added<'a> {
    project_id: ProjectId,
    staff_id: &'a str,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// The rows of those of these staff ids that there are.
pub fn rows_of(
    conn: &mut Conn,
    project: ProjectId,
    staff_ids: &[&str],
) -> QueryResult<Vec<(String, StaffRowId)>> {
    staff::table
        .filter(staff::project_id.eq(project))
        .filter(staff::staff_id.eq_any(staff_ids))
        .select((staff::staff_id, staff::id))
        .load(conn)
}

/// Adds staff members without a name, in the given order; one that is there stays as it is.
pub fn add_many(
    conn: &mut Conn,
    project: ProjectId,
    staff_ids: &[&str],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    const ADD: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("staff_id", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO staff (project_id, staff_id, created_at, updated_at) \
              SELECT r.project_id, r.staff_id, r.now, r.now FROM {rows} WHERE TRUE \
              ON CONFLICT (project_id, staff_id) DO NOTHING",
    };
    let rows: Vec<Added<'_>> = staff_ids
        .iter()
        .map(|staff_id| Added {
            project_id: project,
            staff_id,
            now,
        })
        .collect();
    ADD.execute(conn, &rows)
}

/// The staff members of these ids that there are, whom nobody else changes until this transaction ends: they
/// are locked in the order of their ids. SQLite has one writer anyhow.
pub fn hold_many(
    conn: &mut Conn,
    project: ProjectId,
    staff_ids: &[&str],
) -> QueryResult<Vec<Staff>> {
    let found = staff::table
        .filter(staff::project_id.eq(project))
        .filter(staff::staff_id.eq_any(staff_ids))
        .order(staff::staff_id);
    match conn {
        Conn::Sqlite(conn) => found.select(Staff::as_select()).load(conn),
        Conn::Postgres(conn) => found
            .select(Staff::as_select())
            .for_no_key_update()
            .load(conn),
    }
}

/// A staff member to add.
#[derive(Debug, Serialize)]
pub struct NewStaff<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// The business's own id.
    pub staff_id: &'a str,
    /// A name for people.
    pub name: Option<&'a str>,
    /// A phone number.
    pub phone: Option<&'a str>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Adds staff members in the given order, and returns how many; one that is there stays as it is.
pub fn insert_many(conn: &mut Conn, rows: &[NewStaff<'_>]) -> QueryResult<usize> {
    const INSERT: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("staff_id", Kind::Text),
            ("name", Kind::Text),
            ("phone", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO staff (project_id, staff_id, name, phone, created_at, updated_at) \
              SELECT r.project_id, r.staff_id, r.name, r.phone, r.now, r.now FROM {rows} WHERE TRUE \
              ON CONFLICT (project_id, staff_id) DO NOTHING",
    };
    INSERT.execute(conn, rows)
}

/// What is to be stored of a staff member.
#[derive(Debug, Serialize)]
pub struct Details<'a> {
    /// Row id.
    pub id: StaffRowId,
    /// A name for people.
    pub name: Option<&'a str>,
    /// A phone number.
    pub phone: Option<&'a str>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Replaces what is known of staff members beside their tags.
pub fn change_many(conn: &mut Conn, rows: &[Details<'_>]) -> QueryResult<usize> {
    const CHANGE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("name", Kind::Text),
            ("phone", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE staff SET name = r.name, phone = r.phone, updated_at = r.now \
              FROM {rows} WHERE staff.id = r.id",
    };
    CHANGE.execute(conn, rows)
}
