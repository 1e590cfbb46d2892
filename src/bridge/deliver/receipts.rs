//! Receipts: WeChat's word on what became of each message closes its delivery, also where the word
//! came before the answer to the send. A message that did not arrive goes on to the next route.

use std::sync::Arc;

use chrono::TimeDelta;
use thiserror::Error;

use crate::bridge::health::ends::Ends;
use crate::bridge::planning::fallback::{self, FailedRoute};
use crate::bridge::planning::prepared::Notifications;
use crate::bridge::signals::Signals;
use crate::bridge::webhooks::outbox;
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError};
use crate::metrics;
use crate::models::delivery::receipt;
use crate::models::delivery::transitions::ClosedByReceipt;
use crate::models::delivery::{self, Reason};

/// Receipts joined in one transaction.
const BATCH: i64 = 500;

/// Sent messages looked at in one transaction.
const OVERDUE_BATCH: i64 = 2_000;

/// Why receipts could not be joined.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ReceiptError(#[from] DbError);

/// Joins receipts to the deliveries that they close.
pub struct ReceiptJoiner {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    notifications: Arc<Notifications>,
    signals: Arc<Signals>,
    ends: Arc<Ends>,
}

impl ReceiptJoiner {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, notifications, signals, ends })
    }

    /// Joins one batch of receipts to their deliveries.
    ///
    /// # Errors
    /// If the database fails; the receipts keep waiting.
    pub async fn step(&self) -> Result<Step, ReceiptError> {
        let now = self.clock.now();
        let give_up = self.config.deliver.receipt_give_up_seconds;
        let give_up = i64::try_from(give_up)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(TimeDelta::MAX);
        let cache = Arc::clone(&self.notifications);
        let consent_wait = self.config.deliver.consent_wait();
        let settle = self.db.write(move |conn| -> Result<_, ReceiptError> {
            let settled = receipt::settle(conn, now, give_up, BATCH)?;
            let failed_routes: Vec<FailedRoute> = settled.failed().map(failed_route).collect();
            let held = fallback::hold(conn, &failed_routes)?;
            let moved =
                fallback::move_on(conn, &cache, &held, &failed_routes, (consent_wait, now))?;
            // After moving on, as a delivery that goes on has not failed.
            outbox::ended(conn, &settled.ids(), now)?;
            let failed: Vec<_> = settled.failed().map(|failed| failed.id).collect();
            let ends = delivery::ends(conn, &failed)?;
            Ok((settled, moved, ends))
        });
        let (settled, moved, ends) = settle.await?;
        let arrived = settled.closed.len() - settled.failed().count();
        metrics::delivered(arrived);
        self.ends.count(ends, self.clock.now(), &self.signals);
        if !settled.closed.is_empty() {
            self.signals.webhooks.notify_one();
        }
        if moved > 0 {
            self.signals.wake_delivery();
        }
        let full = i64::try_from(settled.looked_at).is_ok_and(|count| count >= BATCH);
        // Receipts that stay without a delivery are looked at later, not again at once.
        Ok(match settled.joined > 0 || full {
            true => Step::Worked,
            false => Step::Idle,
        })
    }
}

/// Closes deliveries whose receipt has not come in time.
pub struct OverdueCloser {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    signals: Arc<Signals>,
    ends: Arc<Ends>,
}

impl OverdueCloser {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, signals, ends })
    }

    /// Closes one batch of deliveries whose receipt has not come in time.
    ///
    /// # Errors
    /// If the database fails; they are closed later.
    pub async fn step(&self) -> Result<Step, ReceiptError> {
        let now = self.clock.now();
        let patience = self.config.deliver.receipt_seconds;
        let Some(sent_before) = i64::try_from(patience)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .and_then(|patience| now.checked_sub_signed(patience))
        else {
            return Ok(Step::Idle);
        };
        // Looked at first, because a write transaction is one of many and this is mostly idle.
        let waiting = self
            .db
            .read(move |conn| delivery::has_overdue(conn, sent_before, now));
        if !waiting.await? {
            return Ok(Step::Idle);
        }
        let overdue = self.db.write(move |conn| -> Result<_, ReceiptError> {
            let overdue = delivery::close_overdue(conn, sent_before, now, OVERDUE_BATCH)?;
            outbox::ended(conn, &overdue.closed, now)?;
            let ends = delivery::ends(conn, &overdue.closed)?;
            Ok((overdue, ends))
        });
        let (overdue, ends) = overdue.await?;
        self.ends.count(ends, self.clock.now(), &self.signals);
        let closed = overdue.closed.len();
        if closed > 0 {
            self.signals.webhooks.notify_one();
            metrics::no_receipt(closed);
        }
        Ok(match overdue.looked_at {
            0 => Step::Idle,
            _ => Step::Worked,
        })
    }
}

fn failed_route(failed: &ClosedByReceipt) -> FailedRoute {
    FailedRoute {
        id: failed.id,
        notification_id: failed.notification_id,
        attempts: failed.attempts,
        reason: Reason::ReceiptFailed,
        detail: failed.detail.clone().unwrap_or_default(),
    }
}
