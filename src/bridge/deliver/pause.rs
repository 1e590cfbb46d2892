//! Accounts that may not send for a while: WeChat refuses them, not the message, so the next
//! message would only be refused too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use crate::ids::AccountId;

/// Why an account does not send, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When to try again, UTC.
    pub until: NaiveDateTime,
    /// A stable word for why.
    pub reason: &'static str,
    /// The same in a sentence.
    pub detail: String,
}

/// The pauses of this process. Another one finds them out by itself, at the cost of one refusal.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<AccountId, Pause>>);

impl Pauses {
    /// The pause of an account, if it is not over.
    pub fn of(&self, account: AccountId, now: NaiveDateTime) -> Option<Pause> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.get(&account)?.until <= now {
            pauses.remove(&account);
        }
        pauses.get(&account).cloned()
    }

    /// Pauses an account.
    pub fn set(&self, account: AccountId, pause: Pause) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.insert(account, pause);
    }
}
