//! API keys: made once, shown once, and stored as their SHA-256, which is enough for 256 random
//! bits. A key that was looked up is trusted for a few seconds, so that not every request is a
//! query; a revoked one is refused after that at the latest. What is no key of this installation is
//! looked up apart from what was one a moment ago ([`strangers`]).

mod strangers;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{NaiveDateTime, TimeDelta};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, text_enum};
use crate::ids::{ApiKeyId, ProjectId};
use crate::models::api_key::{self, ApiKey, NewApiKey};
use strangers::Strangers;

const MARK: &str = "qq_";
const RANDOM_BYTES: usize = 32;
/// Characters that tell keys apart in a list: 30 random bits.
const PREFIX_CHARS: usize = MARK.len() + 5;
const TRUSTED_FOR: Duration = Duration::from_secs(3);

text_enum! {
    /// What a key may be used for.
    pub enum Scope {
        /// Notify staff, log mini-program users in, put staff and their bindings.
        Notify = "notify",
        /// Look everything up.
        Read = "read",
        /// Borrow access tokens. By itself, as whoever holds one can do all that WeChat lets the
        /// account do.
        Token = "token",
        /// Add endpoints that are told what happens, and see what they were told. By itself, as they
        /// are told of every person and message.
        Webhooks = "webhooks",
        /// Everything, deletions and settings among it.
        Admin = "admin",
    }
}

/// Whose request it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key_id: ApiKeyId,
    /// The key's name, for the audit trail.
    pub key_name: String,
    /// The one project it sees.
    pub project_id: ProjectId,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the key covers a scope; `admin` covers all.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

type Hash = [u8; 32];

/// When something was read, by two clocks: one may be set back, the other one stands still while the
/// machine sleeps.
#[derive(Clone, Copy)]
struct ReadAt {
    at: NaiveDateTime,
    on: Instant,
}

impl ReadAt {
    /// Whether it is trusted still. What was read later than now was read before the clock went back.
    fn is_fresh(self, now: NaiveDateTime) -> bool {
        let age = now - self.at;
        age >= TimeDelta::zero()
            && age.to_std().is_ok_and(|age| age < TRUSTED_FOR)
            && self.on.elapsed() < TRUSTED_FOR
    }
}

#[derive(Clone)]
struct Entry {
    caller: Arc<Caller>,
    read: ReadAt,
}

/// The API keys of this installation.
pub struct Keys {
    db: Db,
    clock: Clock,
    /// Keys that there were when they were last read.
    known: RwLock<HashMap<Hash, Entry>>,
    strangers: Strangers,
}

impl Keys {
    /// Starts with nothing read.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            strangers: Strangers::new(db.aside(1)),
            db,
            clock,
            known: RwLock::default(),
        }
    }

    /// Makes a key and stores its hash. The key itself is returned this once and never again.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub async fn create(
        &self,
        project: ProjectId,
        name: &str,
        scopes: &[Scope],
    ) -> Result<(SecretString, ApiKey), DbError> {
        let random: [u8; RANDOM_BYTES] = rand::random();
        let key = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random));
        let prefix: String = key.chars().take(PREFIX_CHARS).collect();
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let (name, scopes, hash) = (name.to_owned(), words.join(" "), hash(&key));
        let now = self.clock.now();
        let stored = self
            .db
            .write(move |conn| {
                let row = NewApiKey {
                    project_id: project,
                    name: &name,
                    prefix: &prefix,
                    key_hash: &hash,
                    scopes: &scopes,
                    created_at: now,
                };
                api_key::create(conn, &row)
            })
            .await?;
        Ok((SecretString::from(key), stored))
    }

    /// Whose key it is; none if it is unknown, revoked or no key at all.
    ///
    /// # Errors
    /// If it is not in memory and cannot be read.
    pub async fn verify(&self, key: &SecretString) -> Result<Option<Arc<Caller>>, DbError> {
        let key = key.expose_secret();
        if !is_key(key) {
            return Ok(None);
        }
        let (hash, now) = (hash(key), self.clock.now());
        let known = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.get(&hash).cloned()
        };
        let read = ReadAt {
            at: now,
            on: Instant::now(),
        };
        let stored = match known {
            Some(entry) if entry.read.is_fresh(now) => return Ok(Some(entry.caller)),
            Some(_) => {
                let look = move |conn: &mut Conn| api_key::by_hash(conn, &hash);
                self.db.read(look).await?
            }
            None => self.strangers.look_up(hash, read).await?,
        };
        let caller = stored
            .filter(|stored| stored.revoked_at.is_none())
            .map(|stored| Arc::new(caller(&stored)));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match &caller {
            Some(caller) => drop(known.insert(
                hash,
                Entry {
                    caller: Arc::clone(caller),
                    read,
                },
            )),
            None => drop(known.remove(&hash)),
        }
        Ok(caller)
    }

    /// Revokes a key. Returns whether there was one to revoke.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub async fn revoke(&self, id: ApiKeyId) -> Result<bool, DbError> {
        let now = self.clock.now();
        let revoked = self
            .db
            .write(move |conn| api_key::revoke(conn, id, now))
            .await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| entry.caller.key_id != id);
        Ok(revoked)
    }
}

/// `qq_` and 43 characters of base64url: 32 bytes.
fn is_key(text: &str) -> bool {
    text.strip_prefix(MARK).is_some_and(|encoded| {
        URL_SAFE_NO_PAD
            .decode(encoded)
            .is_ok_and(|bytes| bytes.len() == RANDOM_BYTES)
    })
}

fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

fn caller(stored: &ApiKey) -> Caller {
    Caller {
        key_id: stored.id,
        key_name: stored.name.clone(),
        project_id: stored.project_id,
        // A scope that a newer version wrote is one that this version cannot grant.
        scopes: stored
            .scopes
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_covers_every_scope_and_the_others_only_themselves() {
        let caller = |scopes: &[Scope]| Caller {
            key_id: ApiKeyId(1),
            key_name: "k".to_owned(),
            project_id: ProjectId(1),
            scopes: scopes.to_vec(),
        };
        for &scope in Scope::ALL {
            assert!(caller(&[Scope::Admin]).may(scope));
            assert!(!caller(&[]).may(scope));
        }
        assert!(caller(&[Scope::Read]).may(Scope::Read));
        assert!(!caller(&[Scope::Read]).may(Scope::Notify));
        assert!(!caller(&[Scope::Read, Scope::Notify]).may(Scope::Admin));
        assert!(!caller(&[Scope::Read, Scope::Notify]).may(Scope::Token));
    }

    #[test]
    fn only_the_mark_and_32_bytes_are_a_key() {
        let good = format!("qq_{}", URL_SAFE_NO_PAD.encode([7; 32]));
        assert_eq!(good.len(), 46);
        assert!(is_key(&good));
        for bad in [
            "",
            "qq_",
            "qq_short",
            good.trim_start_matches("qq_"),
            &format!("{good}A"),
            "qq_\0",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
