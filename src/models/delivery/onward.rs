//! Deliveries that go on to another route after one that did not lead to the person.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::Serialize;

use super::DeliveryState;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::{Conn, schema::deliveries};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, ProjectId};

/// A delivery whose route has come to its end, and of which no try is unsettled.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct Halted {
    /// Row id.
    pub id: DeliveryId,
    /// The notification.
    pub notification_id: NotificationId,
    /// Its project.
    pub project_id: ProjectId,
    /// The staff member; none for a person who is not one.
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id.
    pub recipient: Option<String>,
    /// The route.
    pub route: Option<i32>,
    /// Tries so far.
    pub attempts: i32,
    /// Failed, or queued to be tried on the same route again.
    pub state: DeliveryState,
    /// The routes considered before, as JSON.
    pub considered: Option<String>,
}

/// Those of the deliveries that may go on. Not one that may have been seen, or was cancelled.
pub fn halted(conn: &mut Conn, ids: &[DeliveryId]) -> QueryResult<Vec<Halted>> {
    deliveries::table
        .filter(deliveries::id.eq_any(ids))
        .filter(deliveries::state.eq_any([DeliveryState::Failed, DeliveryState::Queued]))
        .filter(deliveries::unsettled_since.is_null())
        .filter(deliveries::cancelled_at.is_null())
        .order(deliveries::id)
        .select(Halted::as_select())
        .load(conn)
}

/// A delivery to send on another route.
#[derive(Clone, Debug, Serialize)]
pub struct Onward<'a> {
    /// The delivery.
    pub id: DeliveryId,
    /// As it was when that was decided.
    pub attempts: i32,
    /// The staff member whom it is for, by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff_id: Option<&'a str>,
    /// Their name by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff_name: Option<&'a str>,
    /// The account of the route.
    pub account_id: Option<AccountId>,
    /// The identity it goes to.
    pub identity_id: Option<IdentityId>,
    /// That identity's openid.
    pub openid: Option<&'a str>,
    /// Which route, from 0.
    pub route: i32,
    /// The routes considered before it, as JSON.
    pub considered: Option<String>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Puts deliveries on other routes, due at once, with all tries and all time before them.
pub fn move_on(conn: &mut Conn, rows: &[Onward<'_>]) -> QueryResult<usize> {
    const MOVE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempts", Kind::Integer),
            ("staff_id", Kind::Text),
            ("staff_name", Kind::Text),
            ("account_id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("route", Kind::Integer),
            ("considered", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = 'queued', reason = NULL, detail = NULL, \
              staff_id = r.staff_id, staff_name = r.staff_name, account_id = r.account_id, identity_id = r.identity_id, \
              openid = r.openid, route = r.route, considered = r.considered, \
              spent = deliveries.attempts, begun_at = r.now, due_at = r.now, \
              leased_until = NULL, msgid = NULL, sent_at = NULL, finished_at = NULL FROM {rows} WHERE deliveries.id = r.id \
              AND deliveries.attempts = r.attempts AND deliveries.unsettled_since IS NULL \
              AND deliveries.state IN ('failed', 'queued') AND deliveries.cancelled_at IS NULL",
    };
    MOVE.execute(conn, rows)
}

/// A failed delivery for which no other route is left.
#[derive(Clone, Debug, Serialize)]
pub struct DeadEnd {
    /// The delivery.
    pub id: DeliveryId,
    /// As it was when that was decided.
    pub attempts: i32,
    /// A stable word for why the last route did not lead to the person.
    pub reason: String,
    /// The same in a sentence.
    pub detail: String,
    /// All routes, each with the reason, as JSON.
    pub considered: Option<String>,
}

/// Writes why no route was left.
pub fn end(conn: &mut Conn, rows: &[DeadEnd]) -> QueryResult<usize> {
    const END: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempts", Kind::Integer),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("considered", Kind::Text),
        ],
        sql: "UPDATE deliveries SET reason = r.reason, detail = r.detail, \
              considered = r.considered FROM {rows} WHERE deliveries.id = r.id \
              AND deliveries.attempts = r.attempts AND deliveries.state = 'failed'",
    };
    END.execute(conn, rows)
}
