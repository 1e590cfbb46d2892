//! Deliveries that are taken back before they are sent.
//!
//! Only what is certainly not sent: a claim sets `unsettled_since` and holds the row meanwhile, so of the two one comes
//! first. What is claimed is only marked by those who call this, and ends where its next try would begin.

use chrono::NaiveDateTime;

use super::Arrow;
use crate::db::prelude::*;
use crate::db::{Conn, schema::deliveries};
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::Reason;

/// The notification was cancelled. Returns how many of its deliveries end by that.
pub(in crate::models::delivery) fn cancelled(
    conn: &mut Conn,
    notification: NotificationId,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let arrow = Arrow::Cancelled;
    let waiting = deliveries::table
        .filter(deliveries::notification_id.eq(notification))
        .filter(deliveries::state.eq_any(arrow.from()))
        .filter(deliveries::unsettled_since.is_null());
    diesel::update(waiting)
        .set((
            deliveries::state.eq(arrow.to()),
            deliveries::reason.eq(Reason::Cancelled),
            deliveries::detail.eq("The notification was cancelled before this was sent."),
            deliveries::due_at.eq(None::<NaiveDateTime>),
            deliveries::finished_at.eq(now),
            deliveries::cancelled_at.eq(now),
        ))
        .execute(conn)
}

/// The person was erased. Returns how many deliveries end by that.
pub(in crate::models) fn erased(
    conn: &mut Conn,
    ids: &[DeliveryId],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let arrow = Arrow::Erased;
    let waiting = deliveries::table
        .filter(deliveries::id.eq_any(ids))
        .filter(deliveries::state.eq_any(arrow.from()))
        .filter(deliveries::unsettled_since.is_null());
    diesel::update(waiting)
        .set((
            deliveries::state.eq(arrow.to()),
            deliveries::reason.eq(Reason::Erased),
            deliveries::due_at.eq(None::<NaiveDateTime>),
            deliveries::finished_at.eq(now),
        ))
        .execute(conn)
}
