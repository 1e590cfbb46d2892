//! What came of batches that could not be recorded, as the database was away: it is kept in memory
//! until the database is back.
//!
//! A loop tries to record what is kept before it claims anything new. While the database is away it claims
//! nothing; a batch that fails by itself waits here, and the loop goes on. What is recorded late is safe: a
//! row that another process has claimed meanwhile takes nothing from it but that WeChat accepted the message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::time::timeout;

use super::record::Record;
use super::{DeliverError, Recorder};
use crate::db::{Cause, DbError};

/// How many batches are kept at most, if ever there should be more loops than that.
const MOST: usize = 256;

/// How long a loop waits for another one that records what is kept, where the rows of that may be claimed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The batches that this process has sent and not recorded.
#[derive(Debug, Default)]
pub struct Unrecorded {
    list: Mutex<VecDeque<Kept>>,
    /// Held by the one that records them. What it writes stays in the list until that is done.
    recording: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    record: Arc<Record>,
    /// When its leases run out.
    leased_until: NaiveDateTime,
}

impl Unrecorded {
    fn list(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Whether nobody can claim their rows.
    fn are_leased(&self, now: NaiveDateTime) -> bool {
        self.list().iter().all(|kept| now < kept.leased_until)
    }
}

impl Recorder {
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

    /// Records what is kept, so that nobody claims its rows whose leases have run out.
    ///
    /// # Errors
    /// If the database is still away.
    pub(super) async fn record_kept(&self) -> Result<(), DeliverError> {
        if self.unrecorded.is_empty() {
            return Ok(());
        }
        let recording = &self.unrecorded.recording;
        let _turn = match recording.try_lock() {
            Ok(turn) => turn,
            Err(_) if self.unrecorded.are_leased(self.clock.now()) => return Ok(()),
            // One that waits for a lock must not keep the others from being sent.
            Err(_) => match timeout(PATIENCE, recording.lock()).await {
                Ok(turn) => turn,
                Err(_) => return Ok(()),
            },
        };
        self.record_all_kept().await
    }

    /// For whoever has the turn: nobody else takes anything from the list.
    async fn record_all_kept(&self) -> Result<(), DeliverError> {
        let count = self.unrecorded.list().len();
        for _ in 0..count {
            let Some(kept) = self.unrecorded.list().front().cloned() else {
                break;
            };
            let written = self.write_down(&kept.record, true).await;
            if let Err(DeliverError::Db(error)) = &written
                && is_an_outage(error)
            {
                return written.map(drop);
            }
            self.unrecorded.list().pop_front();
            match written {
                Ok(recorded) => {
                    tracing::info!(batch.tries = kept.record.tries(), "recorded late");
                    self.follow_up(recorded, &kept.record, None).await;
                    // Its account may have been paused by it.
                    self.signals.wake_delivery();
                }
                // A batch that fails by itself must not keep the others from being sent.
                Err(error) if self.clock.now() < kept.leased_until || is_a_wait(&error) => {
                    self.unrecorded.list().push_back(kept);
                }
                Err(error) => tracing::error!(
                    %error,
                    batch.tries = kept.record.tries(),
                    "what came of a batch cannot be recorded: it counts as interrupted"
                ),
            }
        }
        Ok(())
    }

    /// Records what is kept for the last time, at the end of the process, and waits until nothing is made
    /// due any more: what is not is left to another process, or to the next start.
    pub(in crate::bridge) async fn record_last(&self) {
        let _turn = self.unrecorded.recording.lock().await;
        if let Err(error) = self.record_all_kept().await {
            tracing::error!(%error, "what came of batches cannot be recorded");
        }
        let lost = self.unrecorded.list().len();
        if lost > 0 {
            tracing::error!(
                batches = lost,
                "what came of batches is lost with this process"
            );
        }
        self.resumer.settled().await;
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
