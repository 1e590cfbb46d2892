//! The tokens in this process's memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Token;
use crate::ids::AccountId;

/// Tokens by account.
#[derive(Default)]
pub(super) struct Known(RwLock<HashMap<AccountId, Entry>>);

#[derive(Default)]
struct Entry {
    token: Option<Token>,
    /// WeChat has refused tokens up to this generation. Whoever read one from the database just
    /// before it was thrown away must not bring it back.
    refused: i64,
}

impl Known {
    pub(super) fn get(&self, account: AccountId) -> Option<Token> {
        self.read().get(&account)?.token.clone()
    }

    /// Remembers a token, unless it has been refused.
    pub(super) fn put(&self, account: AccountId, token: &Token) {
        let mut known = self.write();
        let entry = known.entry(account).or_default();
        if token.generation > entry.refused {
            entry.token = Some(token.clone());
        }
    }

    /// Forgets a refused token for good; a newer one stays.
    pub(super) fn refuse(&self, account: AccountId, generation: i64) {
        let mut known = self.write();
        let entry = known.entry(account).or_default();
        entry.refused = entry.refused.max(generation);
        let refused = entry.refused;
        entry.token.take_if(|token| token.generation <= refused);
    }

    /// Forgets any token but that of this generation.
    pub(super) fn keep_only(&self, account: AccountId, generation: Option<i64>) {
        if let Some(entry) = self.write().get_mut(&account) {
            entry
                .token
                .take_if(|token| Some(token.generation) != generation);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<AccountId, Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<AccountId, Entry>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;

    use super::*;
    use crate::wechat::client::AccessToken;

    const ACCOUNT: AccountId = AccountId(1);

    fn token(generation: i64) -> Token {
        Token {
            value: AccessToken::new("t"),
            generation,
            expires_at: NaiveDateTime::MAX,
            look_again: NaiveDateTime::MAX,
        }
    }

    fn generation(known: &Known) -> Option<i64> {
        known.get(ACCOUNT).map(|token| token.generation)
    }

    #[test]
    fn a_refused_token_does_not_come_back() {
        let known = Known::default();
        known.put(ACCOUNT, &token(1));
        known.refuse(ACCOUNT, 1);
        // Read before it was refused, put after.
        known.put(ACCOUNT, &token(1));
        assert_eq!(generation(&known), None);
        known.put(ACCOUNT, &token(2));
        known.refuse(ACCOUNT, 1);
        assert_eq!(
            generation(&known),
            Some(2),
            "an old refusal costs no new token"
        );
    }

    #[test]
    fn another_replicas_token_is_made_room_for() {
        let known = Known::default();
        known.put(ACCOUNT, &token(1));
        known.keep_only(ACCOUNT, Some(1));
        assert_eq!(generation(&known), Some(1));
        known.keep_only(ACCOUNT, Some(2));
        assert_eq!(generation(&known), None);
    }
}
