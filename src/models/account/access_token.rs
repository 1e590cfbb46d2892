//! The access token of each account, shared by all replicas.

use chrono::{NaiveDateTime, TimeDelta};

use crate::db::prelude::*;
use crate::db::{Conn, schema::access_tokens};
use crate::ids::AccountId;

/// An account's token row.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = access_tokens)]
pub struct StoredToken {
    /// The account.
    pub account_id: AccountId,
    /// The token, sealed; none before the first refresh and after an invalidation.
    pub sealed_token: Option<Vec<u8>>,
    /// How often it was replaced or thrown away.
    pub generation: i64,
    /// When WeChat stops accepting it, UTC.
    pub expires_at: NaiveDateTime,
    /// Which replica is refreshing it.
    pub lease_owner: Option<String>,
    /// Until when the others leave it to that replica, UTC.
    pub lease_until: Option<NaiveDateTime>,
}

/// The stored token of an account.
pub fn find(conn: &mut Conn, account: AccountId) -> QueryResult<Option<StoredToken>> {
    access_tokens::table
        .find(account)
        .select(StoredToken::as_select())
        .first(conn)
        .optional()
}

/// So far apart may the clocks of two processes be.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(1);

/// Takes the right to refresh, if nobody has it and the token is still of that generation.
/// Generation 0 stands for "no row yet".
pub fn take_lease(
    conn: &mut Conn,
    account: AccountId,
    generation: i64,
    owner: &str,
    now: NaiveDateTime,
    until: NaiveDateTime,
) -> QueryResult<bool> {
    if generation == 0 {
        let row = (
            access_tokens::account_id.eq(account),
            access_tokens::generation.eq(0),
            access_tokens::expires_at.eq(now),
        );
        crate::db::on_engine!(&mut *conn, conn => diesel::insert_into(access_tokens::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(conn))?;
    }
    diesel::update(
        access_tokens::table
            .find(account)
            .filter(access_tokens::generation.eq(generation))
            .filter(
                access_tokens::lease_until
                    .is_null()
                    .or(access_tokens::lease_until.le(now))
                    // Taken before the clock went back.
                    .or(access_tokens::lease_until.gt(until + CLOCKS_APART)),
            ),
    )
    .set((
        access_tokens::lease_owner.eq(owner),
        access_tokens::lease_until.eq(until),
    ))
    .execute(conn)
    .map(|rows| rows == 1)
}

/// Stores a refreshed token, unless the lease has meanwhile gone to somebody else. Returns the
/// new generation.
pub fn store(
    conn: &mut Conn,
    account: AccountId,
    owner: &str,
    sealed: &[u8],
    expires_at: NaiveDateTime,
) -> QueryResult<Option<i64>> {
    diesel::update(
        access_tokens::table
            .find(account)
            .filter(access_tokens::lease_owner.eq(owner)),
    )
    .set((
        access_tokens::sealed_token.eq(sealed),
        access_tokens::expires_at.eq(expires_at),
        access_tokens::generation.eq(access_tokens::generation + 1),
        access_tokens::lease_owner.eq(None::<String>),
        access_tokens::lease_until.eq(None::<NaiveDateTime>),
    ))
    .returning(access_tokens::generation)
    .get_result(conn)
    .optional()
}

/// Gives the right to refresh back after a failure.
pub fn release_lease(conn: &mut Conn, account: AccountId, owner: &str) -> QueryResult<()> {
    diesel::update(
        access_tokens::table
            .find(account)
            .filter(access_tokens::lease_owner.eq(owner)),
    )
    .set((
        access_tokens::lease_owner.eq(None::<String>),
        access_tokens::lease_until.eq(None::<NaiveDateTime>),
    ))
    .execute(conn)
    .map(drop)
}

/// Throws a token away if it is still the stored one. Returns whether it was.
pub fn invalidate(conn: &mut Conn, account: AccountId, generation: i64) -> QueryResult<bool> {
    diesel::update(
        access_tokens::table
            .find(account)
            .filter(access_tokens::generation.eq(generation)),
    )
    .set((
        access_tokens::sealed_token.eq(None::<Vec<u8>>),
        access_tokens::generation.eq(access_tokens::generation + 1),
    ))
    .execute(conn)
    .map(|rows| rows == 1)
}
