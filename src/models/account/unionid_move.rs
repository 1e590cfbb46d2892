//! Accounts whose people came with other unionids: since when, how many, and whether somebody was
//! told.

use std::collections::HashMap;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::account_moves, schema::accounts};
use crate::ids::{AccountId, ProjectId};

/// After so long without another change, a change belongs to another move.
pub const OVER_AFTER: TimeDelta = TimeDelta::days(30);

/// What is known of an account's move.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_moves)]
pub struct AccountMove {
    /// The account.
    pub account_id: AccountId,
    /// When the first openid came with another unionid, UTC.
    pub since: NaiveDateTime,
    /// When the last one did, UTC.
    pub last_at: NaiveDateTime,
    /// How many did.
    pub changed: i64,
}

#[derive(Serialize)]
struct Row {
    account_id: AccountId,
    changed: i64,
    #[serde(serialize_with = "timestamp")]
    stale: NaiveDateTime,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Counts changes of an account.
pub fn count(
    conn: &mut Conn,
    account: AccountId,
    changed: i64,
    now: NaiveDateTime,
) -> QueryResult<()> {
    const COUNT: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("changed", Kind::BigInt),
            ("stale", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO account_moves (account_id, since, last_at, changed) \
              SELECT r.account_id, r.now, r.now, r.changed FROM {rows} WHERE TRUE \
              ON CONFLICT (account_id) DO UPDATE SET \
              changed = CASE WHEN account_moves.last_at < (SELECT stale FROM {rows}) \
                  THEN 0 ELSE account_moves.changed END + excluded.changed, \
              since = CASE WHEN account_moves.last_at < (SELECT stale FROM {rows}) \
                  THEN excluded.since ELSE account_moves.since END, \
              last_at = excluded.last_at",
    };
    let row = Row {
        account_id: account,
        changed,
        stale: now - OVER_AFTER,
        now,
    };
    COUNT.execute(conn, &[row]).map(drop)
}

/// Whether it is time to tell of the account's move again, the last time being `pause` ago; then it
/// is noted as told.
pub fn take_turn_to_tell(
    conn: &mut Conn,
    account: AccountId,
    pause: TimeDelta,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    use account_moves as m;
    diesel::update(
        m::table
            .find(account)
            .filter(m::told_at.is_null().or(m::told_at.le(now - pause))),
    )
    .set(m::told_at.eq(now))
    .execute(conn)
    .map(|rows| rows > 0)
}

/// The moves of a project's accounts.
pub fn of_project(
    conn: &mut Conn,
    project: ProjectId,
) -> QueryResult<HashMap<AccountId, AccountMove>> {
    let rows: Vec<AccountMove> = account_moves::table
        .inner_join(accounts::table)
        .filter(accounts::project_id.eq(project))
        .select(AccountMove::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.account_id, row)).collect())
}

/// The move of one account, if there was any.
pub fn of_account(conn: &mut Conn, account: AccountId) -> QueryResult<Option<AccountMove>> {
    account_moves::table
        .find(account)
        .select(AccountMove::as_select())
        .first(conn)
        .optional()
}
