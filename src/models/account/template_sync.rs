//! When each account's templates were last listed at WeChat, and when they are again.

use chrono::{NaiveDateTime, TimeDelta};

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::template_syncs};
use crate::ids::AccountId;

/// A listing that was asked for is not made sooner than this after the last one.
const REST: TimeDelta = TimeDelta::minutes(1);

/// An account's listings.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = template_syncs)]
pub struct Sync {
    /// The account.
    pub account_id: AccountId,
    /// When the next one is due, or until when it is leased, UTC; none for only on demand.
    pub due_at: Option<NaiveDateTime>,
    /// When the last good one was asked for, UTC.
    pub synced_at: Option<NaiveDateTime>,
    /// Failures in a row.
    pub attempts: i32,
    /// WeChat's code of the last failure.
    pub problem_code: Option<i64>,
    /// The last failure in words, until one works.
    pub problem: Option<String>,
}

/// Wants the templates of an account listed soon.
pub fn want(conn: &mut Conn, account: AccountId, now: NaiveDateTime) -> QueryResult<()> {
    let known = find(conn, account)?;
    let rested = known.as_ref().and_then(|known| known.synced_at);
    let soon = rested.map_or(now, |synced_at| now.max(synced_at + REST));
    let due_at = known.and_then(|known| known.due_at);
    let due_at = due_at.map_or(soon, |due_at| due_at.min(soon));
    put_due(conn, account, Some(due_at))
}

/// Sets when the next one is due.
pub fn put_due(
    conn: &mut Conn,
    account: AccountId,
    due_at: Option<NaiveDateTime>,
) -> QueryResult<()> {
    let row = (
        template_syncs::account_id.eq(account),
        template_syncs::due_at.eq(due_at),
        template_syncs::attempts.eq(0),
    );
    on_engine!(conn, conn => diesel::insert_into(template_syncs::table)
        .values(row)
        .on_conflict(template_syncs::account_id)
        .do_update()
        .set(template_syncs::due_at.eq(due_at))
        .execute(conn))
    .map(drop)
}

/// The listings of an account.
pub fn find(conn: &mut Conn, account: AccountId) -> QueryResult<Option<Sync>> {
    template_syncs::table
        .find(account)
        .select(Sync::as_select())
        .first(conn)
        .optional()
}

/// The listings of the given accounts.
pub fn of_accounts(conn: &mut Conn, accounts: &[AccountId]) -> QueryResult<Vec<Sync>> {
    template_syncs::table
        .filter(template_syncs::account_id.eq_any(accounts))
        .select(Sync::as_select())
        .load(conn)
}

/// The account whose listing has been due longest.
pub fn due(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<Option<Sync>> {
    template_syncs::table
        .filter(template_syncs::due_at.le(now))
        .order(template_syncs::due_at)
        .select(Sync::as_select())
        .first(conn)
        .optional()
}

/// Leases a listing that was found due. Returns false if another process was faster.
pub fn claim(conn: &mut Conn, due: &Sync, lease_until: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(
        template_syncs::table
            .find(due.account_id)
            .filter(template_syncs::due_at.eq(due.due_at)),
    )
    .set(template_syncs::due_at.eq(lease_until))
    .execute(conn)
    .map(|rows| rows == 1)
}

/// Makes all listings due: the clock went back, and leases would last as much longer.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(template_syncs::table.filter(template_syncs::due_at.gt(now)))
        .set(template_syncs::due_at.eq(now))
        .execute(conn)
}

/// Records a good listing that was asked for at `asked_at`. Returns false if a later one is
/// recorded already, whose templates must stay. Until the transaction ends no other is recorded.
pub fn succeeded(
    conn: &mut Conn,
    account: AccountId,
    asked_at: NaiveDateTime,
) -> QueryResult<bool> {
    // There may be no row yet.
    let row = (
        template_syncs::account_id.eq(account),
        template_syncs::attempts.eq(0),
    );
    on_engine!(&mut *conn, conn => diesel::insert_into(template_syncs::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn))?;
    diesel::update(
        template_syncs::table.find(account).filter(
            template_syncs::synced_at
                .is_null()
                .or(template_syncs::synced_at.le(asked_at)),
        ),
    )
    .set((
        template_syncs::synced_at.eq(asked_at),
        template_syncs::attempts.eq(0),
        template_syncs::problem_code.eq(None::<i64>),
        template_syncs::problem.eq(None::<String>),
    ))
    .execute(conn)
    .map(|rows| rows == 1)
}

/// Records a failed listing. Returns how many failed before it in a row.
pub fn failed(
    conn: &mut Conn,
    account: AccountId,
    code: Option<i64>,
    problem: &str,
) -> QueryResult<i32> {
    let before = find(conn, account)?;
    let attempts = before.as_ref().map_or(0, |before| before.attempts);
    put_due(conn, account, before.and_then(|before| before.due_at))?;
    diesel::update(template_syncs::table.find(account))
        .set((
            template_syncs::attempts.eq(attempts.saturating_add(1)),
            template_syncs::problem_code.eq(code),
            template_syncs::problem.eq(problem),
        ))
        .execute(conn)?;
    Ok(attempts)
}
