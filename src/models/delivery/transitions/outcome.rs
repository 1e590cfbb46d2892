//! What came of tries: one row each, and one statement that records them.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Arrow;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId};
use crate::models::delivery::{DeliveryState, Due, Reason};

/// What came of one try. Made by the function of an arrow, which gives it its state.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The delivery.
    pub id: DeliveryId,
    /// [`Due::attempts`]: a try whose lease has run out does not overwrite a later one, except
    /// that WeChat accepted the message, which is true whenever it is learnt.
    pub attempt: i32,
    state: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    due_at: Option<NaiveDateTime>,
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    unsettled_since: Option<NaiveDateTime>,
    /// The account sent from, to find a receipt that came first.
    #[serde(skip)]
    pub account_id: Option<AccountId>,
    /// WeChat's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msgid: Option<i64>,
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    sent_at: Option<NaiveDateTime>,
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    finished_at: Option<NaiveDateTime>,
    /// 1 if the account spoilt the try, which then does not count against the message.
    #[serde(skip_serializing_if = "is_zero")]
    spoilt: i32,
    /// Now.
    #[serde(skip)]
    pub now: NaiveDateTime,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Why it came to that: a stable word, and the same in a sentence.
pub type Why = (Reason, String);

impl Outcome {
    fn by(arrow: Arrow, due: &Due, now: NaiveDateTime) -> Self {
        Self {
            id: due.id,
            attempt: due.attempts,
            state: arrow.to(),
            reason: None,
            detail: None,
            due_at: None,
            unsettled_since: None,
            account_id: due.account_id,
            msgid: None,
            sent_at: None,
            finished_at: None,
            spoilt: 0,
            now,
        }
    }

    /// One that is at its end, and not sent.
    fn ended(arrow: Arrow, due: &Due, (reason, detail): Why, now: NaiveDateTime) -> Self {
        Self {
            reason: Some(reason),
            detail: Some(detail),
            finished_at: Some(now),
            ..Self::by(arrow, due, now)
        }
    }

    /// The new state.
    pub fn state(&self) -> DeliveryState {
        self.state
    }

    /// Whether the delivery comes to an end by it.
    pub fn is_end(&self) -> bool {
        self.finished_at.is_some()
    }

    /// The account spoilt the try, which then does not count against the message.
    #[must_use]
    pub fn spoilt_by_account(self, is_spoilt: bool) -> Self {
        let spoilt = i32::from(is_spoilt);
        Self { spoilt, ..self }
    }

    /// A refusal that is in doubt is no end: it is tried again, and `doubt` says why.
    #[must_use]
    pub fn tried_again_instead(self, due_at: NaiveDateTime, doubt: &str) -> Self {
        Self {
            state: Arrow::TriedAgain.to(),
            due_at: Some(due_at),
            detail: self.detail.map(|said| format!("{said} {doubt}")),
            finished_at: None,
            ..self
        }
    }
}

/// WeChat accepted the message at `at`, under that msgid, and its receipt is to come. Of a delivery that was sent
/// already, or of which that was not known, [`record`] makes the arrow `msgid_learnt` of it.
pub fn taken(due: &Due, at: NaiveDateTime, msgid: Option<i64>) -> Outcome {
    Outcome {
        msgid,
        sent_at: Some(at),
        ..Outcome::by(Arrow::Taken, due, at)
    }
}

/// The message was accepted at `at`, on a channel without receipts. Of a delivery of which that was not known, [`record`]
/// makes the arrow `arrival_learnt` of it.
pub fn arrived(due: &Due, at: NaiveDateTime, msgid: Option<i64>) -> Outcome {
    Outcome {
        msgid,
        sent_at: Some(at),
        finished_at: Some(at),
        ..Outcome::by(Arrow::Arrived, due, at)
    }
}

/// It is tried again at `due_at`. `unsettled_since`: since when it is not known whether a try took effect.
pub fn tried_again(
    due: &Due,
    (now, due_at): (NaiveDateTime, NaiveDateTime),
    unsettled_since: Option<NaiveDateTime>,
    why: Option<Why>,
) -> Outcome {
    let (reason, detail) = why.unzip();
    Outcome {
        reason,
        detail,
        due_at: Some(due_at),
        unsettled_since,
        ..Outcome::by(Arrow::TriedAgain, due, now)
    }
}

/// The try was refused for good, or was the last one.
pub fn refused(due: &Due, why: Why, now: NaiveDateTime) -> Outcome {
    Outcome::ended(Arrow::Refused, due, why, now)
}

/// A try may have been taken, and there is not to be another one.
pub fn perhaps_sent(due: &Due, why: Why, now: NaiveDateTime) -> Outcome {
    Outcome::ended(Arrow::PerhapsSent, due, why, now)
}

/// Its time has passed before it was sent.
pub fn expired(due: &Due, detail: String, now: NaiveDateTime) -> Outcome {
    Outcome::ended(Arrow::Expired, due, (Reason::Expired, detail), now)
}

/// It was cancelled, or its person erased, while it was claimed.
pub fn cancelled_while_tried(due: &Due, detail: String, now: NaiveDateTime) -> Outcome {
    let why = (Reason::Cancelled, detail);
    Outcome::ended(Arrow::CancelledWhileTried, due, why, now)
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
        sql: include_str!("outcome/record.sql"),
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
