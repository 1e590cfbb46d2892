//! The accounts with their secrets opened, kept in memory for the hot path.
//!
//! An entry is trusted for a few seconds, then read again, so that an account added or changed by
//! any process is seen by all of them without a restart.

mod flight;
pub mod keys;
mod open;
pub(super) mod problem;
pub mod projects;
pub mod register;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};

use crate::bridge::stats::calls::Calls;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::ids::AccountId;
use crate::logging;
use crate::models::account::{self, Account};
use crate::vault::Vault;

use flight::Flights;
use open::open;
pub use open::{AccountError, OpenAccount, is_app_id, place, unseal};

const TRUSTED_FOR: TimeDelta = TimeDelta::seconds(5);
/// How long a caller waits for an account that is not known.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// How long a caller waits for an account that is known to be read again.
const READ_AGAIN_WITHIN: Duration = Duration::from_millis(250);
/// Unknown app ids that are remembered as unknown; a stranger can make up more, but not fill the
/// memory with them.
const MISSES: usize = 10_000;

#[derive(Clone)]
struct Entry {
    account: Option<Arc<OpenAccount>>,
    read_at: NaiveDateTime,
}

/// The accounts of this installation.
pub struct Accounts {
    db: Db,
    vault: Vault,
    clock: Clock,
    entries: RwLock<HashMap<String, Entry>>,
    everything: RwLock<Option<(Arc<ById>, NaiveDateTime)>>,
    /// Accounts that did not open, each told once.
    left_out: Mutex<HashSet<AccountId>>,
    /// Accounts that are being read.
    flights: Flights,
    /// Where the calls of each are counted.
    calls: Arc<Calls>,
}

/// Accounts by row id.
pub type ById = HashMap<AccountId, Arc<OpenAccount>>;

impl Accounts {
    /// Starts with nothing read.
    pub fn new(db: Db, vault: Vault, clock: Clock, calls: Arc<Calls>) -> Self {
        Self {
            db,
            vault,
            clock,
            entries: RwLock::default(),
            everything: RwLock::default(),
            left_out: Mutex::default(),
            flights: Flights::default(),
            calls,
        }
    }

