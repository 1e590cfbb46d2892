//! Access tokens: one refresh at a time across all replicas, and a refused token thrown away only
//! if it is still the stored one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::Mutex;

use super::accounts::{OpenAccount, place};
use super::problem;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::ids::AccountId;
use crate::models::access_token::{self, StoredToken};
use crate::models::account::TokenSource;
use crate::vault::{Vault, VaultError};
use crate::wechat::client::{AccessToken, Client};
use crate::wechat::error::{CallError, Class};
use crate::wechat::token::TokenGrant;

/// A token is replaced when less than this remains of it: WeChat's old and new token are both
/// good for the last five minutes.
const REFRESH_BEFORE: TimeDelta = TimeDelta::minutes(10);
/// How long a refresh is left to the replica that took it.
const LEASE: TimeDelta = TimeDelta::seconds(20);
/// How often the others look whether it is done, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 250;

/// A token and which one it is.
#[derive(Clone, Debug)]
pub struct Token {
    /// What goes into the call.
    pub value: AccessToken,
    /// Which refresh it came from: names it when WeChat refuses it.
    pub generation: i64,
    expires_at: NaiveDateTime,
}

/// Why a call could not be made or did not work.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The account has no app secret.
    #[error("account {0} has no app secret: add it with `queqiao accounts set --secret`")]
    NoSecret(String),
    /// WeChat refused the call, or could not be reached for it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no token, because WeChat refused to give one or could not be reached; the call
    /// itself was not made.
    #[error("no access token: {0}")]
    Refresh(#[source] CallError),
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The stored token does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Another replica has been refreshing for too long.
    #[error("another process holds the token refresh of account {0}")]
    Busy(String),
}

impl From<diesel::result::Error> for TokenError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// The access tokens of this installation.
pub struct Tokens {
    db: Db,
    vault: Vault,
    clock: Clock,
    wechat: Client,
    owner: String,
    known: RwLock<HashMap<AccountId, Token>>,
    refreshing: Mutex<HashMap<AccountId, Arc<Mutex<()>>>>,
}

impl Tokens {
    /// Starts with nothing known.
    pub fn new(db: Db, vault: Vault, clock: Clock, wechat: Client) -> Self {
        Self {
            db,
            vault,
            clock,
            wechat,
            owner: format!("{:016x}", rand::random::<u64>()),
            known: RwLock::default(),
            refreshing: Mutex::default(),
        }
    }

    /// Makes a call with the account's token. When WeChat refuses the token, it is replaced and
    /// the call is made once more, not again.
    ///
    /// # Errors
    /// What the call returns, or why there is no token.
    pub async fn call<T, F, R>(
        &self,
        account: &OpenAccount,
        name: &'static str,
        call: F,
    ) -> Result<T, TokenError>
    where
        F: Fn(AccessToken) -> R,
        R: Future<Output = Result<T, CallError>>,
    {
        let token = self.get(account).await?;
        let mut result = call(token.value).await;
        if matches!(&result, Err(error) if error.class() == Class::RefreshToken) {
            self.invalidate(account.id, token.generation).await?;
            let token = self.get(account).await?;
            result = call(token.value).await;
        }
        problem::note(&self.db, &self.clock, account, name, result.as_ref().err()).await;
        Ok(result?)
    }

    /// The account's token, refreshed if need be.
    ///
    /// # Errors
    /// If there is none and none can be had.
    pub async fn get(&self, account: &OpenAccount) -> Result<Token, TokenError> {
        if let Some(token) = self.fresh(account.id) {
            return Ok(token);
        }
        let turn = {
            let mut refreshing = self.refreshing.lock().await;
            Arc::clone(refreshing.entry(account.id).or_default())
        };
        // One caller of this process at a time; the others find its token.
        let _turn = turn.lock().await;
        for _ in 0..LOOKS {
            if let Some(token) = self.fresh(account.id) {
                return Ok(token);
            }
            let stored = self.stored(account.id).await?;
            let generation = stored.as_ref().map_or(0, |stored| stored.generation);
            if let Some(token) = self.open(account, stored)?
                && token.expires_at - self.clock.now() > REFRESH_BEFORE
            {
                self.remember(account.id, &token);
                return Ok(token);
            }
            if self.take_lease(account.id, generation).await? {
                return self.refresh(account).await;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(TokenError::Busy(account.app_id.clone()))
    }

    /// Throws a refused token away, unless it has been replaced already.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn invalidate(
        &self,
        account: AccountId,
        generation: i64,
    ) -> Result<bool, TokenError> {
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known
                .get(&account)
                .is_some_and(|token| token.generation == generation)
            {
                known.remove(&account);
            }
        }
        self.db
            .write(move |conn| Ok(access_token::invalidate(conn, account, generation)?))
            .await
    }

