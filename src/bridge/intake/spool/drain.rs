//! From the spool into the database, in the order in which events came.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Spool, SpoolError};
use crate::bridge::Step;
use crate::db::{Cause, Conn, Db, DbError, QueryResult};
use crate::ids::AccountId;
use crate::logging;
use crate::models::account;
use crate::models::event::{self, NewEvent};
use crate::models::spool::{self, Kept};

/// Events in one statement …
const BATCH: i64 = 256;
/// … and bytes of their bodies, unless one has more.
const BATCH_BYTES: usize = 4 << 20;
/// How often the database is tried while it is away.
const AGAIN: Duration = Duration::from_millis(500);

/// What one batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Events that the database has now.
    pub stored: usize,
    /// Events that it refuses for what they say, or whose account it does not have; they stay.
    pub refused: usize,
    /// Where the next batch begins.
    next: i64,
}

impl Spool {
    /// Moves one batch into the database and wakes nobody. While that is away it is tried again and
    /// again; between two batches there is as long a pause as one takes, since new callbacks come first.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub async fn drain_step(&self, db: &Db) -> Result<Step, SpoolError> {
        let started = Instant::now();
        match self.drain(db, 0, false).await {
            Ok(Some(_)) => {
                self.end();
                tokio::time::sleep(started.elapsed()).await;
                Ok(Step::Worked)
            }
            Ok(None) if self.is_away() => {
                if db.read(Conn::ping).await.is_ok() {
                    self.end();
                }
                Ok(Step::Later(AGAIN))
            }
            Ok(None) => Ok(Step::Idle),
            Err(NotDrained::Database(error)) => {
                if let Some(unsaid) = logging::now_and_then("the spool is not emptied") {
                    tracing::error!(%error, unsaid, "the spool is not emptied");
                }
                // What the database has against these events need not keep others from it.
                let is_there = !matches!(error.cause(), Cause::Away | Cause::Unwritable);
                if is_there && self.is_away() && db.read(Conn::ping).await.is_ok() {
                    self.end();
                }
                Ok(Step::Later(AGAIN))
            }
            Err(NotDrained::Spool(error)) => {
                // A spool that fails must not keep callbacks from a database that is back.
                if self.is_away() && db.read(Conn::ping).await.is_ok() {
                    self.end();
                }
                Err(error)
            }
        }
    }

    /// Told when something was put into the spool.
    pub fn wake(&self) -> &Notify {
        &self.wake
    }

    /// Keeps the accounts beside it as they are now.
    ///
    /// # Errors
    /// If the file does not take them; that the database does not say is none.
    pub async fn know_step(&self, db: &Db) -> Result<Step, SpoolError> {
        // While the database is away, what is known stays.
        if let Ok(accounts) = db.read(account::all).await {
            self.know(accounts).await?;
        }
        Ok(Step::Idle)
    }

    /// Moves everything into the database, also what it has refused before.
    ///
    /// # Errors
    /// If either of them fails; what was moved until then is in the database.
    pub async fn drain_all(&self, db: &Db) -> Result<Drained, SpoolError> {
        let mut all = Drained::default();
        while let Some(batch) = self.drain(db, all.next, true).await? {
            all = Drained {
                stored: all.stored + batch.stored,
                refused: all.refused + batch.refused,
                next: batch.next,
            };
        }
        Ok(all)
    }

    /// One batch behind `after`; none if there is nothing.
    async fn drain(
        &self,
        db: &Db,
        after: i64,
        refused_too: bool,
    ) -> Result<Option<Drained>, NotDrained> {
        let batch = self
            .file
            .read(move |conn| -> QueryResult<_> {
                let batch = spool::oldest(conn, after, (BATCH, BATCH_BYTES), refused_too)?;
                Ok(batch)
            })
            .await?;
        let Some(last) = batch.last() else {
            return Ok(None);
        };
        let next = last.id;
        let accounts = db.read(account::all).await.map_err(NotDrained::Database)?;
        let accounts: HashMap<String, AccountId> = accounts
            .into_iter()
            .map(|account| (account.app_id, account.id))
            .collect();
        let outcome = store(db, batch, &accounts).await?;
        let drained = Drained {
            stored: outcome.stored.len(),
            refused: outcome.refused.len(),
            next,
        };
        let is_empty = self.file.write(move |conn| {
            spool::remove(conn, &outcome.stored)?;
            for (id, refusal) in &outcome.refused {
                tracing::error!(spool.id = id, refusal, "an event in the spool is refused");
                spool::refuse(conn, *id, refusal)?;
            }
            spool::is_empty(conn)
        });
        if is_empty.await? {
            // Not within the transaction that made the room.
            let shrunk = self.file.read(spool::shrink);
            shrunk.await?;
        }
        Ok(Some(drained))
    }
}