    /// The account of that app id, or none if there is none. One that is known does not keep its caller
    /// waiting for a database that is away: it is read again behind it.
    ///
    /// # Errors
    /// If it is not in memory and cannot be read or opened.
    pub async fn get(
        self: &Arc<Self>,
        app_id: &str,
    ) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        if !is_app_id(app_id) {
            return Ok(None);
        }
        let now = self.clock.now();
        let known = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.get(app_id).cloned()
        };
        let Some(entry) = known else {
            // Strangers can name any, and each would wait for a database that hangs.
            let read = self.reload_together(app_id);
            let read = tokio::time::timeout(READ_WITHIN, read).await;
            return read.unwrap_or(Err(AccountError::Db(DbError::TooSlow)));
        };
        let age = now - entry.read_at;
        let is_trusted = (TimeDelta::zero()..TRUSTED_FOR).contains(&age);
        if is_trusted || !self.take_turn(app_id, entry.read_at) {
            return Ok(entry.account);
        }
        let (accounts, wanted) = (Arc::clone(self), app_id.to_owned());
        let read = tokio::spawn(async move { accounts.reload_together(&wanted).await });
        let patience = match self.db.is_away() {
            true => Duration::ZERO,
            false => READ_AGAIN_WITHIN,
        };
        match tokio::time::timeout(patience, read).await {
            Ok(Ok(Ok(account))) => Ok(account),
            Ok(Ok(Err(AccountError::Db(error)))) => {
                if let Some(unsaid) = logging::now_and_then("account not read again") {
                    tracing::warn!(account.app_id = app_id, %error, unsaid, "account not read again");
                }
                Ok(entry.account)
            }
            Ok(Ok(Err(error))) => Err(error),
            // What was known a moment ago serves better than an error, or a wait.
            Ok(Err(_)) | Err(_) => Ok(entry.account),
        }
    }

    /// The account of that app id as it is in memory, however old.
    pub(super) fn known(&self, app_id: &str) -> Option<Arc<OpenAccount>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(app_id)?.account.clone()
    }

    /// [`Accounts::reload`], once for all who want the same at the same time.
    async fn reload_together(
        &self,
        app_id: &str,
    ) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        self.flights.join(app_id, || self.reload(app_id)).await
    }

    /// Of many callers that find an entry old, one reads it again; the others go on with it.
    fn take_turn(&self, app_id: &str, seen: NaiveDateTime) -> bool {
        let now = self.clock.now();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match entries.get_mut(app_id) {
            Some(entry) if entry.read_at == seen => {
                entry.read_at = now;
                true
            }
            _ => false,
        }
    }

    /// Every account, by row id.
    ///
    /// # Errors
    /// If they are not in memory and cannot be read.
    pub async fn all(&self) -> Result<Arc<ById>, AccountError> {
        let now = self.clock.now();
        let known = {
            let everything = self.everything.read();
            everything.unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some((accounts, read_at)) = known
            && (TimeDelta::zero()..TRUSTED_FOR).contains(&(now - read_at))
        {
            return Ok(accounts);
        }
        let stored = self.db.read(account::all).await?;
        let mut accounts = ById::new();
        for stored in stored {
            let (id, app_id) = (stored.id, stored.app_id.clone());
            match open(&self.vault, &self.calls, stored) {
                Ok(account) => {
                    self.left_out().remove(&id);
                    accounts.insert(id, Arc::new(account));
                }
                // One account that does not open must not stop the others.
                Err(error) => {
                    if self.left_out().insert(id) {
                        tracing::error!(account.app_id = app_id, %error, "account left out");
                    }
                }
            }
        }
        let accounts = Arc::new(accounts);
        *self
            .everything
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&accounts), now));
        Ok(accounts)
    }

    /// Whether there are accounts and none of them opens: this process has another master key.
    ///
    /// # Errors
    /// As [`Accounts::all`].
    pub async fn is_locked_out(&self) -> Result<bool, AccountError> {
        Ok(self.all().await?.is_empty() && !self.left_out().is_empty())
    }

    fn left_out(&self) -> MutexGuard<'_, HashSet<AccountId>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of that row id.
    ///
    /// # Errors
    /// As [`Accounts::all`].
    pub async fn by_id(&self, id: AccountId) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        if let Some(account) = self.all().await?.get(&id) {
            return Ok(Some(Arc::clone(account)));
        }
        self.forget_all();
        Ok(self.all().await?.get(&id).cloned())
    }

    /// Has all accounts read again before the next use of [`Accounts::all`].
    pub(super) fn forget_all(&self) {
        *self
            .everything
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads an account again, whatever is known of it.
    ///
    /// # Errors
    /// If it cannot be read or opened.
    pub async fn reload(&self, app_id: &str) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        let wanted = app_id.to_owned();
        let stored = self
            .db
            .read(move |conn| account::by_app_id(conn, &wanted))
            .await?;
        match stored {
            Some(stored) => self.remember(stored).map(Some),
            None => {
                self.put(app_id.to_owned(), None);
                Ok(None)
            }
        }
    }

    /// Reads an account again unless that was done within the last second: what a callback that
    /// cannot be trusted may cost.
    ///
    /// # Errors
    /// As [`Accounts::reload`].
    pub async fn reload_sparingly(
        &self,
        app_id: &str,
    ) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        let known = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.get(app_id).cloned()
        };
        match known {
            Some(entry)
                if (TimeDelta::zero()..TimeDelta::seconds(1))
                    .contains(&(self.clock.now() - entry.read_at))
                    || !self.take_turn(app_id, entry.read_at) =>
            {
                Ok(entry.account)
            }
            _ => self.reload_together(app_id).await,
        }
    }

    /// Opens an account and keeps it in memory.
    pub(super) fn remember(&self, stored: Account) -> Result<Arc<OpenAccount>, AccountError> {
        let account = Arc::new(open(&self.vault, &self.calls, stored)?);
        self.put(account.app_id.clone(), Some(Arc::clone(&account)));
        Ok(account)
    }

    fn put(&self, app_id: String, account: Option<Arc<OpenAccount>>) {
        let read_at = self.clock.now();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if account.is_none() && entries.len() >= MISSES {
            entries.retain(|_, entry| entry.account.is_some());
        }
        entries.insert(app_id, Entry { account, read_at });
    }
}
