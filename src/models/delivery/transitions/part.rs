//! Claimed deliveries that end without a try, as there is nobody to send them to, in the transaction of their claim.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Arrow;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::DeliveryId;
use crate::models::delivery::{DeliveryState, Reason};

/// A claimed delivery that is not sent, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    /// The delivery.
    pub id: DeliveryId,
    /// A stable word for why.
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
    /// The routes, each with the reason, as JSON; kept only of one that is unreachable.
    pub considered: Option<String>,
    /// What the app was told of it.
    pub first_answer: String,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// What [`part`] writes.
#[derive(Clone, Debug, Serialize)]
pub struct Parted {
    #[serde(flatten)]
    ending: Ending,
    state: DeliveryState,
}

impl Parted {
    fn by(arrow: Arrow, ending: Ending) -> Self {
        let state = arrow.to();
        Self { ending, state }
    }

    /// The delivery.
    pub fn id(&self) -> DeliveryId {
        self.ending.id
    }
}

/// No route leads to the person, and none was tried.
pub fn parted_unreachable(ending: Ending) -> Parted {
    Parted::by(Arrow::PartedUnreachable, ending)
}

/// No route behind the one that was tried leads to the person.
pub fn parted_failed(ending: Ending) -> Parted {
    Parted::by(Arrow::PartedFailed, ending)
}

/// It is for somebody else by now, and an earlier try may have been taken.
pub fn parted_unknown(ending: Ending) -> Parted {
    Parted::by(Arrow::PartedUnknown, ending)
}

/// Ends claimed deliveries that were not tried. Returns how many those are.
pub fn part(conn: &mut Conn, rows: &[Parted]) -> QueryResult<usize> {
    const PART: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("state", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("considered", Kind::Text),
            ("first_answer", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = r.state, reason = r.reason, detail = r.detail, \
              considered = CASE WHEN r.state = 'unreachable' THEN r.considered \
              ELSE deliveries.considered END, \
              route = CASE WHEN r.state = 'unreachable' THEN NULL ELSE deliveries.route END, \
              channel = CASE WHEN r.state = 'unreachable' THEN NULL ELSE deliveries.channel END, \
              attempts = deliveries.attempts - 1, due_at = NULL, leased_until = NULL, \
              unsettled_since = NULL, sent_at = NULL, finished_at = r.now, \
              first_answer = COALESCE(deliveries.first_answer, r.first_answer) \
              FROM {rows} WHERE deliveries.id = r.id AND deliveries.state = 'queued'",
    };
    PART.execute(conn, rows)
}
