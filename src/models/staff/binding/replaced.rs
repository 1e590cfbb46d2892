//! Bindings that an invitation replaced while it was not known who presented it: they come back if the new
//! one is undone.

use chrono::NaiveDateTime;

use super::{Binding, NewBinding};
use crate::db::prelude::*;
use crate::db::{Conn, schema::replaced_bindings as r};
use crate::ids::{BindingId, IdentityId, ProjectId, StaffRowId};

/// Keeps what a binding replaced.
pub fn keep_replaced(conn: &mut Conn, by: BindingId, replaced: &[Binding]) -> QueryResult<()> {
    for one in replaced {
        diesel::insert_into(r::table)
            .values((
                r::binding_id.eq(by),
                r::identity_id.eq(one.identity_id),
                r::unionid.eq(one.unionid.as_deref()),
                r::created_at.eq(one.created_at),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// A binding that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Replaced {
    /// As in [`Binding`].
    pub identity_id: Option<IdentityId>,
    /// As in [`Binding`].
    pub unionid: Option<String>,
    /// When it was made, UTC.
    pub created_at: NaiveDateTime,
}

impl Replaced {
    /// The binding once more.
    pub fn again(&self, project_id: ProjectId, staff_row_id: StaffRowId) -> NewBinding<'_> {
        NewBinding {
            project_id,
            staff_row_id,
            identity_id: self.identity_id,
            unionid: self.unionid.as_deref(),
            created_at: self.created_at,
        }
    }
}

/// What a binding replaced, oldest first. They are gone with it.
pub fn replaced(conn: &mut Conn, by: BindingId) -> QueryResult<Vec<Replaced>> {
    r::table
        .filter(r::binding_id.eq(by))
        .order(r::id)
        .select((r::identity_id, r::unionid, r::created_at))
        .load(conn)
}
