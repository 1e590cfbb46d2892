//! Receipts: WeChat's word on what became of a message, joined to deliveries by msgid.

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::transitions::{
    ByReceipt, ClosedByReceipt, Outcome, close_by_receipts, receipt_arrived, receipt_failed,
};
use crate::clock::Day;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, statement};
use crate::ids::{AccountId, DeliveryId, NotificationId, ProjectId};
use crate::models::notification;
use crate::models::stats::{Key, Metric};

/// Characters of WeChat's word for why a message did not arrive, as it is counted by.
const REASON_MAX: usize = 64;

/// A receipt to store.
#[derive(Clone, Debug, Serialize)]
pub struct NewReceipt {
    /// The account that sent the message.
    pub account_id: AccountId,
    /// WeChat's id of the message.
    pub msgid: i64,
    /// Whether it arrived.
    pub delivered: bool,
    /// WeChat's word for why not.
    pub reason: Option<String>,
    /// CreateTime of the event.
    pub create_time: i64,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
    /// With which day it is counted.
    pub stats_day: Day,
}

/// A receipt that was stored.
#[derive(Clone, Debug, QueryableByName)]
pub struct StoredReceipt {
    /// The account that sent the message.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Whether it arrived.
    #[diesel(sql_type = Bool)]
    pub delivered: bool,
    /// WeChat's word for why not.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = Integer)]
    stats_day: i32,
}

impl StoredReceipt {
    /// The number in which it counts, in its project.
    pub fn counted(&self, project: ProjectId) -> Key {
        counted(
            project,
            Day(self.stats_day),
            (self.account_id, self.delivered, self.reason.as_deref()),
        )
    }
}

/// The number in which a receipt counts: its account, whether its message arrived, and WeChat's word for why not.
pub fn counted(
    project: ProjectId,
    day: Day,
    (account, delivered, reason): (AccountId, bool, Option<&str>),
) -> Key {
    let result = match delivered {
        true => "delivered",
        false => "failed",
    };
    let reason: String = reason
        .unwrap_or_default()
        .chars()
        .take(REASON_MAX)
        .collect();
    Key::new(project, day, Metric::Receipts)
        .of_account(account)
        .named(result)
        .because(reason)
}

/// Stores receipts, to be joined at once; a repeated one is left as it is. Returns those that were stored.
pub fn insert_many(conn: &mut Conn, rows: &[NewReceipt]) -> QueryResult<Vec<StoredReceipt>> {
    const INSERT: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("msgid", Kind::BigInt),
            ("delivered", Kind::Bool),
            ("reason", Kind::Text),
            ("create_time", Kind::BigInt),
            ("now", Kind::Timestamp),
            ("stats_day", Kind::Integer),
        ],
        sql: "INSERT INTO receipts (account_id, msgid, delivered, reason, create_time, tries, \
              due_at, created_at, stats_day) SELECT r.account_id, r.msgid, r.delivered, r.reason, \
              r.create_time, 0, r.now, r.now, r.stats_day FROM {rows} WHERE TRUE ON CONFLICT DO NOTHING \
              RETURNING account_id, delivered, reason, stats_day",
    };
    INSERT.load(conn, rows)
}

#[derive(QueryableByName)]
struct DueReceipt {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Bool)]
    delivered: bool,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Integer)]
    tries: i32,
    #[diesel(sql_type = Timestamp)]
    created_at: NaiveDateTime,
    #[diesel(sql_type = Nullable<BigInt>)]
    delivery_id: Option<DeliveryId>,
    #[diesel(sql_type = Nullable<BigInt>)]
    notification_id: Option<NotificationId>,
}

#[derive(Serialize)]
struct Looked {
    id: i64,
    tries: i32,
    #[serde(serialize_with = "maybe_timestamp")]
    due_at: Option<NaiveDateTime>,
}

/// What one round of joining did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Receipts looked at.
    pub looked_at: usize,
    /// Receipts that have a delivery.
    pub joined: usize,
    /// The deliveries that they closed.
    pub closed: Vec<ClosedByReceipt>,
}

impl Settled {
    /// The deliveries whose message did not arrive.
    pub fn failed(&self) -> impl Iterator<Item = &ClosedByReceipt> {
        self.closed.iter().filter(|closed| closed.has_failed())
    }

    /// All that were closed.
    pub fn ids(&self) -> Vec<DeliveryId> {
        self.closed.iter().map(|closed| closed.id).collect()
    }
}

