//! Who is signed in. A session is known by a secret in a cookie, and trusted for a few seconds like an API key. When it was
//! last used is written about once a minute, for all that were used meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::bridge::accounts::keys::{Caller, Scope};
use crate::bridge::trusted::{self, Trusted};
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, QueryResult};
use crate::ids::{SessionId, UserId};
use crate::models::actor::Actor;
use crate::models::user::{self, Membership, Role, Session, User};

/// What the secrets of sessions begin with.
const MARK: &str = "qqs_";
/// How often it is written when a session was last used.
const WRITTEN_EVERY: TimeDelta = TimeDelta::seconds(60);
/// Sessions of which it is remembered when that was.
const REMEMBERED: usize = 10_000;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// What they sign in with.
    pub name: String,
    /// How they are called.
    pub display_name: Option<String>,
    /// Whether they are an owner of all projects.
    pub is_owner: bool,
    /// Whether they have a password, or come from an identity provider only.
    pub has_password: bool,
    /// Their projects; of an owner all.
    pub projects: Vec<Membership>,
}

/// Why a request is about no project.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoProject {
    /// They have no role in any.
    #[error("has no role in any project")]
    None,
    /// They have several, and the request does not say which one.
    #[error("has several projects")]
    Several,
    /// They have none of that name or number.
    #[error("has no such project")]
    Unknown,
}

impl SignedIn {
    fn new(session: Session, user: User, projects: Vec<Membership>) -> Self {
        Self {
            session,
            name: user.name,
            display_name: user.display_name,
            is_owner: user.is_owner,
            has_password: user.password_hash.is_some(),
            projects,
        }
    }

    /// Their number.
    pub fn user_id(&self) -> UserId {
        self.session.user_id
    }

    /// As whom they act.
    pub fn actor(&self) -> Actor {
        Actor::User(self.user_id(), self.name.clone())
    }

    /// As whom they act in a project, which is named by its name or its number; not at all where there is only one.
    ///
    /// # Errors
    /// If it is none of theirs, or there is no telling which one is meant.
    pub fn in_project(&self, named: Option<&str>) -> Result<Caller, NoProject> {
        let found = match (named, self.projects.as_slice()) {
            (None, [only]) => only,
            (None, []) => return Err(NoProject::None),
            (None, _) => return Err(NoProject::Several),
            (Some(named), projects) => find_project(projects, named).ok_or(NoProject::Unknown)?,
        };
        let scopes = scopes(found.role);
        Ok(Caller::new(self.actor(), found.project_id, scopes))
    }
}

/// One of these projects, by its name or else its number.
fn find_project<'a>(projects: &'a [Membership], named: &str) -> Option<&'a Membership> {
    let by_name = projects.iter().find(|one| one.project == named);
    by_name.or_else(|| {
        let number: i64 = named.parse().ok()?;
        projects.iter().find(|one| one.project_id.0 == number)
    })
}

/// What a role may do, in the scopes of keys. Nobody borrows access tokens by hand: that takes a key.
fn scopes(role: Role) -> &'static [Scope] {
    match role {
        Role::Viewer => &[Scope::Read],
        Role::Operator | Role::Owner => {
            &[Scope::Read, Scope::Notify, Scope::Webhooks, Scope::Admin]
        }
    }
}

/// When a session was last used, as far as this process knows.
#[derive(Clone, Copy)]
struct Seen {
    at: NaiveDateTime,
    is_written: bool,
}

/// The sessions of this installation.
pub struct Sessions {
    db: Db,
    clock: Clock,
    /// How long one may be left alone.
    idle: TimeDelta,
    trusted: Trusted<SignedIn>,
    seen: Arc<Mutex<HashMap<SessionId, Seen>>>,
    /// Held while it is written when sessions were used.
    writing: Arc<tokio::sync::Mutex<()>>,
}

