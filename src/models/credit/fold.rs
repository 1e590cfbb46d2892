//! Old entries of a ledger become one opening balance, so that neither the table nor the counting grows with
//! the years.
//!
//! An entry is old when nothing that is still to come can concern it. WeChat repeats a push within seconds, and
//! one that lay in a spool comes when that is emptied; a report is repeated by an app that was offline; a send
//! is settled, given back or refused when its try is recorded, which an outage of the database holds up. Each of
//! these is over within days, and [`AGE`] is many times that. Where a clock is wrong, age says nothing, so the
//! newest [`KEPT`] entries of a ledger stay whatever their age, and ledgers with few more are left alone.
//!
//! What is as old as the opening balance and comes all the same, such as an event that is replayed, is taken for
//! a part of it: mostly it is one. Nothing is sent without a permission because of that: WeChat's 43101 corrects.

use chrono::TimeDelta;
use diesel::dsl::count_star;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::EntryKind;
use super::balance::{self, EXPLAINS, Entry, Opening};
use super::record::lock;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::schema::{credit_entries as e, credits, sweeps};
use crate::db::{Conn, statement};
use crate::ids::{CreditEntryId, CreditId};

/// From when on an entry is old.
const AGE: TimeDelta = TimeDelta::days(30);
/// So far ahead may the clock of another process, or of a phone, be.
const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// The newest entries of a ledger that stay.
const KEPT: usize = 100;
/// A ledger is looked at when it has more old entries than this.
const CROWDED: i64 = 200;
/// Entries of one ledger that one round reads.
const READ: i64 = 4_000;
/// Entries that one round reads of all ledgers, if the first has not more.
const READ_IN_ALL: i64 = 8_000;
/// Entries that one round passes.
const PASSED: i64 = 1_000;
/// The walk's name in `sweeps`.
const SWEEP: &str = "old_permissions";

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Entries passed.
    pub passed: usize,
    /// Entries that are gone.
    pub gone: usize,
}

/// Seconds since 1970: up to when entries are old, and from when on a date is one that cannot be.
#[derive(Clone, Copy)]
struct Times {
    old: i64,
    unlikely: i64,
}

impl Times {
    fn at(now: i64) -> Self {
        Self {
            old: now.saturating_sub(AGE.num_seconds()),
            unlikely: now.saturating_add(AHEAD.num_seconds()),
        }
    }
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    position: i64,
}

/// Whether a round would find anything to look at. `now` in seconds since 1970.
pub fn has_old(conn: &mut Conn, now: i64) -> QueryResult<bool> {
    let position: Option<i64> = sweeps::table
        .find(SWEEP)
        .select(sweeps::position)
        .first(conn)
        .optional()?;
    let next = next(conn, position.unwrap_or_default(), 1, Times::at(now))?;
    Ok(!next.is_empty())
}

/// One round: looks at the ledgers of the next entries that have become old, and folds those that have many.
/// While another process is at it, nothing is done. `now` in seconds since 1970.
pub fn fold_old(conn: &mut Conn, now: i64) -> QueryResult<Folded> {
    let held: Vec<Position> = statement(
        conn,
        "SELECT position FROM sweeps WHERE name = $1 {skip_locked}",
    )
    .bind::<Text, _>(SWEEP)
    .load(conn)?;
    let Some(Position { position }) = held.first() else {
        return Ok(Folded::default());
    };
    let times = Times::at(now);
    let passed = next(conn, *position, PASSED, times)?;
    let Some((last, _)) = passed.last() else {
        return Ok(Folded::default());
    };
    let mut ledgers: Vec<CreditId> = passed.iter().map(|(_, credit)| *credit).collect();
    ledgers.sort_unstable();
    ledgers.dedup();
    let crowded = crowded(conn, &ledgers, times.old)?;
    lock(conn, &crowded)?;
    let mut gone = 0;
    for ledger in crowded {
        gone += fold(conn, ledger, times.old)?;
    }
    // There may be more of the same.
    if gone == 0 {
        diesel::update(sweeps::table.find(SWEEP))
            .set(sweeps::position.eq(last.0))
            .execute(conn)?;
    }
    Ok(Folded {
        passed: passed.len(),
        gone,
    })
}

/// Entry, its permission, when it happened.
type Passed = (CreditEntryId, CreditId);

