//! Whether this process can do its work: the database answers, and takes a row.

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::loops::Loops;
use crate::clock::Clock;
use crate::db::{Cause, Conn, Db, DbError};
use crate::models::sweep;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(900);
/// How often a row is written at the most, however many ask.
const SELDOM: Duration = Duration::from_secs(1);
/// How long a row may wait for other writers: on SQLite there is one at a time.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Why a process is not ready.
#[derive(Debug, Error)]
pub enum NotReady {
    /// The database does not answer, or not in time.
    #[error("the database does not answer")]
    Away(#[source] DbError),
    /// It answers and takes nothing.
    #[error("the database can store nothing: its disk is full or fails, or it is read-only")]
    Unwritable,
    /// A step does not go on.
    #[error("the step {0} does not go on: it panics whenever it is tried, see the log")]
    Stalled(&'static str),
}

/// Looks, on a connection of its own.
pub struct Readiness {
    db: Db,
    clock: Clock,
    loops: Loops,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When it was last looked, and what was found.
    looked: Option<(Instant, bool)>,
    /// A row that is being written, and since when.
    writing: Option<(Instant, JoinHandle<Result<(), DbError>>)>,
}

impl Readiness {
    /// Nothing is known yet.
    pub fn new(db: Db, clock: Clock, loops: Loops) -> Self {
        Self {
            db,
            clock,
            loops,
            seen: Mutex::default(),
        }
    }

    /// Whether the database answers and takes a row, within a second, and all steps go on.
    ///
    /// # Errors
    /// If it does not.
    pub async fn look(&self) -> Result<(), NotReady> {
        self.storage().await?;
        match self.loops.amiss() {
            Some(name) => Err(NotReady::Stalled(name)),
            None => Ok(()),
        }
    }

    /// Whether the database answers and takes a row, within a second: all that a callback needs.
    ///
    /// # Errors
    /// If it does not.
    pub async fn storage(&self) -> Result<(), NotReady> {
        timeout(PATIENCE, self.look_now())
            .await
            .unwrap_or(Err(NotReady::Away(DbError::TooSlow)))
    }

    async fn look_now(&self) -> Result<(), NotReady> {
        let mut seen = self.seen.lock().await;
        let known = seen.looked.filter(|(at, _)| at.elapsed() < SELDOM);
        let is_well = match known {
            Some((_, is_well)) => is_well,
            None => {
                let answer = self.db.read(Conn::ping).await;
                answer.map_err(NotReady::Away)?;
                let is_well = self.takes_a_row(&mut seen).await?;
                seen.looked = Some((Instant::now(), is_well));
                is_well
            }
        };
        match is_well && !self.db.is_unwritable() {
            true => Ok(()),
            false => Err(NotReady::Unwritable),
        }
    }

    async fn takes_a_row(&self, seen: &mut Seen) -> Result<bool, NotReady> {
        let (since, mut writing) = seen.writing.take().unwrap_or_else(|| {
            let (db, seconds) = (self.db.clone(), self.clock.unix_seconds());
            let write = async move { db.write(move |conn| sweep::mark_ready(conn, seconds)).await };
            (Instant::now(), tokio::spawn(write))
        });
        match timeout(PATIENCE / 2, &mut writing).await {
            Err(_) => {
                seen.writing = Some((since, writing));
                Ok(since.elapsed() < WRITTEN_WITHIN)
            }
            Ok(done) => match done.unwrap_or(Err(DbError::Interrupted)) {
                Ok(()) => Ok(true),
                // Another process has just the same row in hand.
                Err(error) if error.cause() == Cause::Busy => Ok(true),
                Err(error) if error.cause() == Cause::Away => Err(NotReady::Away(error)),
                Err(error) => {
                    tracing::debug!(%error, "no row is taken");
                    Ok(false)
                }
            },
        }
    }
}
