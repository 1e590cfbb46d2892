//! Tags of staff: words by which the business groups them.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::Staff;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, schema::staff, schema::staff_tags};
use crate::ids::{ProjectId, StaffRowId};

#[derive(Serialize)]
struct Tagged<'a> {
    staff_row_id: StaffRowId,
    project_id: ProjectId,
    tag: &'a str,
}

/// Replaces the tags of a staff member.
pub fn set_tags(conn: &mut Conn, staff: &Staff, tags: &BTreeSet<String>) -> QueryResult<()> {
    set_tags_of_many(conn, staff.project_id, &[(staff.id, tags)])
}

/// Replaces the tags of each of these staff members of a project.
pub fn set_tags_of_many(
    conn: &mut Conn,
    project: ProjectId,
    staff: &[(StaffRowId, &BTreeSet<String>)],
) -> QueryResult<()> {
    const INSERT: Batch = Batch {
        columns: &[
            ("staff_row_id", Kind::BigInt),
            ("project_id", Kind::BigInt),
            ("tag", Kind::Text),
        ],
        sql: "INSERT INTO staff_tags (staff_row_id, project_id, tag) \
              SELECT r.staff_row_id, r.project_id, r.tag FROM {rows}",
    };
    let ids = staff.iter().map(|(id, _)| *id);
    diesel::delete(staff_tags::table.filter(staff_tags::staff_row_id.eq_any(ids))).execute(conn)?;
    let rows: Vec<Tagged<'_>> = staff
        .iter()
        .flat_map(|(staff_row_id, tags)| {
            tags.iter().map(|tag| Tagged {
                staff_row_id: *staff_row_id,
                project_id: project,
                tag,
            })
        })
        .collect();
    INSERT.execute(conn, &rows).map(drop)
}

/// The tags of each of these staff members who has any, sorted.
pub fn tags_of(
    conn: &mut Conn,
    staff: &[StaffRowId],
) -> QueryResult<HashMap<StaffRowId, Vec<String>>> {
    let found: Vec<(StaffRowId, String)> = staff_tags::table
        .filter(staff_tags::staff_row_id.eq_any(staff))
        .order((staff_tags::staff_row_id, staff_tags::tag))
        .select((staff_tags::staff_row_id, staff_tags::tag))
        .load(conn)?;
    let mut tags: HashMap<StaffRowId, Vec<String>> = HashMap::new();
    for (staff, tag) in found {
        tags.entry(staff).or_default().push(tag);
    }
    Ok(tags)
}

/// Which members of a project are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group<'a> {
    /// All of them.
    All,
    /// Those with this tag.
    Tagged(&'a str),
}

/// A page of the staff ids of a group, in the order in which the staff were added, with row ids
/// above `after`.
pub fn ids_of_group(
    conn: &mut Conn,
    project: ProjectId,
    group: Group<'_>,
    after: StaffRowId,
    limit: i64,
) -> QueryResult<Vec<(StaffRowId, String)>> {
    let mut query = staff::table
        .filter(staff::project_id.eq(project))
        .filter(staff::id.gt(after))
        .order(staff::id)
        .limit(limit)
        .select((staff::id, staff::staff_id))
        .into_boxed();
    if let Group::Tagged(tag) = group {
        query = query.filter(staff::id.eq_any(tagged(project, tag)));
    }
    query.load(conn)
}

/// The newest members with a tag, with ids below `before`: the index holds them in this order.
pub(super) fn newest_tagged(
    conn: &mut Conn,
    project: ProjectId,
    tag: &str,
    before: Option<StaffRowId>,
    limit: i64,
) -> QueryResult<Vec<StaffRowId>> {
    staff_tags::table
        .filter(staff_tags::project_id.eq(project))
        .filter(staff_tags::tag.eq(tag))
        .filter(staff_tags::staff_row_id.lt(before.unwrap_or(StaffRowId(i64::MAX))))
        .order(staff_tags::staff_row_id.desc())
        .limit(limit)
        .select(staff_tags::staff_row_id)
        .load(conn)
}

/// The row ids of the staff with a tag.
#[diesel::dsl::auto_type(no_type_alias)]
fn tagged<'a>(project: ProjectId, tag: &'a str) -> _ {
    staff_tags::table
        .filter(staff_tags::project_id.eq(project))
        .filter(staff_tags::tag.eq(tag))
        .select(staff_tags::staff_row_id)
}
