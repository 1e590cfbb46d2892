//! Pauses: accounts that may not send for a while, or one call of theirs. Shared by all processes.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text, Timestamp};
use serde::Serialize;

use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::account_pauses, text_enum};
use crate::ids::AccountId;

/// The `call` of a pause that concerns all calls of the account.
pub const ALL_CALLS: &str = "";

text_enum! {
    /// What ends a pause.
    pub enum PauseKind {
        /// Its owner has to act: one delivery is tried now and then.
        Stopped = "stopped",
        /// It passes by itself: one delivery is tried, soon and then ever more rarely.
        BackingOff = "backing_off",
        /// Time. One delivery is tried before that, after a while and then ever more rarely.
        UsedUp = "used_up",
    }
}

text_enum! {
    /// Why there is a pause; the same word is the reason of the deliveries that wait for it.
    pub enum PauseReason {
        /// WeChat's quota of the day is used up.
        QuotaUsedUp = "quota_used_up",
        /// The configured budget of the day is used up.
        BudgetUsedUp = "budget_used_up",
        /// WeChat says that the calls come too fast.
        TooFrequent = "too_frequent",
        /// WeChat refuses the account.
        AccountProblem = "account_problem",
        /// WeChat is busy, or is not reached.
        Busy = "busy",
        /// WeChat does not answer.
        NoAnswer = "no_answer",
    }
}

/// What was resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Pauses that were lifted.
    pub lifted: usize,
    /// Deliveries that waited for them, and are due at once.
    pub hastened: usize,
}

/// A pause as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_pauses)]
pub struct AccountPause {
    /// The account.
    pub account_id: AccountId,
    /// Its call, or [`ALL_CALLS`].
    pub call: String,
    /// What ends it.
    pub kind: PauseKind,
    /// Why.
    pub reason: PauseReason,
    /// The same in a sentence.
    pub detail: String,
    /// When it is over, or one delivery is tried, UTC.
    pub until: NaiveDateTime,
    /// How often it was renewed because a try failed, and 1.
    pub failures: i32,
    /// Since when, UTC.
    pub since: NaiveDateTime,
    /// When one delivery is tried before it is over, UTC.
    pub probe_at: Option<NaiveDateTime>,
}

impl Named {
    /// Whether what waits for it waits long after it was lifted. What waited for WeChat to be less busy, or
    /// for a midnight that has come, has its own time, and not a far one.
    pub fn is_far(&self, now: NaiveDateTime) -> bool {
        match self.kind {
            PauseKind::Stopped => true,
            PauseKind::UsedUp => now < self.until,
            PauseKind::BackingOff => false,
        }
    }
}

impl AccountPause {
    /// Whether nothing may be sent at that time.
    pub fn holds(&self, now: NaiveDateTime) -> bool {
        now < self.probe_at.unwrap_or(self.until)
    }

    /// Whether it has ended by time alone.
    pub fn is_over(&self, now: NaiveDateTime) -> bool {
        now >= self.until && self.kind == PauseKind::UsedUp
    }

    /// Whether only a try may be sent at that time.
    pub fn probes(&self, now: NaiveDateTime) -> bool {
        !self.holds(now) && !self.is_over(now)
    }
}

