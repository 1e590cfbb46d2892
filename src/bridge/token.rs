//! Access tokens: one refresh at a time across all replicas, and a refused token thrown away only
//! if it is still the stored one.

mod error;
mod known;
pub mod lend;
mod share;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use super::accounts::problem;
use super::accounts::{OpenAccount, place};
use crate::clock::Clock;
use crate::db::Db;
use crate::ids::AccountId;
use crate::models::account::TokenSource;
use crate::models::account::access_token::{self, StoredToken};
use crate::models::account::pause::{self, PauseReason};
use crate::models::account::resumption;
use crate::vault::Vault;
use crate::wechat::client::{AccessToken, Client};
use crate::wechat::error::{CallError, Class, TOKEN_CALL};
use crate::wechat::token::TokenGrant;

pub use error::TokenError;
use known::Known;
pub use share::Report;

/// A token is replaced when less than this remains of it: WeChat's old and new token are both
/// good for the last five minutes.
const REFRESH_BEFORE: TimeDelta = TimeDelta::minutes(10);
/// A token is not used when less than this remains of it.
const TOO_SHORT: TimeDelta = TimeDelta::seconds(30);
/// How long a token is used that should be replaced and cannot be yet.
const FOR_NOW: TimeDelta = TimeDelta::seconds(60);
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
    /// Until when it is used without asking whether there is a newer one.
    look_again: NaiveDateTime,
}

/// One caller of a process at a time asks for an account's token. Whoever waited meanwhile shares
/// its failure instead of repeating it: WeChat's, or none where another replica was too slow.
type Turn = Arc<Mutex<Option<(Instant, Option<CallError>)>>>;

