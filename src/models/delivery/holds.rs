//! Whether a delivery still goes to whom it is for: its staff member may have been deleted, unbound
//! or bound to somebody else since it was planned.

use std::collections::HashSet;

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text, Timestamp};
use serde::Serialize;

use super::Due;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, statement_of};
use crate::ids::{DeliveryId, ProjectId};
use crate::models::staff::Person;

/// An expression over a row of `deliveries`: whether its staff member is there and still bound to
/// the identity that it goes to, by itself or by the unionid; without an identity, whether they are
/// there. It is part of each claim, so what it costs counts: a staff member has few bindings, and of
/// most the first one decides.
pub(super) const HOLDS: &str = include_str!("holds.sql");

/// A claimed delivery to somebody who was not asked for by staff id.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    id: DeliveryId,
    #[serde(flatten)]
    person: Person,
}

impl Named {
    /// That of a delivery. One name that cannot be read must not keep the whole lane from being claimed.
    pub(super) fn of(due: &Due) -> Option<Self> {
        let person = serde_json::from_str(due.recipient.as_deref()?).ok()?;
        Some(Self { id: due.id, person })
    }
}

#[derive(QueryableByName)]
struct Astray {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
}

/// Notes of claimed deliveries to people who were not asked for by staff id whether the name they
/// were asked for by still means the identity that each goes to.
pub(super) fn look_for_people(conn: &mut Conn, due: &mut [Due]) -> QueryResult<()> {
    let named: Vec<Named> = due.iter().filter_map(Named::of).collect();
    let astray: HashSet<DeliveryId> = astray_of(conn, &named)?.into_iter().collect();
    for one in due {
        one.holds &= !astray.contains(&one.id);
    }
    Ok(())
}

/// Those whose name does not mean any more whom they go to.
pub(super) fn astray_of<N: Serialize>(
    conn: &mut Conn,
    named: &[N],
) -> QueryResult<Vec<DeliveryId>> {
    const ASTRAY: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("unionid", Kind::Text),
            ("app_id", Kind::Text),
            ("openid", Kind::Text),
        ],
        sql: include_str!("holds_people.sql"),
    };
    let found: Vec<Astray> = ASTRAY.load(conn, named)?;
    Ok(found.into_iter().map(|one| one.id).collect())
}

/// How far [`astray`] counts.
pub const MOST_ASTRAY: i64 = 1_000;

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many deliveries wait for a staff member and will not go where they were planned to go, since
/// the member or the binding is gone; at most one more than [`MOST_ASTRAY`]. Not what is being sent
/// at this moment.
pub fn astray(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    now: NaiveDateTime,
) -> QueryResult<i64> {
    let counted: Counted = statement_of(
        conn,
        "SELECT COUNT(*) AS count FROM ( \
             SELECT 1 FROM deliveries WHERE project_id = $1 AND staff_id = $2 \
             AND due_at IS NOT NULL AND recipient IS NULL AND state = 'queued' \
             AND (leased_until IS NULL OR leased_until <= $3) AND NOT {holds} LIMIT $4 \
         ) waiting",
        &[("{holds}", HOLDS)],
    )
    .bind::<BigInt, _>(project)
    .bind::<Text, _>(staff_id)
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(MOST_ASTRAY + 1)
    .get_result(conn)?;
    Ok(counted.count)
}
