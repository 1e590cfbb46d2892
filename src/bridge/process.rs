//! From stored events to their effects: who follows, whose profile to fetch, which messages
//! arrived. A batch is one transaction; effects are idempotent and do not depend on order.

mod fold;

use std::collections::HashMap;
use std::sync::Arc;

use diesel::QueryResult;
use thiserror::Error;

use super::accounts::{AccountError, ById};
use super::{Bridge, Step};
use crate::db::{Conn, DbError};
use crate::ids::AccountId;
use crate::metrics;
use crate::models::event::{self, Processed, Waiting};
use crate::models::{identity, receipt};
use fold::Effects;

/// Why events could not be processed.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<diesel::result::Error> for ProcessError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What a batch did, and so which step to wake.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    events: usize,
    sightings: usize,
    receipts: usize,
}

impl Bridge {
    /// Processes one batch of waiting events.
    ///
    /// # Errors
    /// If the database fails, or an account cannot be opened; the events keep waiting.
    pub async fn process_step(&self) -> Result<Step, ProcessError> {
        let accounts = self.accounts.all().await?;
        let batch = self.config.process.batch_rows;
        let done = match self.process(batch, Arc::clone(&accounts)).await {
            Err(ProcessError::Db(DbError::Query(error))) => {
                tracing::warn!(%error, "batch of events failed, processing one by one");
                self.process_singly(batch, accounts).await?
            }
            done => done?,
        };
        metrics::events("processed", done.events);
        if done.sightings > 0 {
            self.signals.profiles.notify_one();
        }
        if done.receipts > 0 {
            self.signals.receipts.notify_one();
        }
        Ok(match done.events {
            0 => Step::Idle,
            _ => Step::Worked,
        })
    }

    async fn process(&self, limit: i64, accounts: Arc<ById>) -> Result<Done, ProcessError> {
        let now = self.clock.now();
        self.db
            .write(move |conn| {
                let waiting = event::claim_waiting(conn, limit)?;
                let effects = Effects::of(&waiting, &accounts, now);
                Ok(apply(conn, &waiting, &effects)?)
            })
            .await
    }

    /// One event whose effects cannot be applied must not hold up the others: it is put aside
    /// with the reason, and can be replayed.
    async fn process_singly(&self, limit: i64, accounts: Arc<ById>) -> Result<Done, ProcessError> {
        let mut total = Done::default();
        for _ in 0..limit {
            match self.process(1, Arc::clone(&accounts)).await {
                Ok(done) if done.events == 0 => break,
                Ok(done) => {
                    total.events += done.events;
                    total.sightings += done.sightings;
                    total.receipts += done.receipts;
                }
                Err(ProcessError::Db(DbError::Query(error))) => {
                    self.set_aside(&error.to_string()).await?;
                    total.events += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    async fn set_aside(&self, problem: &str) -> Result<(), ProcessError> {
        let problem = problem.to_owned();
        self.db
            .write(move |conn| {
                for waiting in event::claim_waiting(conn, 1)? {
                    tracing::error!(event.id = %waiting.id, problem, "event put aside");
                    metrics::events("failed", 1);
                    event::fail(conn, waiting.id, &problem)?;
                }
                Ok(())
            })
            .await
    }
}

fn apply(conn: &mut Conn, waiting: &[Waiting], effects: &Effects) -> QueryResult<Done> {
    if waiting.is_empty() {
        return Ok(Done::default());
    }
    identity::sight(conn, &effects.sightings)?;
    let receipts = receipt::insert_many(conn, &effects.receipts)?;
    let found = identity::ids_of(conn, &effects.spots())?;
    let ids: HashMap<(AccountId, &str), _> = found
        .iter()
        .map(|found| ((found.account_id, found.openid.as_str()), found.id))
        .collect();
    let processed: Vec<Processed> = waiting
        .iter()
        .map(|event| Processed {
            id: event.id,
            account_id: event.account_id,
            identity_id: event
                .openid
                .as_deref()
                .and_then(|openid| ids.get(&(event.account_id, openid)).copied()),
        })
        .collect();
    event::finish(conn, &processed)?;
    Ok(Done {
        events: waiting.len(),
        sightings: effects.sightings.len(),
        receipts,
    })
}
