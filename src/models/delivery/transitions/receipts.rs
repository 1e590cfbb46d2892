//! Deliveries that a receipt closes, or the lack of one.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use serde::Serialize;

use super::Arrow;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::{DeliveryState, Reason};

/// What [`close_by_receipts`] writes.
#[derive(Serialize)]
pub(in crate::models::delivery) struct ByReceipt {
    id: DeliveryId,
    state: DeliveryState,
    reason: Option<Reason>,
    detail: Option<String>,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// A receipt says that it arrived.
pub(in crate::models::delivery) fn receipt_arrived(
    id: DeliveryId,
    now: NaiveDateTime,
) -> ByReceipt {
    ByReceipt {
        id,
        state: Arrow::ReceiptArrived.to(),
        reason: None,
        detail: None,
        now,
    }
}

/// A receipt says that it did not arrive.
pub(in crate::models::delivery) fn receipt_failed(
    id: DeliveryId,
    detail: String,
    now: NaiveDateTime,
) -> ByReceipt {
    ByReceipt {
        id,
        state: Arrow::ReceiptFailed.to(),
        reason: Some(Reason::ReceiptFailed),
        detail: Some(detail),
        now,
    }
}

/// A delivery that a receipt closed.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct ClosedByReceipt {
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

impl ClosedByReceipt {
    /// Whether its message did not arrive.
    pub(in crate::models::delivery) fn has_failed(&self) -> bool {
        self.state == DeliveryState::Failed
    }
}

/// Closes deliveries by their receipts. Returns those that were open.
pub(in crate::models::delivery) fn close_by_receipts(
    conn: &mut Conn,
    rows: &[ByReceipt],
) -> QueryResult<Vec<ClosedByReceipt>> {
    const CLOSE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("state", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = r.state, reason = r.reason, \
              detail = r.detail, finished_at = r.now, due_at = NULL \
              FROM {rows} WHERE deliveries.id = r.id AND deliveries.state IN ('sent', 'no_receipt') \
              RETURNING deliveries.id, deliveries.notification_id, deliveries.attempts, \
              deliveries.detail, deliveries.state",
    };
    let mut rows: Vec<&ByReceipt> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    CLOSE.load(conn, &rows)
}

/// A delivery whose receipt has not come.
#[derive(Serialize)]
pub(in crate::models::delivery) struct Overdue {
    pub(in crate::models::delivery) id: DeliveryId,
    /// One that was sent once more since then is left for its newer attempt.
    #[serde(serialize_with = "timestamp")]
    pub(in crate::models::delivery) sent_before: NaiveDateTime,
    #[serde(serialize_with = "timestamp")]
    pub(in crate::models::delivery) now: NaiveDateTime,
}

#[derive(QueryableByName)]
struct Closed {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
}

/// No receipt came in time. Returns the deliveries that were still waiting for one.
pub(in crate::models::delivery) fn receipt_missing(
    conn: &mut Conn,
    rows: &[Overdue],
) -> QueryResult<Vec<DeliveryId>> {
    const CLOSE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("sent_before", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = 'no_receipt', reason = 'no_receipt', \
              detail = 'WeChat accepted the message, and its receipt did not come in time. It may \
              have arrived. A receipt that comes later still counts.', finished_at = r.now \
              FROM {rows} WHERE deliveries.id = r.id AND deliveries.state = 'sent' \
              AND deliveries.sent_at <= r.sent_before RETURNING deliveries.id",
    };
    let mut rows: Vec<&Overdue> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    let closed: Vec<Closed> = CLOSE.load(conn, &rows)?;
    Ok(closed.into_iter().map(|closed| closed.id).collect())
}
