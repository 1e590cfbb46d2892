//! Where callbacks go while the database takes none: a file of this machine, flushed to its disk before
//! WeChat is answered, emptied into the database when that is back. Beside them are the accounts, with
//! their secrets sealed, so that callbacks can be opened also after a restart in the middle of an outage.

mod drain;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::db::{DatabaseUrl, Db, DbError};
use crate::metrics;
use crate::models::account::Account;
use crate::models::event::NewEvent;
use crate::models::spool::{self, Fill, Spooled};

pub use drain::Drained;

/// The file in the data directory.
const FILE: &str = "spool.db";
/// One to write, one to read.
const CONNECTIONS: u32 = 2;
/// For how long what it holds is remembered.
const SELDOM: Duration = Duration::from_secs(1);
/// Events in one transaction at the most.
const BATCH: usize = 256;

/// Why an event is not in the spool.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// It holds as much as it may.
    #[error("the spool is full: {used} of {most} bytes (intake.spool_bytes)")]
    Full {
        /// Bytes in use.
        used: i64,
        /// Bytes that it may have.
        most: i64,
    },
    /// The database does not take what is in it.
    #[error("the database: {0}")]
    Database(DbError),
    /// Its file does not take it.
    #[error("spool: {0}")]
    File(#[from] DbError),
}

struct Entry {
    event: Spooled,
    kept: oneshot::Sender<bool>,
    /// The room that the event takes, for as long as it waits here.
    room: Box<dyn Send>,
}

/// A spool; clones share one file.
#[derive(Clone)]
pub struct Spool {
    file: Db,
    queue: mpsc::UnboundedSender<Entry>,
    /// Whether the database takes nothing, as far as is known.
    away: Arc<AtomicBool>,
    /// Whether the file did not take what came last.
    fails: Arc<AtomicBool>,
    /// Bytes that it may have.
    most: i64,
    /// The file for those who only look, who keep nobody from writing.
    looks: Db,
    filled: Arc<Mutex<Option<(Instant, Fill)>>>,
    accounts: Arc<RwLock<HashMap<String, Account>>>,
    wake: Arc<Notify>,
}

