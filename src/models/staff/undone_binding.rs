//! Bindings that were undone, since their person turned out to be another staff member already.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Timestamp};

use crate::db::prelude::*;
use crate::db::{Conn, schema::identities, schema::staff, schema::undone_bindings, statement};
use crate::ids::{AccountId, IdentityId, StaffRowId, UndoneBindingId};

/// A binding that was undone.
#[derive(Clone, Debug, Queryable)]
pub struct UndoneBinding {
    /// Row id.
    pub id: UndoneBindingId,
    /// The account of the openid.
    pub account_id: AccountId,
    /// The openid that was bound, or that told who the person is.
    pub openid: String,
    /// The staff member who is bound to the person; none if there is no such one any more.
    pub kept_staff_id: Option<String>,
    /// When it was undone, UTC.
    pub undone_at: NaiveDateTime,
}

/// One to add.
#[derive(Insertable)]
#[diesel(table_name = undone_bindings)]
pub struct NewUndone {
    /// Whose binding it was.
    pub staff_row_id: StaffRowId,
    /// The openid that was bound, or that told who the person is.
    pub identity_id: IdentityId,
    /// The staff member who stays bound.
    pub kept_row_id: StaffRowId,
    /// When the person is to be told in the chat; none: they are not.
    pub tell_at: Option<NaiveDateTime>,
    /// Now.
    pub undone_at: NaiveDateTime,
}

/// Adds one.
pub fn add(conn: &mut Conn, row: &NewUndone) -> QueryResult<()> {
    diesel::insert_into(undone_bindings::table)
        .values(row)
        .execute(conn)
        .map(drop)
}

/// The last ones of a staff member, newest first.
pub fn of_staff(conn: &mut Conn, row: StaffRowId, limit: i64) -> QueryResult<Vec<UndoneBinding>> {
    use undone_bindings as u;
    u::table
        .inner_join(identities::table)
        .left_join(staff::table.on(u::kept_row_id.eq(staff::id.nullable())))
        .filter(u::staff_row_id.eq(row))
        .order(u::id.desc())
        .limit(limit)
        .select((
            u::id,
            identities::account_id,
            identities::openid,
            staff::staff_id.nullable(),
            u::undone_at,
        ))
        .load(conn)
}

/// Somebody who is to be told.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Untold {
    /// Through which openid.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// When it was undone, UTC.
    #[diesel(sql_type = Timestamp)]
    pub undone_at: NaiveDateTime,
}

/// Takes one of whom nobody has been told, so that no other process does.
pub fn take_untold(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<Option<Untold>> {
    statement(
        conn,
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM undone_bindings WHERE tell_at IS NOT NULL AND tell_at <= $1 \
             ORDER BY tell_at LIMIT 1 {skip_locked} \
         ) UPDATE undone_bindings SET tell_at = NULL WHERE id IN (SELECT id FROM due) \
         RETURNING identity_id, undone_at",
    )
    .bind::<Timestamp, _>(now)
    .get_result(conn)
    .optional()
}
