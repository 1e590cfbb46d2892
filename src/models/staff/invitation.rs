//! Invitations: one-time tokens, known by their SHA-256, that bind whoever presents them to a
//! staff member.

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::invitations, schema::staff, text_enum};
use crate::ids::{AccountId, IdentityId, InvitationId, ProjectId, StaffRowId};

text_enum! {
    /// Why an invitation was not accepted.
    pub enum Refusal {
        /// It was presented to another project.
        Foreign = "foreign",
        /// It was presented to another account of the project than it is for.
        WrongAccount = "wrong_account",
        /// Another person has used it.
        Used = "used",
        /// It was revoked, or a newer one took its place.
        Revoked = "revoked",
        /// It was presented too late.
        Expired = "expired",
        /// The staff member is bound to somebody else.
        AlreadyBound = "already_bound",
        /// The person is another staff member.
        PersonAlreadyBound = "person_already_bound",
    }
}

text_enum! {
    /// What can still become of an invitation.
    pub enum State {
        /// It can be used.
        Open = "open",
        /// It has been used.
        Used = "used",
        /// It was revoked before anybody used it.
        Revoked = "revoked",
        /// Nobody used it in time.
        Expired = "expired",
    }
}

/// An invitation.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = invitations)]
pub struct Invitation {
    /// Row id.
    pub id: InvitationId,
    /// The project.
    pub project_id: ProjectId,
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The official account whose QR code carries the token.
    pub account_id: AccountId,
    /// The mini-program where it is good too, if any.
    pub mini_program_id: Option<AccountId>,
    /// Whether it may take the place of the staff member's bindings to somebody else.
    pub rebind: bool,
    /// When it was made, UTC.
    pub created_at: NaiveDateTime,
    /// From when on it is refused, UTC.
    pub expires_at: NaiveDateTime,
    /// When it was used, UTC.
    pub used_at: Option<NaiveDateTime>,
    /// By whom.
    pub used_by: Option<IdentityId>,
    /// When it was revoked, UTC.
    pub revoked_at: Option<NaiveDateTime>,
    /// Why it was last refused.
    pub refusal: Option<Refusal>,
    /// When it was last refused, UTC.
    pub refused_at: Option<NaiveDateTime>,
    /// To whom, if that is known in this project.
    pub refused_to: Option<IdentityId>,
}

impl Invitation {
    /// What can still become of it.
    pub fn state(&self, now: NaiveDateTime) -> State {
        match (self.used_at, self.revoked_at) {
            (Some(_), _) => State::Used,
            (None, Some(_)) => State::Revoked,
            (None, None) if now >= self.expires_at => State::Expired,
            (None, None) => State::Open,
        }
    }
}

/// An invitation to add.
#[derive(Insertable)]
#[diesel(table_name = invitations)]
pub struct NewInvitation<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// The staff member.
    pub staff_row_id: StaffRowId,
    /// The official account.
    pub account_id: AccountId,
    /// The mini-program.
    pub mini_program_id: Option<AccountId>,
    /// SHA-256 of the token.
    pub token_hash: &'a [u8],
    /// Whether it may rebind.
    pub rebind: bool,
    /// Now.
    pub created_at: NaiveDateTime,
    /// From when on it is refused, UTC.
    pub expires_at: NaiveDateTime,
}

/// An invitation with what finds it and whom it is for: hash, invitation, staff id.
pub type Presentable = (Vec<u8>, Invitation, String);

/// Adds an invitation.
pub fn create(conn: &mut Conn, invitation: &NewInvitation<'_>) -> QueryResult<Invitation> {
    on_engine!(conn, conn => diesel::insert_into(invitations::table)
        .values(invitation)
        .returning(Invitation::as_returning())
        .get_result(conn))
}

/// The invitations with one of these hashes, used or not.
pub fn by_hashes(conn: &mut Conn, hashes: &[&[u8]]) -> QueryResult<Vec<Presentable>> {
    invitations::table
        .inner_join(staff::table)
        .filter(invitations::token_hash.eq_any(hashes))
        .select((
            invitations::token_hash,
            Invitation::as_select(),
            staff::staff_id,
        ))
        .load(conn)
}

/// A page of a staff member's invitations, newest first, with ids below `before`.
pub fn list(
    conn: &mut Conn,
    row: StaffRowId,
    before: Option<InvitationId>,
    limit: i64,
) -> QueryResult<Vec<Invitation>> {
    let mut query = invitations::table
        .filter(invitations::staff_row_id.eq(row))
        .order(invitations::id.desc())
        .limit(limit)
        .select(Invitation::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(invitations::id.lt(before));
    }
    query.load(conn)
}

/// One invitation of a staff member.
pub fn find(conn: &mut Conn, row: StaffRowId, id: InvitationId) -> QueryResult<Option<Invitation>> {
    invitations::table
        .find(id)
        .filter(invitations::staff_row_id.eq(row))
        .select(Invitation::as_select())
        .first(conn)
        .optional()
}

/// Revokes one invitation, unless it is used or revoked already.
pub fn revoke(conn: &mut Conn, id: InvitationId, now: NaiveDateTime) -> QueryResult<()> {
    let unused = invitations::table
        .find(id)
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null());
    diesel::update(unused)
        .set(invitations::revoked_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Revokes the unused invitations of a staff member to an account, for a newer one.
pub fn revoke_open(
    conn: &mut Conn,
    row: StaffRowId,
    account: AccountId,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let unused = invitations::table
        .filter(invitations::staff_row_id.eq(row))
        .filter(invitations::account_id.eq(account))
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null());
    diesel::update(unused)
        .set(invitations::revoked_at.eq(now))
        .execute(conn)
}

/// Uses an invitation up. Returns false if it was used or revoked before.
pub fn mark_used(
    conn: &mut Conn,
    id: InvitationId,
    by: IdentityId,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let unused = invitations::table
        .find(id)
        .filter(invitations::used_at.is_null())
        .filter(invitations::revoked_at.is_null());
    diesel::update(unused)
        .set((invitations::used_at.eq(now), invitations::used_by.eq(by)))
        .execute(conn)
        .map(|rows| rows == 1)
}

/// The invitation through which a staff member was bound to an identity at that time.
pub fn used_for(
    conn: &mut Conn,
    row: StaffRowId,
    by: IdentityId,
    at: NaiveDateTime,
) -> QueryResult<Option<InvitationId>> {
    invitations::table
        .filter(invitations::used_by.eq(by))
        .filter(invitations::staff_row_id.eq(row))
        .filter(invitations::used_at.eq(at))
        .select(invitations::id)
        .first(conn)
        .optional()
}

/// Takes back that an invitation was used. Nobody else can use it: whoever did has seen it.
pub fn take_back(conn: &mut Conn, id: InvitationId, now: NaiveDateTime) -> QueryResult<()> {
    diesel::update(invitations::table.find(id))
        .set((
            invitations::used_at.eq(None::<NaiveDateTime>),
            invitations::used_by.eq(None::<IdentityId>),
            invitations::revoked_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Keeps why an invitation was last refused.
pub fn note_refusal(
    conn: &mut Conn,
    id: InvitationId,
    refusal: Refusal,
    to: Option<IdentityId>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    diesel::update(invitations::table.find(id))
        .set((
            invitations::refusal.eq(refusal),
            invitations::refused_at.eq(now),
            invitations::refused_to.eq(to),
        ))
        .execute(conn)
        .map(drop)
}