    fn fresh(&self, account: AccountId) -> Option<Token> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&account)
            .filter(|token| token.expires_at - self.clock.now() > REFRESH_BEFORE)
            .cloned()
    }

    fn remember(&self, account: AccountId, token: &Token) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(account, token.clone());
    }

    async fn stored(&self, account: AccountId) -> Result<Option<StoredToken>, TokenError> {
        self.db
            .read(move |conn| Ok(access_token::find(conn, account)?))
            .await
    }

    fn open(
        &self,
        account: &OpenAccount,
        stored: Option<StoredToken>,
    ) -> Result<Option<Token>, TokenError> {
        let Some((sealed, stored)) = stored.and_then(|row| Some((row.sealed_token.clone()?, row)))
        else {
            return Ok(None);
        };
        let value = self.vault.unseal(&token_place(account), &sealed)?;
        Ok(Some(Token {
            value: AccessToken::new(value.expose_secret()),
            generation: stored.generation,
            expires_at: stored.expires_at,
        }))
    }

    async fn take_lease(&self, account: AccountId, generation: i64) -> Result<bool, TokenError> {
        let (owner, now) = (self.owner.clone(), self.clock.now());
        self.db
            .write(move |conn| {
                let until = now + LEASE;
                Ok(access_token::take_lease(
                    conn, account, generation, &owner, now, until,
                )?)
            })
            .await
    }

    async fn refresh(&self, account: &OpenAccount) -> Result<Token, TokenError> {
        let fetched = self.fetch(account).await;
        let refused = fetched.as_ref().err().and_then(TokenError::as_call);
        problem::note(&self.db, &self.clock, account, problem::TOKEN_CALL, refused).await;
        let (id, owner) = (account.id, self.owner.clone());
        let grant = match fetched {
            Ok(grant) => grant,
            Err(error) => {
                self.db
                    .write(move |conn| {
                        Ok::<_, TokenError>(access_token::release_lease(conn, id, &owner)?)
                    })
                    .await?;
                return Err(error);
            }
        };
        let expires_at =
            self.clock.now() + TimeDelta::from_std(grant.expires_in).unwrap_or(TimeDelta::hours(2));
        let sealed = self
            .vault
            .seal(&token_place(account), grant.access_token.expose())?;
        let generation = self
            .db
            .write(move |conn| {
                Ok::<_, TokenError>(access_token::store(conn, id, &owner, &sealed, expires_at)?)
            })
            .await?;
        let token = Token {
            value: grant.access_token,
            generation: generation.unwrap_or_default(),
            expires_at,
        };
        if generation.is_some() {
            self.remember(account.id, &token);
        }
        tracing::info!(account.app_id = %account.app_id, token.generation, "access token refreshed");
        Ok(token)
    }

    async fn fetch(&self, account: &OpenAccount) -> Result<TokenGrant, TokenError> {
        let secret = account
            .secret
            .as_ref()
            .ok_or_else(|| TokenError::NoSecret(account.app_id.clone()))?;
        match account.token_source {
            TokenSource::StableToken => {
                self.wechat
                    .stable_token(&account.app_id, secret, false)
                    .await
            }
            TokenSource::Token => self.wechat.token(&account.app_id, secret).await,
        }
        .map_err(TokenError::Refresh)
    }
}

impl TokenError {
    fn as_call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) | Self::Refresh(error) => Some(error),
            _ => None,
        }
    }
}

fn token_place(account: &OpenAccount) -> String {
    place(&account.app_id, "access_token")
}
