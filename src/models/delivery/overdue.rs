//! Messages whose receipt has not come in time.
//!
//! They are found by walking over the attempts in the order in which they were stored, which is the
//! order of time, once each. So sending pays for no index: one over the time of sending would be
//! written for every message, and one over the state would have a receipt write all the others too.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::sql_types::{BigInt, Text};

use super::attempt::AttemptOutcome;
use super::transitions::{Overdue, receipt_missing};
use crate::db::prelude::*;
use crate::db::schema::{attempts, sweeps};
use crate::db::{Conn, statement};
use crate::ids::{AttemptId, DeliveryId};

/// The walk's name in `sweeps`.
const SWEEP: &str = "no_receipt";

/// So far ahead may the clock of another process be.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverdueRound {
    /// Attempts looked at.
    pub looked_at: usize,
    /// Deliveries closed.
    pub closed: Vec<DeliveryId>,
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    position: i64,
}

/// Whether a round would find anything to look at.
pub fn has_overdue(
    conn: &mut Conn,
    sent_before: NaiveDateTime,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let position: Option<i64> = sweeps::table
        .find(SWEEP)
        .select(sweeps::position)
        .first(conn)
        .optional()?;
    let next = old(conn, position.unwrap_or_default(), 1, (sent_before, now))?;
    Ok(!next.is_empty())
}

/// Closes deliveries that WeChat accepted up to `sent_before` and that have no receipt: one round
/// over at most `limit` attempts. While another process is at it, nothing is done.
pub fn close_overdue(
    conn: &mut Conn,
    sent_before: NaiveDateTime,
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<OverdueRound> {
    let held: Vec<Position> = statement(
        conn,
        "SELECT position FROM sweeps WHERE name = $1 {skip_locked}",
    )
    .bind::<Text, _>(SWEEP)
    .load(conn)?;
    let Some(Position { position }) = held.first() else {
        return Ok(OverdueRound::default());
    };
    // Attempts recorded together may end some seconds apart; those behind one that is too young
    // wait with it.
    let old = old(conn, *position, limit, (sent_before, now))?;
    let Some((last, ..)) = old.last() else {
        return Ok(OverdueRound::default());
    };
    let accepted: Vec<Overdue> = old
        .iter()
        .filter(|(_, _, outcome, _)| *outcome == AttemptOutcome::Accepted)
        .map(|(_, id, _, at)| Overdue {
            id: *id,
            sent_before: sent_before.max(*at),
            now,
        })
        .collect();
    diesel::update(sweeps::table.find(SWEEP))
        .set(sweeps::position.eq(last.0))
        .execute(conn)?;
    Ok(OverdueRound {
        looked_at: old.len(),
        closed: receipt_missing(conn, &accepted)?,
    })
}

/// The next attempts that are old. One that is dated later than now was made before the clock went back,
/// or by a process whose clock is ahead: its date says nothing. It is as old as the next one behind it that
/// has a date to believe, and must not hold that up. Where its time has come meanwhile, what is behind it
/// waits with it: never twice as long as others.
fn old(
    conn: &mut Conn,
    position: i64,
    limit: i64,
    (sent_before, now): (NaiveDateTime, NaiveDateTime),
) -> QueryResult<Vec<Tried>> {
    let latest = now + AHEAD;
    let mut next = after(conn, position, limit)?;
    let mut is_old = match next.last() {
        Some((last, _, _, at)) if *at > latest => {
            let behind: Option<NaiveDateTime> = attempts::table
                .filter(attempts::id.gt(*last))
                .filter(attempts::finished_at.le(latest))
                .order(attempts::id)
                .select(attempts::finished_at)
                .first(conn)
                .optional()?;
            behind.is_some_and(|at| at <= sent_before)
        }
        _ => false,
    };
    let mut count = 0;
    let mut verdicts: Vec<bool> = Vec::with_capacity(next.len());
    for (_, _, _, at) in next.iter().rev() {
        if *at <= latest {
            is_old = *at <= sent_before;
        }
        verdicts.push(is_old);
    }
    while verdicts.pop() == Some(true) {
        count += 1;
    }
    next.truncate(count);
    Ok(next)
}

/// Id, delivery, outcome and end of an attempt.
type Tried = (AttemptId, DeliveryId, AttemptOutcome, NaiveDateTime);

fn after(conn: &mut Conn, position: i64, limit: i64) -> QueryResult<Vec<Tried>> {
    attempts::table
        .filter(attempts::id.gt(position))
        .order(attempts::id)
        .limit(limit)
        .select((
            attempts::id,
            attempts::delivery_id,
            attempts::outcome,
            attempts::finished_at,
        ))
        .load(conn)
}
