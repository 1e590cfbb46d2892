//! Deliveries that go on to another route after one that did not lead to the person.

use serde::Serialize;

use super::{DeliveryState, Edition, Reason};
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, schema::deliveries};
use crate::ids::{DeliveryId, NotificationId, ProjectId, VersionId};

/// A delivery whose route has come to its end, and of which no try is unsettled.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct RerouteCandidate {
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
    /// The routes it uses, if they are not the notification's own.
    pub routes_id: Option<VersionId>,
}

impl RerouteCandidate {
    /// What it sends.
    pub fn edition(&self) -> Edition {
        (self.notification_id, self.routes_id)
    }
}

/// Those of the deliveries that may go on. Not one that may have been seen, or was cancelled.
pub fn reroute_candidates(
    conn: &mut Conn,
    ids: &[DeliveryId],
) -> QueryResult<Vec<RerouteCandidate>> {
    deliveries::table
        .filter(deliveries::id.eq_any(ids))
        .filter(deliveries::state.eq_any([DeliveryState::Failed, DeliveryState::Queued]))
        .filter(deliveries::unsettled_since.is_null())
        .filter(deliveries::cancelled_at.is_null())
        .order(deliveries::id)
        .select(RerouteCandidate::as_select())
        .load(conn)
}

/// A failed delivery for which no other route is left.
#[derive(Clone, Debug, Serialize)]
pub struct RoutesExhausted {
    /// The delivery.
    pub id: DeliveryId,
    /// As it was when that was decided.
    pub attempts: i32,
    /// A stable word for why the last route did not lead to the person.
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
    /// All routes, each with the reason, as JSON.
    pub considered: Option<String>,
}

/// Writes why no route was left.
pub fn end(conn: &mut Conn, rows: &[RoutesExhausted]) -> QueryResult<usize> {
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
