//! Cancelling a notification: what is not sent yet is not sent.

use super::NotifyError;
use crate::bridge::Bridge;
use crate::db::QueryResult;
use crate::ids::{NotificationId, ProjectId};
use crate::metrics;
use crate::models::delivery::{self, DeliveryState, Reason};
use crate::models::notification;

impl Bridge {
    /// Cancels a notification, once or again, and tells how many of its deliveries are in each
    /// state by now. One that is being sent at this moment stays `queued` until that is over: it is
    /// then sent, or cancelled. None if the project has no such notification.
    ///
    /// # Errors
    /// If the database fails; then nothing is changed.
    pub async fn cancel_notification(
        &self,
        project: ProjectId,
        id: NotificationId,
    ) -> Result<Option<Vec<(DeliveryState, i64)>>, NotifyError> {
        let (now, gives_places) = (self.clock.now(), self.lanes.has_places());
        let done = self.db.write(move |conn| -> QueryResult<_> {
            if !notification::cancel(conn, project, id, now)? {
                return Ok(None);
            }
            let cancelled = delivery::cancel(conn, id, now)?;
            let accounts = match cancelled > 0 && gives_places {
                true => delivery::accounts_of(conn, id)?,
                false => Vec::new(),
            };
            Ok(Some((cancelled, delivery::counts(conn, id)?, accounts)))
        });
        let Some((cancelled, counts, accounts)) = done.await? else {
            return Ok(None);
        };
        self.lanes.forget_places(&accounts, now);
        let cancelled_now = i64::try_from(cancelled).unwrap_or_default();
        let (state, reason) = (DeliveryState::Cancelled, Reason::Cancelled);
        metrics::deliveries(state.as_str(), reason.as_str(), cancelled_now);
        self.awaited.notify([id]);
        tracing::info!(
            notification.id = %id,
            deliveries.cancelled = cancelled,
            "notification cancelled"
        );
        Ok(Some(counts))
    }
}