/// The next entries that are old, in the order in which they were written; those behind one that is not wait with
/// it. A date in the future was written before the clock went back, and says nothing: such a one is as old as the
/// next one behind it that has a date to believe.
fn next(conn: &mut Conn, position: i64, limit: i64, times: Times) -> QueryResult<Vec<Passed>> {
    let after: Vec<(CreditEntryId, CreditId, i64)> = e::table
        .filter(e::id.gt(position))
        .order(e::id)
        .limit(limit)
        .select((e::id, e::credit_id, e::happened_time))
        .load(conn)?;
    let young = |(_, _, time): &(_, _, i64)| (times.old + 1..=times.unlikely).contains(time);
    let end = after.iter().position(young).unwrap_or(after.len());
    let mut old = after.get(..end).unwrap_or_default();
    let unlikely = |(_, _, time): &&(_, _, i64)| *time > times.unlikely;
    let dateless = old.iter().rev().take_while(unlikely).count();
    let behind_is_old = match old.last().filter(|_| dateless > 0 && end == after.len()) {
        Some((last, ..)) => {
            let behind: Option<i64> = e::table
                .filter(e::id.gt(*last))
                .filter(e::happened_time.le(times.unlikely))
                .order(e::id)
                .select(e::happened_time)
                .first(conn)
                .optional()?;
            behind.is_some_and(|time| time <= times.old)
        }
        None => false,
    };
    if !behind_is_old {
        old = old.get(..old.len() - dateless).unwrap_or_default();
    }
    Ok(old.iter().map(|(id, credit, _)| (*id, *credit)).collect())
}

/// Those of the ledgers that have many old entries, no more than a round can read.
fn crowded(conn: &mut Conn, ledgers: &[CreditId], old: i64) -> QueryResult<Vec<CreditId>> {
    let counted: Vec<(CreditId, i64)> = e::table
        .filter(e::credit_id.eq_any(ledgers))
        .filter(e::happened_time.le(old))
        .group_by(e::credit_id)
        .having(count_star().gt(CROWDED))
        .order(e::credit_id)
        .select((e::credit_id, count_star()))
        .load(conn)?;
    let mut room = READ_IN_ALL;
    let fits = counted.into_iter().take_while(|(_, entries)| {
        let begins_with_room = room > 0;
        room -= READ.min(*entries);
        begins_with_room
    });
    Ok(fits.map(|(ledger, _)| ledger).collect())
}

/// Folds a ledger that is locked, as far as one round reads. Returns how many entries are gone.
fn fold(conn: &mut Conn, ledger: CreditId, old: i64) -> QueryResult<usize> {
    #[derive(Serialize)]
    struct Gone {
        entry: CreditEntryId,
    }
    const DELETE: Batch = Batch {
        columns: &[("entry", Kind::BigInt)],
        sql: "DELETE FROM credit_entries WHERE id IN (SELECT r.entry FROM {rows})",
    };
    let known: Option<(i64, i64, i64, i32)> = credits::table
        .find(ledger)
        .select((
            credits::withdrawn_time,
            credits::refused_time,
            credits::folded_time,
            credits::folded_left,
        ))
        .first(conn)
        .optional()?;
    let Some((withdrawn_time, refused_time, time, left)) = known else {
        return Ok(0);
    };
    let rows: Vec<(CreditEntryId, EntryKind, i64, i64)> = e::table
        .filter(e::credit_id.eq(ledger))
        .order((e::happened_time, e::id))
        .limit(READ)
        .select((e::id, e::kind, e::happened_time, e::mark))
        .load(conn)?;
    let entries: Vec<Entry> = rows
        .iter()
        .map(|&(_, kind, time, mark)| Entry { kind, time, mark })
        .collect();
    let opening = Opening { time, left };
    let until = until(&entries, old).filter(|until| *until > opening.time);
    let Some(until) = until else {
        return Ok(0);
    };
    let floor = withdrawn_time.max(refused_time);
    let (opening, gone) = balance::fold(opening, floor, until, &entries);
    let gone: Vec<Gone> = rows
        .iter()
        .zip(gone)
        .filter(|(_, is_gone)| *is_gone)
        .map(|((entry, ..), _)| Gone { entry: *entry })
        .collect();
    if gone.is_empty() {
        return Ok(0);
    }
    diesel::update(credits::table.find(ledger))
        .set((
            credits::folded_time.eq(opening.time),
            credits::folded_left.eq(opening.left),
        ))
        .execute(conn)?;
    DELETE.execute(conn, &gone)
}

/// Up to when entries can be folded, of which these are the oldest, in their order.
fn until(entries: &[Entry], old: i64) -> Option<i64> {
    let newest_to_go = entries.len().checked_sub(KEPT + 1)?;
    let until = entries.get(newest_to_go)?.time.min(old);
    let last = entries.last()?;
    let all = i64::try_from(entries.len()).is_ok_and(|read| read < READ);
    // What explains an entry may lie behind it, and has to be among those that were read.
    Some(match all {
        true => until,
        false => until.min(last.time.saturating_sub(EXPLAINS + 1)),
    })
}
