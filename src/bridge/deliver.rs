//! Sending what is due: claim with a lease, send with no connection held, record in one
//! transaction.
//!
//! A crash between sending and recording leaves the lease to run out; the next try carries the
//! same `client_msg_id`, so WeChat does not send twice. Where WeChat may have forgotten the id,
//! there is no next try: the delivery ends as `unknown`.

mod book;
mod failure;
mod outcome;
mod pause;
mod send;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use futures_util::future::join_all;
use thiserror::Error;

use super::accounts::{AccountError, ById};
use super::prepared::Ready;
use super::retry::Backoff;
use super::{Bridge, Step};
use crate::db::DbError;
use crate::ids::NotificationId;
use crate::metrics;
use crate::models::delivery::{self, Due, Postponed};
use crate::models::{attempt, identity, notification};

pub use pause::{Pause, Pauses};

use book::Book;
use outcome::Limits;

/// Why deliveries could not be sent.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The accounts cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<diesel::result::Error> for DeliverError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What the deliveries of a batch share.
struct Gathered {
    accounts: Arc<ById>,
    notifications: HashMap<NotificationId, Arc<Ready>>,
    limits: Limits,
}

impl Bridge {
    /// Sends one batch of deliveries that are due.
    ///
    /// # Errors
    /// If the database fails. What was claimed is given back or, if that fails too, due again when
    /// the lease runs out.
    pub async fn deliver_step(&self) -> Result<Step, DeliverError> {
        let claimed_at = self.clock.now();
        let due = self.claim(claimed_at).await?;
        if due.is_empty() {
            return Ok(Step::Idle);
        }
        let limit = self.config.deliver.batch_rows;
        if i64::try_from(due.len()).is_ok_and(|count| count >= limit) {
            // There is probably more: for another loop.
            self.signals.deliveries.notify_one();
        }
        let gathered = match self.gather(&due).await {
            Ok(gathered) => gathered,
            Err(error) => {
                self.give_back(&due, claimed_at).await?;
                return Err(error);
            }
        };
        let tries = due
            .iter()
            .map(|due| self.attempt(due, claimed_at, &gathered));
        let mut book = Book::default();
        for (due, done) in due.iter().zip(join_all(tries).await) {
            book.enter(due, claimed_at, done);
        }
        self.record(book).await?;
        Ok(Step::Worked)
    }

    async fn claim(&self, now: NaiveDateTime) -> Result<Vec<Due>, DeliverError> {
        let settings = &self.config.deliver;
        let (limit, until) = (settings.batch_rows, now + seconds(settings.lease_seconds));
        self.db
            .write(move |conn| Ok(delivery::claim_due(conn, now, until, limit)?))
            .await
    }

    /// Reads what the batch needs: the accounts, and the notifications that are not ready yet.
    async fn gather(&self, due: &[Due]) -> Result<Gathered, DeliverError> {
        let wanted: BTreeSet<NotificationId> = due.iter().map(|due| due.notification_id).collect();
        let mut notifications = HashMap::with_capacity(wanted.len());
        let mut missing = Vec::new();
        for id in wanted {
            match self.notifications.get(id) {
                Some(ready) => drop(notifications.insert(id, ready)),
                None => missing.push(id),
            }
        }
        if !missing.is_empty() {
            let stored = self
                .db
                .read(move |conn| Ok::<_, DeliverError>(notification::by_ids(conn, &missing)?))
                .await?;
            for stored in &stored {
                notifications.insert(stored.id, self.notifications.put(stored));
            }
        }
        let settings = &self.config.deliver;
        Ok(Gathered {
            accounts: self.accounts.all().await?,
            notifications,
            limits: Limits {
                backoff: Backoff::seconds(
                    settings.retry_first_seconds,
                    settings.retry_longest_seconds,
                ),
                max_attempts: settings.max_attempts,
                max_age: seconds(settings.max_age_seconds),
            },
        })
    }

    async fn give_back(&self, due: &[Due], claimed_at: NaiveDateTime) -> Result<(), DeliverError> {
        let rows: Vec<Postponed> = due
            .iter()
            .map(|due| Postponed::new(due, claimed_at, claimed_at))
            .collect();
        self.db
            .write(move |conn| Ok(delivery::release(conn, &rows)?))
            .await
    }

    async fn record(&self, book: Book) -> Result<(), DeliverError> {
        let now = self.clock.now();
        let woken = self
            .db
            .write(move |conn| {
                let woken = delivery::record(conn, &book.outcomes)?;
                attempt::insert_missing(conn, &book.lost)?;
                attempt::insert_many(conn, &book.attempts)?;
                delivery::release(conn, &book.postponed)?;
                identity::mark_unfollowed(conn, &book.unfollowed, now)?;
                for attempt in &book.attempts {
                    metrics::attempt(attempt.outcome);
                }
                Ok::<_, DeliverError>(woken)
            })
            .await?;
        if woken > 0 {
            self.signals.receipts.notify_one();
        }
        Ok(())
    }
}

fn seconds(seconds: u64) -> TimeDelta {
    // A hundred years is as good as for ever, and cannot overflow a timestamp.
    TimeDelta::seconds(seconds.min(3_153_600_000).cast_signed())
}
