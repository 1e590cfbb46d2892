//! A clock that went back: what was planned while it was ahead must not wait for as long.

use chrono::NaiveDateTime;

use super::outcome::AHEAD;
use super::{DeliverError, Scheduler};
use crate::bridge::retry::seconds;
use crate::bridge::webhooks::lane;
use crate::db::ROUND;
use crate::models::account::template_sync;
use crate::models::delivery::{self, receipt};
use crate::models::{erasure, identity, import, webhook};

impl Scheduler {
    /// Looks whether the clock went back since it was last looked at or, at first, since the newest
    /// row was stored, and then makes due what was planned for later.
    pub(super) async fn mind_the_clock(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
        let went_back = match self.lanes.last_seen() {
            Some(before) => now + AHEAD < before,
            None => {
                let look = self
                    .db
                    .read(move |conn| delivery::is_ahead(conn, now + AHEAD));
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
        let few = self.db.write(move |conn| -> Result<_, DeliverError> {
            delivery::forget_pauses(conn, now + AHEAD)?;
            import::make_all_due(conn, now)?;
            template_sync::make_all_due(conn, now)?;
            webhook::forget_rests(conn, now, turn)?;
            Ok(())
        });
        few.await?;
        let hastened = self
            .db
            .in_rounds(move |conn| delivery::shorten_leases(conn, now, lease, ROUND))
            .await?
            + self
                .db
                .in_rounds(move |conn| delivery::make_all_due(conn, now, ROUND))
                .await?
            + self
                .db
                .in_rounds(move |conn| webhook::make_all_due(conn, now, ROUND))
                .await?
            + self
                .db
                .in_rounds(move |conn| identity::make_all_due(conn, now, ROUND))
                .await?
            + self
                .db
                .in_rounds(move |conn| receipt::make_all_due(conn, now, ROUND))
                .await?
            + self
                .db
                .in_rounds(move |conn| erasure::make_all_due(conn, now, ROUND))
                .await?;
        tracing::warn!(
            rows = hastened,
            "the clock went back: what was planned while it was ahead is due at once"
        );
        self.signals.wake_delivery();
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
}