fn lock(seen: &Mutex<HashMap<SessionId, Seen>>) -> MutexGuard<'_, HashMap<SessionId, Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    pub(super) fn new(db: Db, clock: Clock, idle: TimeDelta) -> Self {
        Self {
            trusted: Trusted::new(db.clone(), clock.clone(), find),
            db,
            clock,
            idle,
            seen: Arc::default(),
            writing: Arc::default(),
        }
    }

    /// A new secret, and what is stored of it.
    pub(super) fn secret() -> (SecretString, Vec<u8>) {
        let secret = trusted::random_secret(MARK);
        let hash = trusted::hash(&secret).to_vec();
        (SecretString::from(secret), hash)
    }

    /// Whose session it is; none if there is none or it has ended.
    ///
    /// # Errors
    /// If it is not in memory and cannot be read.
    pub async fn verify(&self, secret: &SecretString) -> Result<Option<Arc<SignedIn>>, DbError> {
        let secret = secret.expose_secret();
        if !trusted::is_secret(MARK, secret) {
            return Ok(None);
        }
        let found = self.trusted.look_up(trusted::hash(secret)).await?;
        let now = self.clock.now();
        let found = found.filter(|signed_in| now < self.ends_at(&signed_in.session));
        if let Some(signed_in) = &found {
            self.note(&signed_in.session, now);
        }
        Ok(found)
    }

    /// When a session ends unless it is used again.
    pub fn ends_at(&self, session: &Session) -> NaiveDateTime {
        let seen = lock(&self.seen).get(&session.id).map(|seen| seen.at);
        let seen = seen.map_or(session.seen_at, |seen| seen.max(session.seen_at));
        session.expires_at.min(seen + self.idle)
    }

    /// Remembers that a session is used, and lets it be written if that was not done lately.
    fn note(&self, session: &Session, now: NaiveDateTime) {
        {
            let mut seen = lock(&self.seen);
            let last = seen.get(&session.id);
            let last = last.map_or(session.seen_at, |seen| seen.at.max(session.seen_at));
            if now - last < WRITTEN_EVERY {
                return;
            }
            if seen.len() >= REMEMBERED {
                seen.retain(|_, seen| now - seen.at < WRITTEN_EVERY);
            }
            if seen.len() >= REMEMBERED {
                return;
            }
            let is_written = false;
            seen.insert(
                session.id,
                Seen {
                    at: now,
                    is_written,
                },
            );
        }
        // Whoever writes takes with it what is noted meanwhile.
        if let Ok(turn) = Arc::clone(&self.writing).try_lock_owned() {
            let (db, seen) = (self.db.clone(), Arc::clone(&self.seen));
            tokio::spawn(async move {
                write(&db, &seen).await;
                drop(turn);
            });
        }
    }

    /// Forgets sessions that were ended, so that this process refuses them at once.
    pub(super) fn forget(&self, is_ended: impl Fn(&SignedIn) -> bool) {
        self.trusted.forget(is_ended);
    }
}

/// Writes when sessions were last used, until nothing new is noted.
async fn write(db: &Db, seen: &Mutex<HashMap<SessionId, Seen>>) {
    loop {
        let unwritten: Vec<(SessionId, NaiveDateTime)> = {
            let mut seen = lock(seen);
            let unwritten = seen.iter_mut().filter(|(_, seen)| !seen.is_written);
            let taken = unwritten.map(|(id, seen)| {
                seen.is_written = true;
                (*id, seen.at)
            });
            taken.collect()
        };
        if unwritten.is_empty() {
            return;
        }
        let written = db.write(move |conn| user::touch(conn, &unwritten)).await;
        if let Err(error) = written {
            tracing::warn!(%error, "when sessions were last used was not written");
            return;
        }
    }
}

/// The sessions with these hashes, of users who may sign in.
fn find(conn: &mut Conn, hashes: &[Vec<u8>]) -> QueryResult<Vec<(Vec<u8>, SignedIn)>> {
    let mut found = user::by_hashes(conn, hashes)?;
    found.retain(|(_, _, user)| user.disabled_at.is_none());
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<UserId> = found.iter().map(|(_, _, user)| user.id).collect();
    let projects = user::memberships(conn, &ids)?;
    let all = match found.iter().any(|(_, _, user)| user.is_owner) {
        true => user::of_owner(conn)?,
        false => Vec::new(),
    };
    let signed_in = |(hash, session, user): (Vec<u8>, Session, User)| {
        let projects = match user.is_owner {
            true => all.clone(),
            false => projects.get(&user.id).cloned().unwrap_or_default(),
        };
        (hash, SignedIn::new(session, user, projects))
    };
    Ok(found.into_iter().map(signed_in).collect())
}