/// A pause to set.
#[derive(Clone, Debug, Serialize)]
pub struct NewPause {
    /// The account.
    pub account_id: AccountId,
    /// Its call, or [`ALL_CALLS`].
    pub call: &'static str,
    /// What ends it.
    pub kind: PauseKind,
    /// Why.
    pub reason: PauseReason,
    /// The same in a sentence.
    pub detail: String,
    /// When it is over, or one delivery is tried.
    #[serde(serialize_with = "timestamp")]
    pub until: NaiveDateTime,
    /// When one delivery is tried before that.
    #[serde(serialize_with = "maybe_timestamp")]
    pub probe_at: Option<NaiveDateTime>,
    /// When the try began that says so: what began before a pause does not renew it.
    #[serde(serialize_with = "timestamp")]
    pub started_at: NaiveDateTime,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Sets or renews pauses. One in force is renewed only by a try made after it, or by one that says
/// more than that WeChat is slow. What is used up on another day is a pause of its own.
pub fn set(conn: &mut Conn, rows: &[NewPause]) -> QueryResult<usize> {
    const SET: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("call", Kind::Text),
            ("kind", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("until", Kind::Timestamp),
            ("probe_at", Kind::Timestamp),
            ("started_at", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: include_str!("pause/set.sql"),
    };
    SET.execute(conn, rows)
}

/// A pause that is over, or has begun.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Named {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its call, or [`ALL_CALLS`].
    #[diesel(sql_type = Text)]
    pub call: String,
    /// What ends it.
    #[diesel(sql_type = Text)]
    pub kind: PauseKind,
    /// Why.
    #[diesel(sql_type = Text)]
    pub reason: PauseReason,
    /// When it would be over, or one delivery tried.
    #[diesel(sql_type = Timestamp)]
    pub until: NaiveDateTime,
}

/// Of pauses that were set, those that nobody has been told of yet. Each is returned once.
pub fn alert(conn: &mut Conn, rows: &[NewPause]) -> QueryResult<Vec<Named>> {
    const ALERT: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("call", Kind::Text)],
        sql: "UPDATE account_pauses SET alerted = true FROM {rows} \
              WHERE account_pauses.account_id = r.account_id AND account_pauses.call = r.call \
              AND NOT account_pauses.alerted RETURNING account_pauses.account_id, \
              account_pauses.call, account_pauses.kind, account_pauses.reason, account_pauses.until",
    };
    ALERT.load(conn, rows)
}

/// A call that has worked.
#[derive(Clone, Debug, Serialize)]
pub struct Worked {
    /// The account.
    pub account_id: AccountId,
    /// Its call.
    pub call: &'static str,
    /// When it began: a pause that was set since then stays.
    #[serde(serialize_with = "timestamp")]
    pub started_at: NaiveDateTime,
}

/// Lifts the pauses of calls that have worked. Of a configured budget that is used up, a call says nothing
/// that was counted before it was.
pub fn lift(conn: &mut Conn, rows: &[Worked]) -> QueryResult<Vec<Named>> {
    const FIND: Batch = Batch {
        columns: WORKED,
        sql: "SELECT c.account_id, c.call, c.kind, c.reason, c.until FROM account_pauses c \
              WHERE EXISTS (SELECT 1 FROM {rows} \
              WHERE r.account_id = c.account_id AND c.call IN ('', r.call) \
              AND c.set_at < r.started_at AND (c.kind <> 'used_up' OR c.until <= r.started_at \
                  OR c.probe_at <= r.started_at \
                  OR c.probe_at IS NOT NULL AND c.reason <> 'budget_used_up')) \
              ORDER BY c.account_id, c.call {lock_c}",
    };
    let found: Vec<Named> = FIND.load(conn, rows)?;
    remove(conn, &found)?;
    Ok(found)
}

const WORKED: &[(&str, Kind)] = &[
    ("account_id", Kind::BigInt),
    ("call", Kind::Text),
    ("started_at", Kind::Timestamp),
];

/// Removes pauses that are held.
fn remove(conn: &mut Conn, pauses: &[Named]) -> QueryResult<()> {
    for pause in pauses {
        diesel::delete(account_pauses::table.find((pause.account_id, &pause.call)))
            .execute(conn)?;
    }
    Ok(())
}

/// Lifts the pause of an account for which there was no token, as the quota of that call was used up: now
/// there is one, which was asked for at that time. Returns until when it would have lasted.
pub fn lift_without_token(
    conn: &mut Conn,
    account: AccountId,
    asked_at: NaiveDateTime,
) -> QueryResult<Option<NaiveDateTime>> {
    // No other call's quota concerns all calls.
    let found = account_pauses::table
        .find((account, ALL_CALLS))
        .filter(account_pauses::reason.eq(PauseReason::QuotaUsedUp))
        .filter(account_pauses::set_at.le(asked_at));
    let until = found.select(account_pauses::until).first(conn).optional()?;
    if until.is_some() {
        diesel::delete(found).execute(conn)?;
    }
    Ok(until)
}

/// A call of which fewer were counted on a day than may be.
#[derive(Clone, Debug, Serialize)]
pub struct Roomy {
    /// The account.
    pub account_id: AccountId,
    /// Its call.
    pub call: &'static str,
    /// The day in Beijing, counted from 1970.
    pub day: i64,
    /// When that day is over.
    #[serde(serialize_with = "timestamp")]
    pub until: NaiveDateTime,
    /// How many may be made on it.
    pub most: i64,
}

