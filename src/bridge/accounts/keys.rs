//! API keys: made once, shown once, and stored as their SHA-256; see [`crate::bridge::trusted`].

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::bridge::trusted::{self, Trusted};
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, QueryResult, text_enum};
use crate::ids::{ApiKeyId, ProjectId};
use crate::models::actor::Actor;
use crate::models::api_key::{self, ApiKey, NewApiKey};

const MARK: &str = "qq_";
/// Characters that tell keys apart in a list: 30 random bits.
const PREFIX_CHARS: usize = MARK.len() + 5;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key or the user, for the log and the audit trail.
    pub actor: Actor,
    /// The one project it sees.
    pub project_id: ProjectId,
    scopes: Vec<Scope>,
}

impl Caller {
    /// The holder of a key with these scopes; `admin` covers all.
    fn of_key(actor: Actor, project_id: ProjectId, scopes: &[Scope]) -> Self {
        let scopes = match scopes.contains(&Scope::Admin) {
            true => Scope::ALL,
            false => scopes,
        };
        Self::new(actor, project_id, scopes)
    }

    /// Somebody who may do what these scopes say, and nothing else.
    pub fn new(actor: Actor, project_id: ProjectId, scopes: &[Scope]) -> Self {
        Self {
            actor,
            project_id,
            scopes: scopes.to_vec(),
        }
    }

    /// Whether a scope is covered.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The API keys of this installation.
pub struct Keys {
    db: Db,
    clock: Clock,
    trusted: Trusted<Caller>,
}

impl Keys {
    /// Starts with nothing read.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            trusted: Trusted::new(db.clone(), clock.clone(), find),
            db,
            clock,
        }
    }

    /// Makes a key and stores its hash, with who makes it. The key itself is returned this once and never again.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub async fn create(
        &self,
        project: ProjectId,
        name: &str,
        scopes: &[Scope],
        by: &Actor,
    ) -> Result<(SecretString, ApiKey), DbError> {
        let key = trusted::random_secret(MARK);
        let prefix: String = key.chars().take(PREFIX_CHARS).collect();
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let (name, scopes, by) = (name.to_owned(), words.join(" "), by.clone());
        let (hash, now) = (trusted::hash(&key), self.clock.now());
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
                    made_by_user_id: by.user().map(|(id, _)| id),
                    made_by: by.user().map(|(_, name)| name),
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
        match trusted::is_secret(MARK, key) {
            true => self.trusted.look_up(trusted::hash(key)).await,
            false => Ok(None),
        }
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
        let is_of = |caller: &Caller| caller.actor.key().is_some_and(|(key, _)| key == id);
        self.trusted.forget(is_of);
        Ok(revoked)
    }
}

/// The keys with these hashes, without those that are revoked.
fn find(conn: &mut Conn, hashes: &[Vec<u8>]) -> QueryResult<Vec<(Vec<u8>, Caller)>> {
    let found = api_key::by_hashes(conn, hashes)?.into_iter();
    let valid = found.filter(|(_, key)| key.revoked_at.is_none());
    Ok(valid.map(|(hash, key)| (hash, caller(key))).collect())
}

fn caller(stored: ApiKey) -> Caller {
    // A scope that a newer version wrote is one that this version cannot grant.
    let words = stored.scopes.split_ascii_whitespace();
    let scopes: Vec<Scope> = words.filter_map(|word| word.parse().ok()).collect();
    let actor = Actor::Key(stored.id, stored.name);
    Caller::of_key(actor, stored.project_id, &scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_covers_every_scope_and_the_others_only_themselves() {
        let caller = |scopes: &[Scope]| {
            let actor = Actor::Key(ApiKeyId(1), "k".to_owned());
            Caller::of_key(actor, ProjectId(1), scopes)
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
}
