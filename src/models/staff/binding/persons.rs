//! Bindings by person: to whom somebody is bound, through whichever of their openids or by the unionid.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};
use serde::Serialize;

use super::Binding;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, Engine, schema::bindings, statement};
use crate::ids::{BindingId, IdentityId, ProjectId, StaffRowId};

/// The projects of those of these identities that are bound themselves, in the order of their ids.
pub fn projects_of_bound(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<ProjectId>> {
    bindings::table
        .filter(bindings::identity_id.eq_any(ids.iter().map(|id| Some(*id))))
        .order(bindings::project_id)
        .select(bindings::project_id)
        .distinct()
        .load(conn)
}

/// Makes others who hold the person with this unionid wait until this transaction ends. There is no row
/// that stands for a unionid, as nobody may have been seen with it. SQLite has one writer anyhow.
pub fn hold_person(conn: &mut Conn, project: ProjectId, unionid: &str) -> QueryResult<()> {
    if conn.engine() == Engine::Sqlite {
        return Ok(());
    }
    statement(
        conn,
        "SELECT pg_advisory_xact_lock(hashtextextended($2, $1))",
    )
    .bind::<BigInt, _>(project)
    .bind::<Text, _>(unionid)
    .execute(conn)
    .map(drop)
}

/// A binding of a person.
#[derive(Clone, Debug, QueryableByName)]
pub struct OfPerson {
    /// The person's unionid.
    #[diesel(sql_type = Text)]
    pub person: String,
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: BindingId,
    /// The project.
    #[diesel(sql_type = BigInt)]
    pub project_id: ProjectId,
    /// The staff member.
    #[diesel(sql_type = BigInt)]
    pub staff_row_id: StaffRowId,
    /// The same, by the business's own id.
    #[diesel(sql_type = Text)]
    pub staff_id: String,
    /// As in [`Binding`].
    #[diesel(sql_type = Nullable<BigInt>)]
    pub identity_id: Option<IdentityId>,
    /// As in [`Binding`].
    #[diesel(sql_type = Nullable<Text>)]
    pub unionid: Option<String>,
    /// When it was made, UTC.
    #[diesel(sql_type = Timestamp)]
    pub created_at: NaiveDateTime,
}

impl OfPerson {
    /// The binding by itself.
    pub fn binding(&self) -> Binding {
        Binding {
            id: self.id,
            project_id: self.project_id,
            staff_row_id: self.staff_row_id,
            identity_id: self.identity_id,
            unionid: self.unionid.clone(),
            created_at: self.created_at,
        }
    }
}

#[derive(Serialize)]
struct Id {
    id: IdentityId,
}

/// Every binding of the people to whom these identities belong, as far as their unionids are known, in
/// the order in which they were made.
pub fn of_persons(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<OfPerson>> {
    const BOUND: Batch = Batch {
        columns: &[("id", Kind::BigInt)],
        sql: include_str!("persons.sql"),
    };
    let rows: Vec<Id> = ids.iter().map(|id| Id { id: *id }).collect();
    BOUND.load(conn, &rows)
}
