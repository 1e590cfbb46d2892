//! Events out: what happens here is recorded for the business's endpoints in the transaction in
//! which it happens ([`outbox`]), and posted to each by turns of its own.
//!
//! A turn leases its endpoint, posts what is due with no connection held, and records what came of
//! it. The people of an endpoint are served side by side, each one's events in their order; the
//! endpoints do not wait for each other.

pub mod address;
mod course;
mod event;
pub(super) mod lane;
pub mod manage;
pub(crate) mod outbox;
mod outcome;
pub mod post;
pub(super) mod rest;
pub mod sign;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use thiserror::Error;
use tokio::sync::Notify;

use super::signals::Signals;
use super::{Bridge, Step};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::{Db, DbError};
use crate::ids::WebhookId;
use crate::models::webhook;
use crate::vault::{Vault, VaultError};
use crate::{logging, metrics};
use course::Course;
use post::Poster;

pub use event::{EVERYTHING, EventKind, PING};

/// How long an endpoint is left to others whose secret does not open here.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Rows deleted in one transaction.
const PRUNE_BATCH: i64 = 2_000;

/// Why endpoints could not be served.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The endpoint's secret was sealed under another master key.
    #[error("the endpoint's secret does not open: {0}")]
    Sealed(#[from] VaultError),
}

/// The turns of this process that are under way.
pub struct Webhooks {
    poster: Poster,
    busy: Mutex<HashMap<WebhookId, Arc<Course>>>,
    /// Those whose secret does not open here, and when that was seen: left to others.
    sealed: Mutex<HashMap<WebhookId, Instant>>,
    freed: Notify,
}

impl Webhooks {
    /// Starts with none.
    pub fn new(settings: &config::Webhooks) -> Self {
        Self {
            poster: Poster::new(settings),
            busy: Mutex::default(),
            sealed: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Posts signed bodies to addresses that others chose.
    pub fn poster(&self) -> &Poster {
        &self.poster
    }

    /// Lets the turn that an endpoint has here, if it has one, begin no other post, and look whether it
    /// is over: the endpoint was changed.
    fn interrupt(&self, id: WebhookId) {
        self.sealed().remove(&id);
        if let Some(course) = self.busy().get(&id) {
            course.interrupt();
        }
    }

    /// Begins a turn, unless the endpoint has one here.
    fn begin(self: &Arc<Self>, id: WebhookId) -> Option<Busy> {
        let seen = self.sealed().get(&id).copied();
        if seen.is_some_and(|seen| seen.elapsed() < LEFT_ALONE) {
            return None;
        }
        let course = match self.busy().entry(id) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => Arc::clone(free.insert(Arc::default())),
        };
        Some(Busy {
            webhooks: Arc::clone(self),
            id,
            course,
        })
    }

    /// Completes when no turn is under way in this process.
    pub async fn settled(&self) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before looking, so that the last one's end is not missed.
            freed.as_mut().enable();
            if self.busy().is_empty() {
                return;
            }
            freed.await;
        }
    }

    fn sealed(&self) -> MutexGuard<'_, HashMap<WebhookId, Instant>> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<WebhookId, Arc<Course>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint's turn in this process; over when dropped, however it ends.
struct Busy {
    webhooks: Arc<Webhooks>,
    id: WebhookId,
    course: Arc<Course>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.webhooks.busy().remove(&self.id);
        self.webhooks.freed.notify_waiters();
    }
}

/// Posts what endpoints are to be told, a turn with each at a time.
#[derive(Clone)]
pub struct WebhookPoster {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    vault: Vault,
    signals: Arc<Signals>,
    webhooks: Arc<Webhooks>,
}

impl WebhookPoster {
    pub(super) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, vault, signals, webhooks })
    }

    /// Begins a turn for each endpoint that has something due and none under way here. The turns
    /// go on by themselves, so that a slow endpoint holds up no other; see
    /// [`Webhooks::settled`].
    ///
    /// # Errors
    /// If the database fails; nothing is lost.
    pub async fn step(&self) -> Result<Step, WebhookError> {
        let now = self.clock.now();
        let due = self.db.read(move |conn| webhook::due(conn, now)).await?;
        let mut step = Step::Idle;
        for id in due {
            let Some(busy) = self.webhooks.begin(id) else {
                continue;
            };
            let poster = self.clone();
            tokio::spawn(async move {
                let turn = AssertUnwindSafe(poster.webhook_turn(id, &busy.course));
                let done = turn.catch_unwind().await;
                drop(busy);
                let Ok(done) = done else {
                    metrics::step_panicked("webhook turn");
                    tracing::error!(webhook.id = %id, "turn panicked, its lease will run out");
                    return;
                };
                match done {
                    // There may be more.
                    Ok(Step::Worked) => poster.signals.webhooks.notify_one(),
                    Ok(_) => {}
                    Err(error @ WebhookError::Sealed(_)) => {
                        poster.webhooks.sealed().insert(id, Instant::now());
                        let kind = format!("endpoint {id} is sealed");
                        if let Some(unsaid) = logging::now_and_then(&kind) {
                            tracing::error!(webhook.id = %id, %error, unsaid, "endpoint left out");
                        }
                    }
                    Err(error) => {
                        tracing::error!(webhook.id = %id, %error, "turn failed, its lease will run out");
                    }
                }
            });
            step = Step::Worked;
        }
        Ok(step)
    }

    /// Turns that are under way go on by themselves: waits for them at the end of the process.
    pub(super) async fn finish(&self) {
        self.webhooks.settled().await;
    }
}

/// Deletes what was told to endpoints long enough ago.
pub struct WebhookPruner {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
}

impl WebhookPruner {
    pub(super) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config })
    }

    /// Deletes a batch of what an endpoint that was deleted has left, or of what was kept long enough.
    ///
    /// # Errors
    /// If the database fails; it is deleted later.
    pub async fn step(&self) -> Result<Step, WebhookError> {
        let deleted = self.db.read(|conn| -> Result<_, WebhookError> {
            let deleted = webhook::deleted(conn)?;
            Ok(deleted)
        });
        if let Some(id) = deleted.await? {
            let cleared = self
                .db
                .write(move |conn| Ok(webhook::clear_deleted(conn, id, PRUNE_BATCH)?));
            cleared.await.map_err(|error: WebhookError| error)?;
            return Ok(Step::Worked);
        }
        let days = i64::try_from(self.config.webhooks.retention_days).ok();
        let Some(before) = days
            .and_then(TimeDelta::try_days)
            .and_then(|kept| self.clock.now().checked_sub_signed(kept))
        else {
            return Ok(Step::Idle);
        };
        // Looked at first, because a write transaction is one of many and this is mostly idle.
        let old = self.db.read(move |conn| webhook::has_older(conn, before));
        if !old.await? {
            return Ok(Step::Idle);
        }
        let pruned = self.db.write(move |conn| -> Result<_, WebhookError> {
            let pruned = webhook::prune(conn, before, PRUNE_BATCH)?;
            Ok(pruned)
        });
        Ok(match pruned.await? {
            0 => Step::Idle,
            _ => Step::Worked,
        })
    }
}
