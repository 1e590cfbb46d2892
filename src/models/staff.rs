//! Staff: members of the business, known by the business's own ids.

pub mod binding;
pub mod invitation;
pub(crate) mod invitation_token;
mod many;
mod people;
mod reach;
mod tags;
pub mod undone_binding;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::staff};
use crate::ids::{ProjectId, StaffRowId};

pub use many::{Details, NewStaff, add_many, change_many, hold_many, insert_many, rows_of};
pub use people::{Person, PersonRow, reach_people};
pub use reach::{ReachRow, reach};
pub use tags::{Group, ids_of_group, set_tags, set_tags_of_many, tags_of};

/// A staff member.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = staff)]
pub struct Staff {
    /// Row id.
    pub id: StaffRowId,
    /// The project.
    pub project_id: ProjectId,
    /// The business's own id.
    pub staff_id: String,
    /// A name for people.
    pub name: Option<String>,
    /// When it was added, UTC.
    pub created_at: NaiveDateTime,
    /// When it was last changed, UTC.
    pub updated_at: NaiveDateTime,
    /// A phone number, as the business has it.
    pub phone: Option<String>,
}

/// Adds a staff member or replaces what is known of one; bindings stay. A phone number that is none
/// leaves the stored one as it is, and an empty one takes it away. Returns it, and whether it is new.
pub fn put(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    name: Option<&str>,
    phone: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<(Staff, bool)> {
    let is_new = find(conn, project, staff_id)?.is_none();
    let given = phone.filter(|phone| !phone.is_empty());
    let row = (
        staff::project_id.eq(project),
        staff::staff_id.eq(staff_id),
        staff::name.eq(name),
        staff::phone.eq(given),
        staff::created_at.eq(now),
        staff::updated_at.eq(now),
    );
    on_engine!(conn, conn => diesel::insert_into(staff::table)
        .values(row)
        .on_conflict((staff::project_id, staff::staff_id))
        .do_update()
        .set((
            staff::name.eq(name),
            staff::updated_at.eq(now),
            phone.map(|_| staff::phone.eq(given)),
        ))
        .returning(Staff::as_returning())
        .get_result(conn))
    .map(|stored| (stored, is_new))
}

/// The staff member of that id.
pub fn find(conn: &mut Conn, project: ProjectId, staff_id: &str) -> QueryResult<Option<Staff>> {
    staff::table
        .filter(staff::project_id.eq(project))
        .filter(staff::staff_id.eq(staff_id))
        .select(Staff::as_select())
        .first(conn)
        .optional()
}

/// The staff member of that id, whom nobody else holds or removes until this transaction ends. What
/// is to refer to them may be stored meanwhile. SQLite has one writer anyhow.
pub fn hold(conn: &mut Conn, project: ProjectId, staff_id: &str) -> QueryResult<Option<Staff>> {
    match conn {
        Conn::Sqlite(_) => find(conn, project, staff_id),
        Conn::Postgres(conn) => staff::table
            .filter(staff::project_id.eq(project))
            .filter(staff::staff_id.eq(staff_id))
            .select(Staff::as_select())
            .for_no_key_update()
            .first(conn)
            .optional(),
    }
}

/// The same for one who is to be removed: nothing is to refer to them any more.
pub fn hold_to_remove(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
) -> QueryResult<Option<Staff>> {
    match conn {
        Conn::Sqlite(_) => find(conn, project, staff_id),
        Conn::Postgres(conn) => staff::table
            .filter(staff::project_id.eq(project))
            .filter(staff::staff_id.eq(staff_id))
            .select(Staff::as_select())
            .for_update()
            .first(conn)
            .optional(),
    }
}

/// A page of a project's staff, of those with a tag if one is given, newest first, with ids below
/// `before`.
pub fn list(
    conn: &mut Conn,
    project: ProjectId,
    tag: Option<&str>,
    before: Option<StaffRowId>,
    limit: i64,
) -> QueryResult<Vec<Staff>> {
    let mut query = staff::table
        .filter(staff::project_id.eq(project))
        .order(staff::id.desc())
        .limit(limit)
        .select(Staff::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(staff::id.lt(before));
    }
    if let Some(tag) = tag {
        let tagged = tags::newest_tagged(conn, project, tag, before, limit)?;
        query = query.filter(staff::id.eq_any(tagged));
    }
    query.load(conn)
}

/// Removes a staff member and its bindings. Returns whether there was one.
pub fn delete(conn: &mut Conn, project: ProjectId, staff_id: &str) -> QueryResult<bool> {
    diesel::delete(
        staff::table
            .filter(staff::project_id.eq(project))
            .filter(staff::staff_id.eq(staff_id)),
    )
    .execute(conn)
    .map(|rows| rows > 0)
}
