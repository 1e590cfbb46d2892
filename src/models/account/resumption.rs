//! Pauses that were lifted while deliveries waited for them. Whoever lifts one notes it in the same
//! transaction and makes those due after it, in rounds; what is still noted some time later, others do.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::pause::{self, PauseReason};
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, QueryResult, schema::resumptions};
use crate::ids::AccountId;

/// A pause that was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = resumptions)]
pub struct Resumption {
    /// The account.
    pub account_id: AccountId,
    /// What its deliveries wait for.
    pub reason: PauseReason,
    /// When it was lifted, UTC.
    pub lifted_at: NaiveDateTime,
}

#[derive(Serialize)]
struct Lifted {
    account_id: AccountId,
    reason: PauseReason,
    #[serde(serialize_with = "timestamp")]
    lifted_at: NaiveDateTime,
}

#[derive(Serialize)]
struct Done {
    account_id: AccountId,
    reason: PauseReason,
}

/// Notes that these pauses of an account are lifted.
pub fn note(
    conn: &mut Conn,
    account: AccountId,
    reasons: impl IntoIterator<Item = PauseReason>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    const NOTE: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("reason", Kind::Text),
            ("lifted_at", Kind::Timestamp),
        ],
        sql: "INSERT INTO resumptions (account_id, reason, lifted_at) \
              SELECT r.account_id, r.reason, r.lifted_at FROM {rows} WHERE true \
              ON CONFLICT (account_id, reason) DO UPDATE SET lifted_at = excluded.lifted_at",
    };
    let mut reasons: Vec<PauseReason> = reasons.into_iter().collect();
    // In one order, and each once: it is one statement for several rows.
    reasons.sort_unstable_by_key(|reason| reason.as_str());
    reasons.dedup();
    let lifted = |reason| Lifted {
        account_id: account,
        reason,
        lifted_at: now,
    };
    let rows: Vec<Lifted> = reasons.into_iter().map(lifted).collect();
    NOTE.execute(conn, &rows)?;
    Ok(())
}

/// All that are noted: mostly none.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<Resumption>> {
    resumptions::table
        .order((resumptions::account_id, resumptions::reason))
        .select(Resumption::as_select())
        .load(conn)
}

/// Those of an account. Until the transaction is over nobody notes or removes any of them.
pub fn hold(conn: &mut Conn, account: AccountId) -> QueryResult<Vec<Resumption>> {
    let noted = resumptions::table
        .filter(resumptions::account_id.eq(account))
        .order(resumptions::reason);
    if let Conn::Postgres(conn) = conn {
        noted
            .select(resumptions::reason)
            .for_update()
            .load::<PauseReason>(conn)?;
    }
    noted.select(Resumption::as_select()).load(conn)
}

/// What waited for these, which are held, is due.
pub fn done(conn: &mut Conn, rows: &[Resumption]) -> QueryResult<usize> {
    const DONE: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("reason", Kind::Text)],
        sql: "DELETE FROM resumptions WHERE EXISTS (SELECT 1 FROM {rows} \
              WHERE r.account_id = resumptions.account_id AND r.reason = resumptions.reason)",
    };
    let row = |row: &Resumption| Done {
        account_id: row.account_id,
        reason: row.reason,
    };
    let rows: Vec<Done> = rows.iter().map(row).collect();
    DONE.execute(conn, &rows)
}

/// Lifts the pauses of an account in which its owner had to act, notes it, and forgets WeChat's complaint.
/// Returns how many those were.
pub fn forgive(conn: &mut Conn, account: AccountId, now: NaiveDateTime) -> QueryResult<usize> {
    let lifted = pause::lift_stopped(conn, account)?;
    note(conn, account, [PauseReason::AccountProblem], now)?;
    super::clear_problem(conn, account)?;
    Ok(lifted)
}
