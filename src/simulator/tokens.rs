//! Access tokens: who may call, for how long, and which call ends which token (WeChat guide, getAccessToken and
//! getStableAccessToken).

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::account::Account;
use super::api::Errcode;
use super::locks::{lock, read, write};

/// How long two consecutive tokens both work.
const OVERLAP_MILLIS: i64 = 5 * 60 * 1000;
const FORCE_INTERVAL_MILLIS: i64 = 30 * 1000;
const FORCE_PER_DAY: usize = 20;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

#[derive(Clone)]
struct Token {
    account: Arc<Account>,
    ends_at: i64,
    /// Ended before its time by a newer one: refused with 40001 instead of 42001.
    superseded: bool,
}

/// The newest tokens of one account; the two calls do not touch each other's.
#[derive(Default)]
pub(super) struct Newest {
    plain: Option<String>,
    stable: Option<(String, i64)>,
    /// When `force_refresh` made a token.
    forced: Vec<i64>,
}

/// A token and its remaining life, as both token calls answer.
pub(super) struct Grant {
    pub(super) token: String,
    pub(super) expires_in: i64,
}

/// All tokens ever issued: the dead ones are refused with the code that tells why.
#[derive(Default)]
pub(super) struct Tokens {
    by_token: RwLock<HashMap<String, Token>>,
}

impl Tokens {
    /// The account that a token was issued to, dead or alive.
    pub(super) fn account(&self, token: &str) -> Option<Arc<Account>> {
        let tokens = read(&self.by_token);
        tokens.get(token).map(|token| Arc::clone(&token.account))
    }

    /// Whether a token is good now.
    pub(super) fn check(&self, token: &str, now: i64) -> Result<Arc<Account>, Errcode> {
        match read(&self.by_token).get(token) {
            None => Err(Errcode::MALFORMED_TOKEN),
            Some(token) if now < token.ends_at => Ok(Arc::clone(&token.account)),
            Some(token) if token.superseded => Err(Errcode::INVALID_TOKEN),
            Some(_) => Err(Errcode::EXPIRED_TOKEN),
        }
    }

    /// GET /cgi-bin/token: always a new one; the previous one works for five more minutes.
    pub(super) fn plain(&self, account: &Arc<Account>, life_seconds: i64, now: i64) -> Grant {
        let grant = self.issue(account, life_seconds, now);
        let previous = lock(&account.newest_tokens)
            .plain
            .replace(grant.token.clone());
        if let Some(previous) = previous {
            self.end(&previous, now + OVERLAP_MILLIS);
        }
        grant
    }

    /// POST /cgi-bin/stable_token: the same one until five minutes before its end, unless forced.
    pub(super) fn stable(
        &self,
        account: &Arc<Account>,
        life_seconds: i64,
        force: bool,
        now: i64,
    ) -> Result<Grant, Errcode> {
        let mut newest = lock(&account.newest_tokens);
        let too_soon = newest
            .forced
            .last()
            .is_some_and(|last| now - last < FORCE_INTERVAL_MILLIS);
        let force = force && !too_soon;
        if force {
            newest.forced.retain(|at| now - at < DAY_MILLIS);
            if newest.forced.len() >= FORCE_PER_DAY {
                return Err(Errcode::QUOTA);
            }
            newest.forced.push(now);
        }
        match &newest.stable {
            Some((previous, _)) if force => self.end(previous, now),
            Some((token, ends_at))
                if ends_at - now > OVERLAP_MILLIS && self.is_good(token, now) =>
            {
                return Ok(Grant {
                    token: token.clone(),
                    expires_in: (ends_at - now) / 1000,
                });
            }
            _ => {}
        }
        let grant = self.issue(account, life_seconds, now);
        newest.stable = Some((grant.token.clone(), now + life_seconds * 1000));
        Ok(grant)
    }

    /// Ends every token of an account, as if another system had fetched new ones: they are refused with 40001.
    pub(super) fn invalidate(&self, account: &Arc<Account>, now: i64) {
        for token in write(&self.by_token).values_mut() {
            if Arc::ptr_eq(&token.account, account) && token.ends_at > now {
                token.ends_at = now;
                token.superseded = true;
            }
        }
    }

    fn is_good(&self, token: &str, now: i64) -> bool {
        self.check(token, now).is_ok()
    }

    fn issue(&self, account: &Arc<Account>, life_seconds: i64, now: i64) -> Grant {
        let token = format!("94_{}", random_text(136));
        let state = Token {
            account: Arc::clone(account),
            ends_at: now + life_seconds * 1000,
            superseded: false,
        };
        write(&self.by_token).insert(token.clone(), state);
        Grant {
            token,
            expires_in: life_seconds,
        }
    }

    fn end(&self, token: &str, at: i64) {
        if let Some(token) = write(&self.by_token).get_mut(token)
            && token.ends_at > at
        {
            token.ends_at = at;
            token.superseded = true;
        }
    }
}

/// Random text of letters and digits.
pub(super) fn random_text(length: usize) -> String {
    use rand::RngExt;
    use rand::distr::Alphanumeric;
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

/// A nonce or echostr, as WeChat draws them.
pub(super) fn random_number() -> u32 {
    rand::random_range(100_000_000..=u32::MAX)
}