impl Spool {
    /// Where the spool of a data directory is.
    pub fn path(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// Opens the spool of a data directory, which may grow to `most_bytes`. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// If its file cannot be opened or made.
    pub async fn open(directory: &Path, most_bytes: u64) -> Result<Self, SpoolError> {
        let path = Self::path(directory);
        let url = DatabaseUrl::sqlite_file(&path);
        let file = tokio::task::spawn_blocking(move || {
            make_private(&path);
            Db::open(&url, CONNECTIONS)
        });
        let file = file.await.map_err(DbError::from)??;
        let accounts = file.write(|conn| {
            spool::prepare(conn)?;
            spool::accounts(conn)
        });
        let accounts: Vec<Account> = accounts.await?;
        let (queue, incoming) = mpsc::unbounded_channel();
        let most = i64::try_from(most_bytes).unwrap_or(i64::MAX);
        let fails = Arc::new(AtomicBool::new(false));
        tokio::spawn(write(file.clone(), incoming, most, Arc::clone(&fails)));
        Ok(Self {
            looks: file.aside(1),
            filled: Arc::default(),
            file,
            queue,
            away: Arc::default(),
            fails,
            most,
            accounts: Arc::new(RwLock::new(by_app_id(accounts))),
            wake: Arc::default(),
        })
    }

    /// Whether the database is thought to be away, so that callbacks go to the spool at once.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The database takes nothing: what comes from now on is kept here, without asking it first.
    pub fn begin(&self) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::error!("the database takes no callbacks, they are kept in the spool");
        }
        self.wake.notify_one();
    }

    /// Whether it can keep what comes: it knows accounts, has room, and its file took what came last.
    pub async fn takes(&self) -> bool {
        if !self.has_accounts() || self.fails.load(Ordering::Relaxed) {
            return false;
        }
        let used = self.looks.read(spool::used);
        used.await.is_ok_and(|used| used < self.most)
    }

    /// The database is back.
    fn end(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("the database takes callbacks again");
        }
    }

    /// Whether it knows any account: without one it can open no callback.
    pub fn has_accounts(&self) -> bool {
        !self.read().is_empty()
    }

    /// An account as it was last read from the database.
    pub fn account(&self, app_id: &str) -> Option<Account> {
        self.read().get(app_id).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Account>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps these accounts, all that there are, for an outage.
    ///
    /// # Errors
    /// If the file does not take them.
    pub async fn know(&self, accounts: Vec<Account>) -> Result<(), SpoolError> {
        let accounts = by_app_id(accounts);
        if *self.read() == accounts {
            return Ok(());
        }
        let rows: Vec<Account> = accounts.values().cloned().collect();
        let written = self
            .file
            .write(move |conn| spool::set_accounts(conn, &rows));
        written.await?;
        *self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner) = accounts;
        Ok(())
    }

    /// Keeps an event; returns once it is on the disk.
    ///
    /// # Errors
    /// If it is not.
    pub async fn keep(
        &self,
        app_id: &str,
        event: &NewEvent,
        room: impl Send + 'static,
    ) -> Result<(), SpoolError> {
        let event = Spooled {
            app_id: app_id.to_owned(),
            create_time: event.create_time,
            received_at: event.received_at,
            dedup_key: event.dedup_key,
            kind: event.kind.clone(),
            openid: event.openid.clone(),
            body: event.body.clone(),
            problem: event.problem.clone(),
        };
        let (kept, answer) = oneshot::channel();
        let interrupted = || SpoolError::File(DbError::Interrupted);
        let sent = self.queue.send(Entry {
            event,
            kept,
            room: Box::new(room),
        });
        sent.map_err(|_| interrupted())?;
        match answer.await {
            Ok(true) => {
                self.wake.notify_one();
                Ok(())
            }
            _ => Err(interrupted()),
        }
    }

    /// How much it holds, a second ago at the most: whoever asks often does not have it counted each time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn fill(&self) -> Result<Fill, SpoolError> {
        let mut filled = self.filled.lock().await;
        if let Some((at, fill)) = *filled
            && at.elapsed() < SELDOM
        {
            return Ok(fill);
        }
        let look = self.looks.read(spool::fill);
        let fill = look.await?;
        *filled = Some((Instant::now(), fill));
        Ok(fill)
    }
}

fn by_app_id(accounts: Vec<Account>) -> HashMap<String, Account> {
    accounts
        .into_iter()
        .map(|account| (account.app_id.clone(), account))
        .collect()
}

/// Makes the file for its owner only, as it holds what people write; SQLite gives the files beside it the
/// same mode. What goes wrong here is told when it is opened.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}

type Caller = (oneshot::Sender<bool>, Box<dyn Send>);

/// Writes what comes, everything that came during one commit in the next.
async fn write(
    file: Db,
    mut incoming: mpsc::UnboundedReceiver<Entry>,
    most: i64,
    fails: Arc<AtomicBool>,
) {
    let mut waiting = Vec::with_capacity(BATCH);
    while incoming.recv_many(&mut waiting, BATCH).await > 0 {
        // Whoever has gone has not been told that it is kept: WeChat will retry.
        waiting.retain(|entry| !entry.kept.is_closed());
        let (events, callers): (Vec<Spooled>, Vec<Caller>) = waiting
            .drain(..)
            .map(|entry| (entry.event, (entry.kept, entry.room)))
            .unzip();
        let count = events.len();
        if count == 0 {
            continue;
        }
        let kept = file.write(move |conn| {
            let used = spool::used(conn)?;
            if used >= most {
                return Err(SpoolError::Full { used, most });
            }
            Ok(spool::keep(conn, &events)?)
        });
        let kept = kept.await;
        match &kept {
            Ok(()) => {
                fails.store(false, Ordering::Relaxed);
                metrics::spooled(count);
            }
            // Once until it works again: callbacks come by the thousand.
            Err(error) if !fails.swap(true, Ordering::Relaxed) => {
                tracing::error!(events.count = count, %error, "callbacks cannot be kept in the spool");
            }
            Err(_) => {}
        }
        for (caller, _room) in callers {
            // A caller that went away has nobody to tell; WeChat will retry.
            let _ = caller.send(kept.is_ok());
        }
    }
}
