//! Receipts: WeChat's word on what became of a message, joined to deliveries by msgid.

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::DeliveryState;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId, NotificationId};
use crate::models::notification;

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
}

/// Stores receipts, to be joined at once; a repeated one is left as it is.
pub fn insert_many(conn: &mut Conn, rows: &[NewReceipt]) -> QueryResult<usize> {
    const INSERT: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("msgid", Kind::BigInt),
            ("delivered", Kind::Bool),
            ("reason", Kind::Text),
            ("create_time", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO receipts (account_id, msgid, delivered, reason, create_time, tries, \
              due_at, created_at) SELECT r.account_id, r.msgid, r.delivered, r.reason, \
              r.create_time, 0, r.now, r.now FROM {rows} WHERE TRUE ON CONFLICT DO NOTHING",
    };
    INSERT.execute(conn, rows)
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
struct Closed {
    id: DeliveryId,
    delivered: bool,
    detail: Option<String>,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
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
    pub closed: Vec<Ended>,
}

/// A delivery that a receipt closed.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Ended {
    /// The delivery.
    #[diesel(sql_type = BigInt)]
    pub id: DeliveryId,
    /// Its notification, which cannot be cancelled before the transaction is over.
    #[diesel(sql_type = BigInt)]
    pub notification_id: NotificationId,
    /// Its tries.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// Why its message did not arrive, in a sentence.
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
    #[diesel(sql_type = Text)]
    state: DeliveryState,
}

impl Settled {
    /// The deliveries whose message did not arrive.
    pub fn failed(&self) -> impl Iterator<Item = &Ended> {
        self.closed
            .iter()
            .filter(|ended| ended.state == DeliveryState::Failed)
    }

    /// All that were closed.
    pub fn ids(&self) -> Vec<DeliveryId> {
        self.closed.iter().map(|ended| ended.id).collect()
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
    let closed: Vec<Closed> = receipts
        .iter()
        .filter_map(|receipt| {
            Some(Closed {
                id: receipt.delivery_id?,
                delivered: receipt.delivered,
                detail: (!receipt.delivered).then(|| explain(receipt.reason.as_deref())),
                now,
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
    let ended = close(conn, &closed)?;
    look_again(conn, &looked)?;
    Ok(Settled {
        looked_at: receipts.len(),
        joined: closed.len(),
        closed: ended,
    })
}

fn due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<DueReceipt>> {
    let lock = match conn.engine().skip_locked() {
        "" => "",
        _ => "FOR UPDATE OF r SKIP LOCKED",
    };
    let now = now.format("%F %T%.f");
    let limit = limit.max(0);
    sql_query(format!(
        "SELECT r.id, r.delivered, r.reason, r.tries, r.created_at, d.id AS delivery_id, d.notification_id \
         FROM receipts r LEFT JOIN deliveries d \
         ON d.account_id = r.account_id AND d.msgid = r.msgid \
         WHERE r.due_at IS NOT NULL AND r.due_at <= '{now}' ORDER BY r.due_at LIMIT {limit} {lock}"
    ))
    .load(conn)
}

/// Returns those that were open.
fn close(conn: &mut Conn, rows: &[Closed]) -> QueryResult<Vec<Ended>> {
    const CLOSE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("delivered", Kind::Bool),
            ("detail", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET \
              state = CASE WHEN r.delivered THEN 'delivered' ELSE 'failed' END, \
              reason = CASE WHEN r.delivered THEN NULL ELSE 'receipt_failed' END, \
              detail = r.detail, finished_at = r.now, due_at = NULL \
              FROM {rows} WHERE deliveries.id = r.id AND deliveries.state IN ('sent', 'no_receipt') \
              RETURNING deliveries.id, deliveries.notification_id, deliveries.attempts, \
              deliveries.detail, deliveries.state",
    };
    let mut rows: Vec<&Closed> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    CLOSE.load(conn, &rows)
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
    let (lock, time) = (conn.engine().skip_locked(), now.format("%F %T%.f"));
    // One that is being looked at gets its next time by that.
    sql_query(format!(
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM receipts WHERE due_at IS NOT NULL AND due_at > '{time}' \
             ORDER BY due_at LIMIT {limit} {lock} \
         ) UPDATE receipts SET due_at = '{time}' WHERE id IN (SELECT id FROM planned)"
    ))
    .execute(conn)
}
