//! Many staff members at a time.

use chrono::NaiveDateTime;
use serde::Serialize;

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
