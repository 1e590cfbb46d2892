//! Bindings: staff to identity, or to a unionid whose identities may come later.

mod many;
mod persons;
mod replaced;

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::bindings, schema::staff};
use crate::ids::{BindingId, IdentityId, ProjectId, StaffRowId};

pub use many::{BoundTo, of_many};
pub use persons::{OfPerson, hold_person, of_persons, projects_of_bound};
pub use replaced::{Replaced, keep_replaced, replaced};

/// A binding.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = bindings)]
pub struct Binding {
    /// Row id.
    pub id: BindingId,
    /// The project.
    pub project_id: ProjectId,
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The identity, or none when bound to a unionid.
    pub identity_id: Option<IdentityId>,
    /// The unionid, or none when bound to an identity.
    pub unionid: Option<String>,
    /// When it was made, UTC.
    pub created_at: NaiveDateTime,
}

/// A binding to add; exactly one of `identity_id` and `unionid` is set.
#[derive(Insertable)]
#[diesel(table_name = bindings)]
pub struct NewBinding<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The identity.
    pub identity_id: Option<IdentityId>,
    /// The unionid.
    pub unionid: Option<&'a str>,
    /// Now.
    pub created_at: NaiveDateTime,
}

/// Adds a binding. Returns none if the identity or the unionid is bound already.
pub fn create(conn: &mut Conn, binding: &NewBinding<'_>) -> QueryResult<Option<Binding>> {
    on_engine!(conn, conn => diesel::insert_into(bindings::table)
        .values(binding)
        .on_conflict_do_nothing()
        .returning(Binding::as_returning())
        .get_result(conn)
        .optional())
}

/// A staff member and whom to bind them to: exactly one of `identity_id` and `unionid` is set.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// The project.
    pub project_id: ProjectId,
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The identity.
    pub identity_id: Option<IdentityId>,
    /// The unionid.
    pub unionid: Option<String>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Adds many bindings, and returns those that were not there.
pub fn create_many(conn: &mut Conn, pairs: &[Pair]) -> QueryResult<Vec<Binding>> {
    #[derive(QueryableByName)]
    struct Made {
        #[diesel(sql_type = BigInt)]
        id: BindingId,
    }
    const CREATE: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("staff_row_id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("unionid", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO bindings (project_id, staff_row_id, identity_id, unionid, created_at) \
              SELECT r.project_id, r.staff_row_id, r.identity_id, r.unionid, r.now FROM {rows} \
              WHERE TRUE \
              ON CONFLICT DO NOTHING RETURNING id",
    };
    let made: Vec<Made> = CREATE.load(conn, pairs)?;
    bindings::table
        .filter(bindings::id.eq_any(made.iter().map(|made| made.id)))
        .order(bindings::id)
        .select(Binding::as_select())
        .load(conn)
}

/// The stored binding that keeps another one from being added.
pub fn same(conn: &mut Conn, binding: &NewBinding<'_>) -> QueryResult<Binding> {
    let query = bindings::table
        .filter(bindings::project_id.eq(binding.project_id))
        .filter(bindings::staff_row_id.eq(binding.staff_row_id))
        .select(Binding::as_select());
    match binding.identity_id {
        Some(identity) => query.filter(bindings::identity_id.eq(identity)).first(conn),
        None => query
            .filter(bindings::unionid.eq(binding.unionid))
            .first(conn),
    }
}

/// The bindings of a staff member, oldest first.
pub fn of_staff(conn: &mut Conn, row: StaffRowId) -> QueryResult<Vec<Binding>> {
    bindings::table
        .filter(bindings::staff_row_id.eq(row))
        .order(bindings::id)
        .select(Binding::as_select())
        .load(conn)
}

/// The staff ids to which a person is bound, through any of the given identities or the unionid.
pub fn staff_of_person(
    conn: &mut Conn,
    project: ProjectId,
    identities: &[IdentityId],
    unionid: Option<&str>,
) -> QueryResult<Vec<String>> {
    let unionids: Vec<String> = unionid.into_iter().map(str::to_owned).collect();
    let links = staff_of_people(conn, project, identities, &unionids)?;
    let mut staff: Vec<String> = links.into_iter().map(|(staff_id, ..)| staff_id).collect();
    staff.dedup();
    Ok(staff)
}

/// A staff id and what it is bound to: an identity, or a unionid.
pub type StaffLink = (String, Option<IdentityId>, Option<String>);

/// Every binding to one of the given identities or unionids, in the order of staff ids.
pub fn staff_of_people(
    conn: &mut Conn,
    project: ProjectId,
    identities: &[IdentityId],
    unionids: &[String],
) -> QueryResult<Vec<StaffLink>> {
    let bound = || {
        bindings::table
            .inner_join(staff::table)
            .filter(bindings::project_id.eq(project))
            .select((staff::staff_id, bindings::identity_id, bindings::unionid))
    };
    // One query for each index: with both in one condition all bindings would be read.
    let mut links: Vec<StaffLink> = Vec::new();
    if !identities.is_empty() {
        let identities = identities.iter().map(|id| Some(*id));
        let query = bound().filter(bindings::identity_id.eq_any(identities));
        links.extend(query.load::<StaffLink>(conn)?);
    }
    if !unionids.is_empty() {
        let query = bound().filter(bindings::unionid.eq_any(unionids));
        links.extend(query.load::<StaffLink>(conn)?);
    }
    links.sort_unstable();
    Ok(links)
}

/// Removes one binding of a staff member. Returns whether there was one.
pub fn delete(conn: &mut Conn, row: StaffRowId, id: BindingId) -> QueryResult<bool> {
    diesel::delete(
        bindings::table
            .find(id)
            .filter(bindings::staff_row_id.eq(row)),
    )
    .execute(conn)
    .map(|rows| rows == 1)
}

/// Lets a binding of a staff member name another unionid. Returns none, and changes nothing, if
/// there is another binding to that one.
pub fn rebind(
    conn: &mut Conn,
    row: StaffRowId,
    id: BindingId,
    unionid: &str,
) -> QueryResult<Option<Binding>> {
    let taken = bindings::table
        .filter(bindings::unionid.eq(unionid))
        .filter(bindings::staff_row_id.eq(row))
        .select(bindings::id)
        .first::<BindingId>(conn)
        .optional()?;
    if taken.is_some() {
        return Ok(None);
    }
    on_engine!(conn, conn => diesel::update(
            bindings::table.find(id).filter(bindings::staff_row_id.eq(row)),
        )
        .set(bindings::unionid.eq(unionid))
        .returning(Binding::as_returning())
        .get_result(conn)
        .optional())
}

/// The bindings to these identities, with their staff ids, in the order of ids.
pub fn to_identities(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<(Binding, String)>> {
    bindings::table
        .inner_join(staff::table)
        .filter(bindings::identity_id.eq_any(ids.iter().map(|id| Some(*id))))
        .order(bindings::id)
        .select((Binding::as_select(), staff::staff_id))
        .load(conn)
}

/// Lets a binding name another identity. Returns none, and changes nothing, if that one is bound.
pub fn move_to(
    conn: &mut Conn,
    id: BindingId,
    identity: IdentityId,
) -> QueryResult<Option<Binding>> {
    let taken = bindings::table
        .filter(bindings::identity_id.eq(identity))
        .select(bindings::id)
        .first::<BindingId>(conn)
        .optional()?;
    if taken.is_some() {
        return Ok(None);
    }
    on_engine!(conn, conn => diesel::update(bindings::table.find(id))
        .set(bindings::identity_id.eq(identity))
        .returning(Binding::as_returning())
        .get_result(conn)
        .optional())
}
