//! A clock that went back: what was planned while it was ahead must not wait for as long.

use chrono::NaiveDateTime;

use super::outcome::AHEAD;
use super::{DeliverError, seconds};
use crate::bridge::Bridge;
use crate::bridge::webhook::lane;
use crate::models::{delivery, erasure, identity, import, receipt, template_sync, webhook};

/// How many rows are made due in one transaction.
const ROUND: i64 = 5_000;

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
        let mut hastened = 0;
        let lease = seconds(self.config.deliver.lease_seconds);
        let turn = lane::lease(self.config.webhooks.timeouts().1);
        loop {
            let round = self.db.write(move |conn| {
                delivery::forget_pauses(conn, now + AHEAD)?;
                import::hasten_all(conn, now)?;
                template_sync::hasten_all(conn, now)?;
                receipt::hasten_all(conn, now)?;
                erasure::hasten_all(conn, now)?;
                let rounds = [
                    delivery::hasten_all(conn, now, lease, ROUND)?,
                    webhook::hasten_all(conn, now, turn, ROUND)?,
                    identity::hasten_all(conn, now, ROUND)?,
                ];
                Ok::<_, DeliverError>(rounds.into_iter().max().unwrap_or_default())
            });
            let count = round.await?;
            hastened += count;
            if i64::try_from(count).is_ok_and(|count| count < ROUND) {
                break;
            }
        }
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
}