/// Why a batch is still in the spool.
enum NotDrained {
    /// The database does not take it.
    Database(DbError),
    /// The spool itself fails.
    Spool(SpoolError),
}

impl From<DbError> for NotDrained {
    fn from(error: DbError) -> Self {
        Self::Spool(error.into())
    }
}

impl From<NotDrained> for SpoolError {
    fn from(error: NotDrained) -> Self {
        match error {
            NotDrained::Database(error) => Self::Database(error),
            NotDrained::Spool(error) => error,
        }
    }
}

#[derive(Default)]
struct Outcome {
    stored: Vec<i64>,
    refused: Vec<(i64, String)>,
}

async fn store(
    db: &Db,
    batch: Vec<Kept>,
    accounts: &HashMap<String, AccountId>,
) -> Result<Outcome, NotDrained> {
    let mut outcome = Outcome::default();
    let mut events: Vec<(i64, NewEvent)> = Vec::with_capacity(batch.len());
    for kept in batch {
        match accounts.get(&kept.app_id) {
            Some(account) => events.push((kept.id, kept.into_event(*account))),
            None => {
                let why = format!("there is no account {}", kept.app_id);
                outcome.refused.push((kept.id, why));
            }
        }
    }
    // In the order of their index, as all who write events do, so that no two lock each other out.
    events.sort_unstable_by_key(|(_, event)| event.key());
    let (ids, events): (Vec<i64>, Vec<NewEvent>) = events.into_iter().unzip();
    let events: Vec<Arc<NewEvent>> = events.into_iter().map(Arc::new).collect();
    match insert(db, events.clone()).await {
        Ok(()) => outcome.stored = ids,
        Err(error) if may_be_about_data(&error) => {
            store_singly(db, ids.into_iter().zip(events), &mut outcome).await?;
        }
        Err(error) => return Err(NotDrained::Database(error)),
    }
    Ok(outcome)
}

/// One event that the database refuses must not keep the others of its batch. What tells nothing of whose
/// fault it is, is the event's where another one is stored.
async fn store_singly(
    db: &Db,
    events: impl Iterator<Item = (i64, Arc<NewEvent>)>,
    outcome: &mut Outcome,
) -> Result<(), NotDrained> {
    let mut doubtful = Vec::new();
    for (id, event) in events {
        match insert(db, vec![event]).await {
            Ok(()) => outcome.stored.push(id),
            Err(error) if error.is_about_data() => outcome.refused.push((id, error.to_string())),
            Err(error) if may_be_about_data(&error) => doubtful.push((id, error)),
            Err(error) => return Err(NotDrained::Database(error)),
        }
    }
    if outcome.stored.is_empty()
        && let Some((_, error)) = doubtful.pop()
    {
        return Err(NotDrained::Database(error));
    }
    let doubtful = doubtful.into_iter();
    let refused = doubtful.map(|(id, error)| (id, error.to_string()));
    outcome.refused.extend(refused);
    Ok(())
}

fn may_be_about_data(error: &DbError) -> bool {
    matches!(error.cause(), Cause::Data | Cause::Unclear)
}

async fn insert(db: &Db, events: Vec<Arc<NewEvent>>) -> Result<(), DbError> {
    db.write(move |conn| {
        event::insert_many(conn, &events)?;
        Ok(())
    })
    .await
}
