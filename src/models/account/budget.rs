//! Budgets: how much of a call an account has used, counted before the calls are made.

use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, schema::budgets};
use crate::ids::AccountId;

/// Uses of one call, wanted or given back.
#[derive(Clone, Debug, Serialize)]
pub struct Uses {
    /// The account.
    pub account_id: AccountId,
    /// The call.
    pub call: &'static str,
    /// The day in Beijing, counted from 1970.
    pub day: i64,
    /// The second, counted from 1970.
    pub second: i64,
    /// The minute, counted from 1970.
    pub minute: i64,
    /// How many.
    pub count: i64,
}

/// What is used, with what was just wanted.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Used {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The call.
    #[diesel(sql_type = Text)]
    pub call: String,
    /// On that day.
    #[diesel(sql_type = BigInt)]
    pub used: i64,
    /// In that second.
    #[diesel(sql_type = BigInt)]
    pub second_used: i64,
    /// In that minute.
    #[diesel(sql_type = BigInt)]
    pub minute_used: i64,
}

const COLUMNS: &[(&str, Kind)] = &[
    ("account_id", Kind::BigInt),
    ("call", Kind::Text),
    ("day", Kind::BigInt),
    ("second", Kind::BigInt),
    ("minute", Kind::BigInt),
    ("count", Kind::BigInt),
];

/// Counts what is wanted, and returns how much is used with it. Until the transaction is over,
/// others who want the same wait: so it is to be one of its own. What turns out to be too much is to be
/// given back; until then others count with it, and may find a limit reached that is not. It is not waited
/// for the disk: what is sent is recorded durably after it, and that makes this durable too.
pub fn reserve(conn: &mut Conn, wanted: &[Uses]) -> QueryResult<Vec<Used>> {
    const RESERVE: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO budgets (account_id, call, day, used, second, second_used, minute, \
              minute_used) SELECT r.account_id, r.call, r.day, r.count, r.second, r.count, \
              r.minute, r.count FROM {rows} WHERE {unsynced} \
              ON CONFLICT (account_id, call, day) DO UPDATE SET \
              used = budgets.used + excluded.used, \
              second_used = excluded.second_used + CASE \
                  WHEN budgets.second = excluded.second THEN budgets.second_used ELSE 0 END, \
              second = excluded.second, \
              minute_used = excluded.minute_used + CASE \
                  WHEN budgets.minute = excluded.minute THEN budgets.minute_used ELSE 0 END, \
              minute = excluded.minute \
              RETURNING account_id, call, used, second_used, minute_used",
    };
    RESERVE.load(conn, wanted)
}

/// How often an account has made a call on a day, those under way among them. Until the transaction is
/// over nobody counts more or less of it.
pub fn hold(conn: &mut Conn, account: AccountId, call: &str, day: i64) -> QueryResult<i64> {
    let row = budgets::table
        .find((account, call, day))
        .select(budgets::used);
    let used: Option<i64> = match conn {
        Conn::Postgres(conn) => row.for_update().first(conn).optional()?,
        Conn::Sqlite(conn) => row.first(conn).optional()?,
    };
    Ok(used.unwrap_or_default())
}

/// How often each of the accounts has made each call on a day in Beijing, counted from 1970.
pub fn of_day(
    conn: &mut Conn,
    accounts: &[AccountId],
    day: i64,
) -> QueryResult<Vec<(AccountId, String, i64)>> {
    budgets::table
        .filter(budgets::account_id.eq_any(accounts))
        .filter(budgets::day.eq(day))
        .select((budgets::account_id, budgets::call, budgets::used))
        .load(conn)
}

/// Takes back what was counted and not used: one statement for each call, in the order in which all who
/// hold several do. Without a transaction around it, it holds one row at a time, and waits for nobody who
/// waits for it.
pub fn give_back(conn: &mut Conn, unused: &[Uses]) -> QueryResult<()> {
    const GIVE_BACK: Batch = Batch {
        columns: COLUMNS,
        sql: "UPDATE budgets SET used = budgets.used - r.count, \
              second_used = budgets.second_used - CASE \
                  WHEN budgets.second = r.second THEN r.count ELSE 0 END, \
              minute_used = budgets.minute_used - CASE \
                  WHEN budgets.minute = r.minute THEN r.count ELSE 0 END FROM {rows} \
              WHERE budgets.account_id = r.account_id AND budgets.call = r.call \
              AND budgets.day = r.day",
    };
    let mut unused: Vec<&Uses> = unused.iter().collect();
    unused.sort_unstable_by_key(|uses| (uses.account_id, uses.call, uses.day));
    for uses in unused {
        GIVE_BACK.execute(conn, &[uses])?;
    }
    Ok(())
}
