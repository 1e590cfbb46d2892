//! What random secrets stand for, API keys and the sessions of people: each is made once, shown once, and stored as
//! its SHA-256, which is enough for 256 random bits. One that was looked up is trusted for a few seconds, so that not
//! every request is a query; one that was taken back is refused after that at the latest. What is no secret of this
//! installation is looked up apart from what was one a moment ago ([`strangers`]).

mod strangers;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{NaiveDateTime, TimeDelta};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, QueryResult};
use strangers::Strangers;

const RANDOM_BYTES: usize = 32;
const TRUSTED_FOR: Duration = Duration::from_secs(3);
/// What is remembered at the same time.
const REMEMBERED: usize = 10_000;

/// The SHA-256 of a secret.
pub(in crate::bridge) type Hash = [u8; 32];

/// Those of the hashes that are of a secret, with what it stands for now.
pub(in crate::bridge) type Find<V> = fn(&mut Conn, &[Vec<u8>]) -> QueryResult<Vec<(Vec<u8>, V)>>;

/// A new secret: the mark of its kind, and random letters.
pub(in crate::bridge) fn random_secret(mark: &str) -> String {
    let random: [u8; RANDOM_BYTES] = rand::random();
    format!("{mark}{}", URL_SAFE_NO_PAD.encode(random))
}

/// Whether a text can be a secret of that kind: the mark, and 43 characters of base64url, which are 32 bytes.
pub(in crate::bridge) fn is_secret(mark: &str, text: &str) -> bool {
    text.strip_prefix(mark).is_some_and(|encoded| {
        URL_SAFE_NO_PAD
            .decode(encoded)
            .is_ok_and(|bytes| bytes.len() == RANDOM_BYTES)
    })
}

/// What is stored of a secret.
pub(in crate::bridge) fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

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

struct Entry<V> {
    value: Arc<V>,
    read: ReadAt,
}

/// The secrets of one kind.
pub(in crate::bridge) struct Trusted<V> {
    db: Db,
    clock: Clock,
    find: Find<V>,
    /// Those that there were when they were last read.
    known: RwLock<HashMap<Hash, Entry<V>>>,
    strangers: Strangers<V>,
}

impl<V: Send + Sync + 'static> Trusted<V> {
    /// Starts with nothing read.
    pub(in crate::bridge) fn new(db: Db, clock: Clock, find: Find<V>) -> Self {
        Self {
            strangers: Strangers::new(db.aside(1), find),
            db,
            clock,
            find,
            known: RwLock::default(),
        }
    }

    /// What the secret with that hash stands for; none if it is unknown or was taken back.
    ///
    /// # Errors
    /// If it is not in memory and cannot be read.
    pub(in crate::bridge) async fn look_up(&self, hash: Hash) -> Result<Option<Arc<V>>, DbError> {
        let now = self.clock.now();
        let known = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let entry = known.get(&hash);
            entry.map(|entry| entry.read.is_fresh(now).then(|| Arc::clone(&entry.value)))
        };
        let read = ReadAt {
            at: now,
            on: Instant::now(),
        };
        let found = match known {
            Some(Some(value)) => return Ok(Some(value)),
            Some(None) => {
                let find = self.find;
                let look = move |conn: &mut Conn| find(conn, &[hash.to_vec()]);
                let found = self.db.snapshot(look).await?;
                found.into_iter().next().map(|(_, value)| Arc::new(value))
            }
            None => self.strangers.look_up(hash, read).await?,
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(value) => {
                if known.len() >= REMEMBERED {
                    known.retain(|_, entry| entry.read.is_fresh(now));
                }
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                let value = Arc::clone(value);
                known.insert(hash, Entry { value, read });
            }
            None => drop(known.remove(&hash)),
        }
        Ok(found)
    }

    /// Forgets what was taken back, so that this process refuses it at once.
    pub(in crate::bridge) fn forget(&self, is_taken_back: impl Fn(&V) -> bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| !is_taken_back(&entry.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_and_32_bytes_are_a_secret() {
        let good = random_secret("qq_");
        assert_eq!(good.len(), 46);
        assert!(is_secret("qq_", &good));
        for bad in [
            "",
            "qq_",
            "qq_short",
            good.trim_start_matches("qq_"),
            &format!("{good}A"),
            "qq_\0",
        ] {
            assert!(!is_secret("qq_", bad), "{bad}");
        }
    }
}
