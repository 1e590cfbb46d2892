//! Sending what is due: claim with a lease, send with no connection held, record in one
//! transaction.
//!
//! A crash between sending and recording leaves the lease to run out; the next try carries the
//! same `client_msg_id`, so WeChat does not send twice. Where WeChat may have forgotten the id, or
//! the channel has none, there is no next try: the delivery ends as `unknown`.
//!
//! A failure that is final for its route and person moves the delivery on to the next route, in the
//! transaction that records it.

mod book;
mod credits;
mod failure;
mod message;
mod outcome;
mod pause;
mod permits;
mod send;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use futures_util::future::join_all;
use thiserror::Error;

use super::accounts::{AccountError, ById};
use super::prepared::Ready;
use super::retry::Backoff;
use super::route::{Channel, Route};
use super::webhook::tell;
use super::{Bridge, Step, fallback};
use crate::db::DbError;
use crate::ids::NotificationId;
use crate::metrics;
use crate::models::delivery::{self, Due, Postponed};
use crate::models::{attempt, identity, notification};

pub use pause::{Pause, Pauses};
pub use permits::Turns;

use book::Book;
use outcome::Limits;

/// How often a batch is recorded at most.
const RECORDINGS: u32 = 3;

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

impl Gathered {
    /// The route of a delivery, and those after it; none where they cannot be read any more.
    fn routes_from(&self, due: &Due) -> &[Route] {
        let ready = self.notifications.get(&due.notification_id);
        let prepared = ready.and_then(|ready| ready.prepared.as_ref().ok());
        let from = usize::try_from(due.route).unwrap_or(usize::MAX);
        prepared
            .and_then(|prepared| prepared.routes().get(from..))
            .unwrap_or_default()
    }

    /// When the notification of a delivery expires.
    fn end_of(&self, due: &Due) -> Option<NaiveDateTime> {
        self.notifications.get(&due.notification_id)?.expires_at
    }

    fn channel_of(&self, due: &Due) -> Channel {
        let route = self.routes_from(due).first();
        route.map(|route| route.channel).unwrap_or_default()
    }
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
        let prepared = async {
            let gathered = self.gather(&due).await?;
            let permits = self.permits(&due, claimed_at, &gathered).await?;
            Ok((gathered, permits))
        };
        let (gathered, permits) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.give_back(&due, claimed_at).await?;
                return Err(error);
            }
        };
        let groups = permits.groups(&due);
        let tries = groups.into_iter().map(async |group| {
            let mut done = Vec::with_capacity(group.len());
            for due in group {
                let permit = permits.of(due);
                let tried = self.attempt(due, claimed_at, &gathered, permit).await;
                done.push((due, permit, tried));
            }
            done
        });
        let mut book = Book::default();
        for (due, permit, done) in join_all(tries).await.into_iter().flatten() {
            let routes = gathered.routes_from(due);
            let template_id = routes.first().and_then(|own| own.template_id.as_deref());
            book.credits
                .enter(due, claimed_at, template_id, permit, &done);
            book.enter(due, claimed_at, done, routes);
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
                lease: seconds(settings.lease_seconds),
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

    /// Records what came of a batch. What is not recorded is sent again, or not known for ever, so
    /// a statement that failed, by a deadlock for one, is worth another try.
    async fn record(&self, book: Book) -> Result<(), DeliverError> {
        let book = Arc::new(book);
        for _ in 1..RECORDINGS {
            match self.record_once(Arc::clone(&book)).await {
                Err(DeliverError::Db(error)) if error.is_about_data() => {
                    tracing::warn!(%error, "deliveries not recorded, trying again");
                }
                recorded => return recorded,
            }
        }
        self.record_once(book).await
    }

    async fn record_once(&self, book: Arc<Book>) -> Result<(), DeliverError> {
        let now = self.clock.now();
        let cache = Arc::clone(&self.notifications);
        let (woken, moved, told) = self
            .db
            .write(move |conn| {
                let held = fallback::hold(conn, &book.stuck)?;
                let woken = delivery::record(conn, &book.outcomes)?;
                attempt::insert_missing(conn, &book.lost)?;
                attempt::insert_many(conn, &book.attempts)?;
                delivery::release(conn, &book.postponed)?;
                let gone = tell::Gone::before(conn, &book.unfollowed)?;
                identity::mark_unfollowed(conn, &book.unfollowed, now)?;
                book.credits.write(conn)?;
                let moved = fallback::move_on(conn, &cache, &held, &book.stuck, now)?;
                // After moving on, as a delivery that goes on has not failed.
                let told = gone.after(conn, now)? + tell::sends(conn, &book.outcomes, now)?;
                for attempt in &book.attempts {
                    metrics::attempt(attempt.outcome);
                }
                Ok::<_, DeliverError>((woken, moved, told))
            })
            .await?;
        if told > 0 {
            self.signals.webhooks.notify_one();
        }
        if woken > 0 {
            self.signals.receipts.notify_one();
        }
        if moved > 0 {
            self.signals.deliveries.notify_one();
        }
        Ok(())
    }
}

fn seconds(seconds: u64) -> TimeDelta {
    // A hundred years is as good as for ever, and cannot overflow a timestamp.
    TimeDelta::seconds(seconds.min(3_153_600_000).cast_signed())
}
