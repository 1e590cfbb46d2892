//! Which accounts have a task under way that makes due what waited for a pause, and for what.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};
use tokio::sync::Notify;

use crate::ids::AccountId;
use crate::models::account::pause::PauseReason;
use crate::models::account::resumption::Resumption;

/// How long whoever lifted a pause has to make due what waited for it, before others do.
const OTHERS: TimeDelta = TimeDelta::seconds(2);
/// How long this process does not try again after that failed.
const FAILED: TimeDelta = TimeDelta::seconds(10);

/// Reasons for which deliveries wait.
type Words = HashSet<PauseReason>;

/// The tasks of this process: one for each account, so that none does the work of another one.
#[derive(Debug, Default)]
pub(crate) struct Resumptions {
    /// What is asked for and not begun yet.
    asked: Mutex<HashMap<AccountId, Words>>,
    over: Notify,
    failed_at: Mutex<Option<NaiveDateTime>>,
}

impl Resumptions {
    /// Begins with these, if there are any. None where another task goes on with them.
    pub(crate) fn begin(self: &Arc<Self>, account: AccountId, words: Words) -> Option<Turn> {
        if words.is_empty() {
            return None;
        }
        match self.asked().entry(account) {
            Entry::Occupied(mut known) => {
                known.get_mut().extend(words);
                return None;
            }
            Entry::Vacant(free) => drop(free.insert(words)),
        }
        Some(Turn {
            resumptions: Arc::clone(self),
            account,
            is_over: false,
        })
    }

    /// It failed: what is noted is tried again after a while.
    pub(crate) fn failed(&self, now: NaiveDateTime) {
        *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Of what is noted, what nobody seems to go on with.
    pub(crate) fn left(
        &self,
        noted: Vec<Resumption>,
        now: NaiveDateTime,
    ) -> HashMap<AccountId, Words> {
        let mut left: HashMap<AccountId, Words> = HashMap::new();
        let failed_at = *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if failed_at.is_some_and(|at| (now - at).abs() < FAILED) {
            return left;
        }
        for one in noted {
            // Also where the clock has gone back since.
            if (now - one.lifted_at).abs() >= OTHERS {
                left.entry(one.account_id).or_default().insert(one.reason);
            }
        }
        left
    }

    /// Completes when there is no task.
    pub(crate) async fn settled(&self) {
        loop {
            let over = self.over.notified();
            tokio::pin!(over);
            // Registered before looking, so that the last one's end is not missed.
            over.as_mut().enable();
            if self.asked().is_empty() {
                return;
            }
            over.await;
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<AccountId, Words>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account's task; over when dropped, however it ends.
#[derive(Debug)]
pub(crate) struct Turn {
    resumptions: Arc<Resumptions>,
    account: AccountId,
    is_over: bool,
}

impl Turn {
    /// What to go on with; none ends it.
    pub(crate) fn go_on(&mut self) -> Option<Words> {
        let mut asked = self.resumptions.asked();
        let words = std::mem::take(asked.get_mut(&self.account)?);
        if words.is_empty() {
            // Under the same lock: what is asked for from now on begins again.
            asked.remove(&self.account);
            self.is_over = true;
            return None;
        }
        Some(words)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.resumptions.asked().remove(&self.account);
        }
        self.resumptions.over.notify_waiters();
    }
}
