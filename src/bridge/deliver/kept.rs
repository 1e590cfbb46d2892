//! What came of batches that could not be recorded, as the database was away: it is kept in memory
//! until the database is back.
//!
//! A loop tries to record what is kept before it claims anything new. While the database is away it claims
//! nothing; a batch that fails by itself waits here, and the loop goes on. What is recorded late is safe: a
//! row that another process has claimed meanwhile takes nothing from it but that WeChat accepted the message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDateTime;

use super::DeliverError;
use super::record::Record;
use crate::bridge::Bridge;
use crate::db::{Cause, DbError};

/// How many batches are kept at most, if ever there should be more loops than that.
const MOST: usize = 256;

/// The batches that this process has sent and not recorded.
#[derive(Debug, Default)]
pub struct Unrecorded(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    record: Arc<Record>,
    /// When its leases run out.
    leased_until: NaiveDateTime,
}

impl Unrecorded {
    fn list(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bridge {
    /// Keeps what could not be recorded now.
    pub(super) fn keep_record(&self, record: Arc<Record>, leased_until: NaiveDateTime) {
        let tries = record.tries();
        let mut list = self.unrecorded.list();
        if list.len() >= MOST {
            drop(list);
            tracing::error!(
                batch.tries = tries,
                limit = MOST,
                "too many batches are kept already: what came of this one counts as interrupted"
            );
            return;
        }
        list.push_back(Kept {
            record,
            leased_until,
        });
        drop(list);
        tracing::warn!(
            batch.tries = tries,
            "what came of a batch is kept until the database is back"
        );
    }

    /// Records what is kept.
    ///
    /// # Errors
    /// If the database is still away.
    pub(super) async fn record_kept(&self) -> Result<(), DeliverError> {
        let count = self.unrecorded.list().len();
        for _ in 0..count {
            let Some(kept) = self.unrecorded.list().pop_front() else {
                break;
            };
            match self.write_down(&kept.record, true).await {
                Ok(recorded) => {
                    tracing::info!(batch.tries = kept.record.tries(), "recorded late");
                    self.follow_up(recorded, &kept.record, None).await;
                    // Its account may have been paused by it.
                    self.wake_delivery();
                }
                Err(DeliverError::Db(error)) if is_an_outage(&error) => {
                    self.unrecorded.list().push_front(kept);
                    return Err(error.into());
                }
                // A batch that fails by itself must not keep the others from being sent.
                Err(error) => {
                    if self.clock.now() < kept.leased_until || is_a_wait(&error) {
                        self.unrecorded.list().push_back(kept);
                        continue;
                    }
                    tracing::error!(
                        %error,
                        batch.tries = kept.record.tries(),
                        "what came of a batch cannot be recorded: it counts as interrupted"
                    );
                }
            }
        }
        Ok(())
    }

    /// Records what is kept for the last time, at the end of the process.
    pub async fn record_last(&self) {
        if let Err(error) = self.record_kept().await {
            tracing::error!(%error, "what came of batches cannot be recorded");
        }
        let lost = self.unrecorded.list().len();
        if lost > 0 {
            tracing::error!(
                batches = lost,
                "what came of batches is lost with this process"
            );
        }
    }
}

/// Nothing can be recorded now.
fn is_an_outage(error: &DbError) -> bool {
    matches!(error.cause(), Cause::Away | Cause::Unwritable)
}

/// It may do at another time.
fn is_a_wait(error: &DeliverError) -> bool {
    matches!(error, DeliverError::Db(error) if matches!(error.cause(), Cause::Busy | Cause::TooSlow))
}
