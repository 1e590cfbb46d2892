//! Taking back what is not sent yet.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::DeliveryState;
use crate::db::{Conn, schema::deliveries};
use crate::ids::{DeliveryId, NotificationId};

/// Cancels the deliveries of a notification that are certainly not sent. One that is being sent at
/// this moment, or may have been, is only marked: it ends where its next try would begin.
pub fn cancel(
    conn: &mut Conn,
    notification: NotificationId,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let queued = || {
        deliveries::table
            .filter(deliveries::notification_id.eq(notification))
            .filter(deliveries::state.eq(DeliveryState::Queued))
    };
    if let Conn::Postgres(conn) = conn {
        // In the order of all who write several.
        queued()
            .order(deliveries::id)
            .select(deliveries::id)
            .for_update()
            .load::<DeliveryId>(conn)?;
    }
    // A claim sets `unsettled_since` and holds the row meanwhile, so one of the two comes first.
    let cancelled = diesel::update(queued().filter(deliveries::unsettled_since.is_null()))
        .set((
            deliveries::state.eq(DeliveryState::Cancelled),
            deliveries::reason.eq("cancelled"),
            deliveries::detail.eq("The notification was cancelled before this was sent."),
            deliveries::due_at.eq(None::<NaiveDateTime>),
            deliveries::finished_at.eq(now),
            deliveries::cancelled_at.eq(now),
        ))
        .execute(conn)?;
    diesel::update(queued().filter(deliveries::cancelled_at.is_null()))
        .set(deliveries::cancelled_at.eq(now))
        .execute(conn)?;
    Ok(cancelled)
}
