//! A clock that went back: what was planned while it was ahead must not wait for as long.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::outcome::AHEAD;
use super::{DeliverError, seconds};
use crate::bridge::Bridge;
use crate::bridge::webhook::lane;
use crate::db::{Conn, DbError};
use crate::models::{delivery, erasure, identity, import, receipt, template_sync, webhook};

/// How many rows are changed in one transaction, where there may be any number.
pub(in crate::bridge) const ROUND: i64 = 2_000;

impl Bridge {
    /// Looks whether the clock went back since it was last looked at or, at first, since the newest
    /// row was stored, and then makes due what was planned for later.
    pub(super) async fn mind_the_clock(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
        let went_back = match self.lanes.last_seen() {
            Some(before) => now + AHEAD < before,
            None => {
                let look = self.db.read(move |conn| {
                    Ok::<_, DeliverError>(delivery::is_ahead(conn, now + AHEAD)?)
                });
                look.await?
            }
        };
        if went_back {
            self.make_up_for_the_clock(now).await?;
        }
        self.lanes.seen(now);
        Ok(())
    }

    async fn make_up_for_the_clock(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
        self.rests.forget_all();
        self.lanes.forget_times();
        let lease = seconds(self.config.deliver.lease_seconds);
        let turn = lane::lease(self.config.webhooks.timeouts().1);
        // As many as there are accounts, endpoints and walks.
        let few = self.db.write(move |conn| {
            delivery::forget_pauses(conn, now + AHEAD)?;
            import::hasten_all(conn, now)?;
            template_sync::hasten_all(conn, now)?;
            webhook::forget_rests(conn, now, turn)?;
            Ok::<_, DeliverError>(())
        });
        few.await?;
        let hastened = self
            .in_rounds(move |conn| delivery::shorten_leases(conn, now, lease, ROUND))
            .await?
            + self
                .in_rounds(move |conn| delivery::hasten_all(conn, now, ROUND))
                .await?
            + self
                .in_rounds(move |conn| webhook::hasten_all(conn, now, ROUND))
                .await?
            + self
                .in_rounds(move |conn| identity::hasten_all(conn, now, ROUND))
                .await?
            + self
                .in_rounds(move |conn| receipt::hasten_all(conn, now, ROUND))
                .await?
            + self
                .in_rounds(move |conn| erasure::hasten_all(conn, now, ROUND))
                .await?;
        tracing::warn!(
            rows = hastened,
            "the clock went back: what was planned while it was ahead is due at once"
        );
        self.wake_delivery();
        for signal in [
            &self.signals.webhooks,
            &self.signals.profiles,
            &self.signals.imports,
            &self.signals.templates,
        ] {
            signal.notify_one();
        }
        Ok(())
    }

    /// Repeats a statement that changes at most [`ROUND`] rows and returns how many, each time in a
    /// transaction of its own, until there are no more. Returns how many there were.
    pub(in crate::bridge) async fn in_rounds<F>(&self, work: F) -> Result<usize, DbError>
    where
        F: Fn(&mut Conn) -> QueryResult<usize> + Clone + Send + 'static,
    {
        let mut total = 0;
        loop {
            let round = work.clone();
            let done = self.db.write(move |conn| Ok::<_, DbError>(round(conn)?));
            let count = done.await?;
            total += count;
            if i64::try_from(count).is_ok_and(|count| count < ROUND) {
                return Ok(total);
            }
        }
    }
}