/// Joins receipts that are due to their deliveries. One without a delivery is looked at again
/// ever more rarely, and no more after `give_up` (it belongs to a message of another system).
pub fn settle(
    conn: &mut Conn,
    now: NaiveDateTime,
    give_up: TimeDelta,
    limit: i64,
) -> QueryResult<Settled> {
    let receipts = due(conn, now, limit)?;
    let failing = receipts.iter().filter(|receipt| !receipt.delivered);
    let failing: BTreeSet<NotificationId> = failing
        .filter_map(|receipt| receipt.notification_id)
        .collect();
    if !failing.is_empty() {
        // Before their deliveries are written, as a cancellation takes them in this order.
        notification::hold(conn, &failing.into_iter().collect::<Vec<_>>())?;
    }
    let closing: Vec<ByReceipt> = receipts
        .iter()
        .filter_map(|receipt| {
            let id = receipt.delivery_id?;
            Some(match receipt.delivered {
                true => receipt_arrived(id, now),
                false => receipt_failed(id, explain(receipt.reason.as_deref()), now),
            })
        })
        .collect();
    let looked: Vec<Looked> = receipts
        .iter()
        .map(|receipt| Looked {
            id: receipt.id,
            tries: receipt.tries + 1,
            due_at: match receipt.delivery_id {
                Some(_) => None,
                None => next_look(receipt.tries, receipt.created_at, now, give_up),
            },
        })
        .collect();
    let closed = close_by_receipts(conn, &closing)?;
    look_again(conn, &looked)?;
    Ok(Settled {
        looked_at: receipts.len(),
        joined: closing.len(),
        closed,
    })
}

fn due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<DueReceipt>> {
    statement(
        conn,
        "SELECT r.id, r.delivered, r.reason, r.tries, r.created_at, d.id AS delivery_id, d.notification_id \
         FROM receipts r LEFT JOIN deliveries d \
         ON d.account_id = r.account_id AND d.msgid = r.msgid \
         WHERE r.due_at IS NOT NULL AND r.due_at <= $1 ORDER BY r.due_at LIMIT $2 {skip_locked_r}",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit.max(0))
    .load(conn)
}

fn look_again(conn: &mut Conn, rows: &[Looked]) -> QueryResult<usize> {
    const LOOK_AGAIN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("tries", Kind::Integer),
            ("due_at", Kind::Timestamp),
        ],
        sql: "UPDATE receipts SET tries = r.tries, due_at = r.due_at FROM {rows} \
              WHERE receipts.id = r.id",
    };
    LOOK_AGAIN.execute(conn, rows)
}

/// WeChat's word for a message that did not arrive, in a sentence.
fn explain(reason: Option<&str>) -> String {
    match reason {
        Some("user block") => "The person refuses the account's messages (user block). Only they \
                               can change that, in WeChat."
            .to_owned(),
        Some(reason) => format!("WeChat took the message and could not deliver it ({reason})."),
        None => "WeChat took the message and could not deliver it.".to_owned(),
    }
}

/// 1, 2, 4 … seconds apart, ever longer: recording a send makes its receipt due, so looking only
/// catches the two that crossed, and all receipts of another system's messages are looked at.
fn next_look(
    tries: i32,
    created_at: NaiveDateTime,
    now: NaiveDateTime,
    give_up: TimeDelta,
) -> Option<NaiveDateTime> {
    let seconds = 1_i64 << tries.clamp(0, 16);
    (now - created_at < give_up).then(|| now + TimeDelta::seconds(seconds))
}

/// Makes receipts due that are to be looked at later, at most `limit` of them: the clock went back.
/// Returns how many those are.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    // One that is being looked at gets its next time by that.
    statement(
        conn,
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM receipts WHERE due_at IS NOT NULL AND due_at > $1 \
             ORDER BY due_at LIMIT $2 {skip_locked} \
         ) UPDATE receipts SET due_at = $1 WHERE id IN (SELECT id FROM planned)",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// A message whose receipt may have come before it was recorded.
#[derive(Serialize)]
struct Awaited {
    account_id: AccountId,
    msgid: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Makes the receipts due that wait for the msgids of outcomes, once these are recorded: not in the same
/// transaction, where it would hold deliveries, as those who join receipts lock them first. Returns how
/// many those are.
pub fn wake_receipts(conn: &mut Conn, rows: &[Outcome]) -> QueryResult<usize> {
    const WAKE_RECEIPTS: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("msgid", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE receipts SET due_at = r.now FROM {rows} \
              WHERE receipts.account_id = r.account_id AND receipts.msgid = r.msgid \
              AND receipts.due_at IS NOT NULL AND {unsynced}",
    };
    let mut awaited: Vec<Awaited> = rows
        .iter()
        .filter_map(|row| {
            Some(Awaited {
                account_id: row.account_id?,
                msgid: row.msgid?,
                now: row.now,
            })
        })
        .collect();
    awaited.sort_unstable_by_key(|one| (one.account_id, one.msgid));
    WAKE_RECEIPTS.execute(conn, &awaited)
}
