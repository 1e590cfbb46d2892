//! The outbox: recording what came of a try.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{DeliveryState, Reason};
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId};

/// What came of one try.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The delivery.
    pub id: DeliveryId,
    /// [`super::Due::attempts`]: a try whose lease has run out does not overwrite a later one, except
    /// that WeChat accepted the message, which is true whenever it is learnt.
    pub attempt: i32,
    /// The new state.
    pub state: DeliveryState,
    /// A stable word for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to try again, for one that stays queued.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub due_at: Option<NaiveDateTime>,
    /// Kept while it is not known whether a try took effect.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub unsettled_since: Option<NaiveDateTime>,
    /// The account sent from, to find a receipt that came first.
    #[serde(skip)]
    pub account_id: Option<AccountId>,
    /// WeChat's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msgid: Option<i64>,
    /// When WeChat accepted it.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub sent_at: Option<NaiveDateTime>,
    /// When it came to its end.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub finished_at: Option<NaiveDateTime>,
    /// 1 if the account spoilt the try, which then does not count against the message.
    #[serde(skip_serializing_if = "is_zero")]
    pub spoilt: i32,
    /// Now.
    #[serde(skip)]
    pub now: NaiveDateTime,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A message whose receipt may have come before it was recorded.
#[derive(Serialize)]
struct Awaited {
    account_id: AccountId,
    msgid: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Records outcomes. Returns how many were.
pub fn record(conn: &mut Conn, rows: &[Outcome]) -> QueryResult<usize> {
    const RECORD: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("state", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("due_at", Kind::Timestamp),
            ("unsettled_since", Kind::Timestamp),
            ("msgid", Kind::BigInt),
            ("sent_at", Kind::Timestamp),
            ("finished_at", Kind::Timestamp),
            ("spoilt", Kind::Integer),
        ],
        // Of somebody who is erased while it is tried, that stays the reason until it was sent after all.
        sql: "UPDATE deliveries SET state = r.state, \
              reason = CASE WHEN deliveries.reason = 'erased' AND r.state IN ('queued', 'cancelled') \
                  THEN 'erased' ELSE r.reason END, \
              detail = CASE WHEN deliveries.reason = 'erased' AND r.state IN ('queued', 'cancelled') \
                  THEN deliveries.detail ELSE r.detail END, \
              due_at = r.due_at, leased_until = NULL, \
              unsettled_since = r.unsettled_since, msgid = r.msgid, \
              sent_at = r.sent_at, finished_at = r.finished_at, \
              spoilt = deliveries.spoilt + COALESCE(r.spoilt, 0) FROM {rows} \
              WHERE deliveries.id = r.id AND ( \
                  deliveries.state = 'queued' \
                  AND (deliveries.attempts = r.attempt OR r.state IN ('sent', 'delivered')) \
                  OR deliveries.state = 'unknown' AND r.state = 'delivered' \
                  OR deliveries.state IN ('sent', 'unknown', 'no_receipt') AND deliveries.msgid IS NULL \
                  AND r.state = 'sent' AND r.msgid IS NOT NULL)",
    };
    RECORD.execute(conn, &in_order(rows))
}

/// In the order in which all who write several deliveries do, so that no two wait for each other. The
/// database takes the rows of a large table as they come.
fn in_order(rows: &[Outcome]) -> Cow<'_, [Outcome]> {
    if rows.is_sorted_by_key(|row| row.id) {
        return Cow::Borrowed(rows);
    }
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.id);
    Cow::Owned(rows)
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