/// Which of these calls are paused as their budget of the day was used up, and have room again: mostly none.
pub fn roomy(conn: &mut Conn, rows: &[Roomy]) -> QueryResult<Vec<Named>> {
    const FIND: Batch = Batch {
        columns: ROOMY,
        sql: "SELECT p.account_id, p.call, p.kind, p.reason, p.until FROM account_pauses p \
              WHERE p.reason = 'budget_used_up' AND EXISTS ( \
                  SELECT 1 FROM {rows} JOIN budgets b ON b.account_id = r.account_id \
                  AND b.call = r.call AND b.day = r.day WHERE b.used < r.most \
                  AND r.account_id = p.account_id AND r.call = p.call AND p.until <= r.until)",
    };
    FIND.load(conn, rows)
}

/// Lifts the pauses of calls whose configured budget was used up on a day and is not any more. What is
/// stopped for longer than that day is so because of another one's.
pub fn lift_roomy(conn: &mut Conn, rows: &[Roomy]) -> QueryResult<Vec<Named>> {
    const LIFT: Batch = Batch {
        columns: ROOMY,
        sql: "DELETE FROM account_pauses WHERE reason = 'budget_used_up' AND EXISTS ( \
                  SELECT 1 FROM {rows} JOIN budgets b ON b.account_id = r.account_id \
                  AND b.call = r.call AND b.day = r.day WHERE b.used < r.most \
                  AND r.account_id = account_pauses.account_id AND r.call = account_pauses.call \
                  AND account_pauses.until <= r.until) \
              RETURNING account_id, call, kind, reason, until",
    };
    LIFT.load(conn, rows)
}

const ROOMY: &[(&str, Kind)] = &[
    ("account_id", Kind::BigInt),
    ("call", Kind::Text),
    ("day", Kind::BigInt),
    ("until", Kind::Timestamp),
    ("most", Kind::BigInt),
];

/// Lifts all pauses of an account. Returns how many there were.
pub fn clear(conn: &mut Conn, account: AccountId) -> QueryResult<usize> {
    hold(conn, account)?;
    diesel::delete(account_pauses::table.filter(account_pauses::account_id.eq(account)))
        .execute(conn)
}

/// Lifts the pauses of an account in which its owner had to act. Returns how many those were.
pub(super) fn lift_stopped(conn: &mut Conn, account: AccountId) -> QueryResult<usize> {
    hold(conn, account)?;
    let stopped = account_pauses::kind.eq(PauseKind::Stopped);
    let of_account = account_pauses::account_id.eq(account);
    diesel::delete(account_pauses::table.filter(of_account.and(stopped))).execute(conn)
}

/// The pauses of an account. Until the transaction is over nobody changes or lifts any of them. All who hold
/// several do so in this order.
pub fn hold(conn: &mut Conn, account: AccountId) -> QueryResult<Vec<AccountPause>> {
    if let Conn::Postgres(conn) = conn {
        account_pauses::table
            .filter(account_pauses::account_id.eq(account))
            .order(account_pauses::call)
            .select(account_pauses::call)
            .for_update()
            .load::<String>(conn)?;
    }
    of_account(conn, account)
}

/// Of the pauses in whose place these would come, those with another reason.
pub fn of_other_reasons(conn: &mut Conn, rows: &[NewPause]) -> QueryResult<Vec<Named>> {
    const FIND: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("call", Kind::Text),
            ("reason", Kind::Text),
        ],
        sql: "SELECT p.account_id, p.call, p.kind, p.reason, p.until FROM account_pauses p \
              JOIN {rows} ON r.account_id = p.account_id AND r.call = p.call AND r.reason <> p.reason",
    };
    FIND.load(conn, rows)
}

/// Every pause of the installation.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<AccountPause>> {
    account_pauses::table
        .order((account_pauses::account_id, account_pauses::call))
        .select(AccountPause::as_select())
        .load(conn)
}

/// The pauses of an account.
pub fn of_account(conn: &mut Conn, account: AccountId) -> QueryResult<Vec<AccountPause>> {
    account_pauses::table
        .filter(account_pauses::account_id.eq(account))
        .order(account_pauses::call)
        .select(AccountPause::as_select())
        .load(conn)
}
