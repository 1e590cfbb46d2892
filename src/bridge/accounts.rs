//! The accounts with their secrets opened, kept in memory for the hot path.
//!
//! An entry is trusted for a few seconds, then read again, so that an account added or changed by
//! any process is seen by all of them without a restart.

mod open;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{NaiveDateTime, TimeDelta};

use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::ids::AccountId;
use crate::models::account::{self, Account};
use crate::vault::Vault;

use open::open;
pub use open::{AccountError, OpenAccount, is_app_id, place, unseal};

const TRUSTED_FOR: TimeDelta = TimeDelta::seconds(5);
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
}

/// Accounts by row id.
pub type ById = HashMap<AccountId, Arc<OpenAccount>>;

impl Accounts {
    /// Starts with nothing read.
    pub fn new(db: Db, vault: Vault, clock: Clock) -> Self {
        Self {
            db,
            vault,
            clock,
            entries: RwLock::default(),
            everything: RwLock::default(),
            left_out: Mutex::default(),
        }
    }

    /// The account of that app id, or none if there is none.
    ///
    /// # Errors
    /// If it is not in memory and cannot be read or opened.
    pub async fn get(&self, app_id: &str) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        if !is_app_id(app_id) {
            return Ok(None);
        }
        let now = self.clock.now();
        let known = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.get(app_id).cloned()
        };
        let Some(entry) = known else {
            return self.reload(app_id).await;
        };
        if now - entry.read_at < TRUSTED_FOR || !self.take_turn(app_id, entry.read_at) {
            return Ok(entry.account);
        }
        match self.reload(app_id).await {
            // What was known a moment ago serves better than an error.
            Err(AccountError::Db(error)) => {
                tracing::warn!(account.app_id = app_id, %error, "account not read again");
                Ok(entry.account)
            }
            read => read,
        }
    }

    /// The account of that app id as it is in memory, however old.
    pub(super) fn known(&self, app_id: &str) -> Option<Arc<OpenAccount>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(app_id)?.account.clone()
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
            && now - read_at < TRUSTED_FOR
        {
            return Ok(accounts);
        }
        let stored = self
            .db
            .read(move |conn| Ok::<_, DbError>(account::all(conn)?))
            .await?;
        let mut accounts = ById::new();
        for stored in stored {
            let (id, app_id) = (stored.id, stored.app_id.clone());
            match open(&self.vault, stored) {
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
            .read(move |conn| Ok::<_, DbError>(account::by_app_id(conn, &wanted)?))
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
                if self.clock.now() - entry.read_at < TimeDelta::seconds(1)
                    || !self.take_turn(app_id, entry.read_at) =>
            {
                Ok(entry.account)
            }
            _ => self.reload(app_id).await,
        }
    }

    /// Opens an account and keeps it in memory.
    pub(super) fn remember(&self, stored: Account) -> Result<Arc<OpenAccount>, AccountError> {
        let account = Arc::new(open(&self.vault, stored)?);
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