/// The access tokens of this installation.
pub struct Tokens {
    db: Db,
    vault: Vault,
    clock: Clock,
    wechat: Client,
    owner: String,
    known: Known,
    refreshing: Mutex<HashMap<AccountId, Turn>>,
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
            known: Known::default(),
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
        let called = self.call_unless(account, name, || ready(None::<Infallible>), call);
        match called.await {
            Ok(result) => result,
            Err(never) => match never {},
        }
    }

    /// The same, unless there is a reason to stop just before the call, when a token is there.
    ///
    /// # Errors
    /// That reason.
    pub async fn call_unless<T, S, L, F, R>(
        &self,
        account: &OpenAccount,
        name: &'static str,
        stop: impl Fn() -> L,
        call: F,
    ) -> Result<Result<T, TokenError>, S>
    where
        L: Future<Output = Option<S>>,
        F: Fn(AccessToken) -> R,
        R: Future<Output = Result<T, CallError>>,
    {
        let mut refused = None;
        loop {
            let token = match self.get_but(account, refused).await {
                Ok(token) => token,
                Err(error) => return Ok(Err(error)),
            };
            if let Some(reason) = stop().await {
                return Err(reason);
            }
            let result = call(token.value).await;
            let is_refused = matches!(&result, Err(error) if error.class() == Class::RefreshToken);
            if is_refused && refused.is_none() {
                refused = Some(token.generation);
                continue;
            }
            problem::note(&self.db, &self.clock, account, name, result.as_ref().err()).await;
            return Ok(result.map_err(TokenError::Call));
        }
    }

    /// The account's token, but not the one of a generation that was refused.
    async fn get_but(
        &self,
        account: &OpenAccount,
        refused: Option<i64>,
    ) -> Result<Token, TokenError> {
        if let Some(generation) = refused {
            self.invalidate(account.id, generation).await?;
        }
        self.get(account).await
    }

    /// The account's token, refreshed if need be.
    ///
    /// # Errors
    /// If there is none and none can be had.
    pub async fn get(&self, account: &OpenAccount) -> Result<Token, TokenError> {
        if let Some(token) = self.fresh(account.id) {
            return Ok(token);
        }
        let asked = Instant::now();
        let turn = {
            let mut refreshing = self.refreshing.lock().await;
            Arc::clone(refreshing.entry(account.id).or_default())
        };
        let mut failed = turn.lock().await;
        if let Some(token) = self.fresh(account.id) {
            return Ok(token);
        }
        if let Some((at, error)) = &*failed
            && *at >= asked
        {
            return Err(match error {
                Some(error) => TokenError::Refresh(error.clone()),
                None => TokenError::Busy(account.app_id.clone()),
            });
        }
        let result = self.get_in_turn(account).await;
        *failed = match &result {
            Err(TokenError::Refresh(error)) => Some((Instant::now(), Some(error.clone()))),
            Err(TokenError::Busy(_)) => Some((Instant::now(), None)),
            _ => None,
        };
        result
    }

    async fn get_in_turn(&self, account: &OpenAccount) -> Result<Token, TokenError> {
        for _ in 0..LOOKS {
            let now = self.clock.now();
            let stored = self.stored(account.id).await?;
            let generation = stored.as_ref().map_or(0, |stored| stored.generation);
            let alive = self
                .open(account, stored)
                .filter(|token| token.expires_at - now > TOO_SHORT);
            if let Some(token) = &alive
                && now < token.look_again
            {
                return Ok(self.remember(account.id, token.clone()));
            }
            if self.take_lease(account.id, generation).await? {
                return match (self.refresh(account).await, alive) {
                    (Err(TokenError::Refresh(error)), Some(token)) => {
                        tracing::warn!(
                            account.app_id = %account.app_id,
                            %error,
                            "access token not refreshed, going on with the one there is"
                        );
                        Ok(self.remember(account.id, token.for_now(now)))
                    }
                    (refreshed, _) => refreshed,
                };
            }
            if let Some(token) = alive {
                return Ok(self.remember(account.id, token.for_now(now)));
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
        self.known.refuse(account, generation);
        self.db
            .write(move |conn| Ok(access_token::invalidate(conn, account, generation)?))
            .await
    }

    fn fresh(&self, account: AccountId) -> Option<Token> {
        self.known
            .get(account)
            .filter(|token| self.clock.now() < token.look_again)
    }

    fn remember(&self, account: AccountId, token: Token) -> Token {
        self.known.put(account, &token);
        token
    }

    async fn stored(&self, account: AccountId) -> Result<Option<StoredToken>, TokenError> {
        self.db
            .read(move |conn| Ok(access_token::find(conn, account)?))
            .await
    }

    /// The stored token, if there is one that opens: after a change of the master key there is
    /// none, and a new one is fetched.
    fn open(&self, account: &OpenAccount, stored: Option<StoredToken>) -> Option<Token> {
        let stored = stored?;
        let sealed = stored.sealed_token?;
        let value = match self.vault.unseal(&token_place(account), &sealed) {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(account.app_id = %account.app_id, %error, "stored access token unusable");
                return None;
            }
        };
        Some(Token {
            value: AccessToken::new(value.expose_secret()),
            generation: stored.generation,
            expires_at: stored.expires_at,
            look_again: stored.expires_at - REFRESH_BEFORE,
        })
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
        let asked_at = self.clock.now();
        let fetched = self.fetch(account).await;
        let refused = fetched.as_ref().err().and_then(TokenError::as_call);
        problem::note(&self.db, &self.clock, account, TOKEN_CALL, refused).await;
        let (id, owner) = (account.id, self.owner.clone());
        let grant = match fetched {
            Ok(grant) => grant,
            Err(error) => {
                self.db
                    .write(move |conn| access_token::release_lease(conn, id, &owner))
                    .await?;
                return Err(error);
            }
        };
        let now = self.clock.now();
        let expires_at = now + TimeDelta::from_std(grant.expires_in).unwrap_or(TimeDelta::hours(2));
        let sealed = self
            .vault
            .seal(&token_place(account), grant.access_token.expose())?;
        let stored = self.db.write(move |conn| {
            // Whoever asked for it: what could not be sent without one goes on, where it is sent.
            let until = pause::lift_without_token(conn, id, asked_at)?;
            // What has waited for midnight comes back by itself, spread over some minutes.
            if until.is_some_and(|until| now < until) {
                resumption::note(conn, id, [PauseReason::QuotaUsedUp], now)?;
            }
            access_token::store(conn, id, &owner, &sealed, expires_at)
        });
        let generation = stored.await?;
        let mut token = Token {
            value: grant.access_token,
            generation: generation.unwrap_or_default(),
            expires_at,
            look_again: expires_at - REFRESH_BEFORE,
        };
        if token.look_again <= now {
            // WeChat gives the same token out until about five minutes before its end.
            token = token.for_now(now);
        }
        if generation.is_some() {
            self.remember(account.id, token.clone());
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

impl Token {
    /// The same token, to be used for a little while before looking for a newer one.
    fn for_now(mut self, now: NaiveDateTime) -> Self {
        self.look_again = (now + FOR_NOW).min(self.expires_at - TOO_SHORT);
        self
    }
}

fn token_place(account: &OpenAccount) -> String {
    place(&account.app_id, "access_token")
}
