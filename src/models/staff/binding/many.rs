//! The bindings of many staff members.

use crate::db::prelude::*;
use crate::db::{Conn, schema::accounts, schema::bindings, schema::identities};
use crate::ids::StaffRowId;

/// Whom a staff member is bound to: an openid in an account, or a unionid.
#[derive(Clone, Debug, Queryable)]
pub struct BoundTo {
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The unionid, if the binding is to one.
    pub unionid: Option<String>,
    /// The account of the openid.
    pub app_id: Option<String>,
    /// The openid, if the binding is to one.
    pub openid: Option<String>,
}

/// The bindings of each of these staff members, oldest first.
pub fn of_many(conn: &mut Conn, staff: &[StaffRowId]) -> QueryResult<Vec<BoundTo>> {
    bindings::table
        .left_join(identities::table.inner_join(accounts::table))
        .filter(bindings::staff_row_id.eq_any(staff))
        .order(bindings::id)
        .select((
            bindings::staff_row_id,
            bindings::unionid,
            accounts::app_id.nullable(),
            identities::openid.nullable(),
        ))
        .load(conn)
}
