//! Signing in and out, and changing one's password. Whether a name is anybody's cannot be told from the answer, nor from
//! the time it takes.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;
use thiserror::Error;

use super::password::{self, PasswordError};
use super::session::{Sessions, SignedIn};
use crate::bridge::Bridge;
use crate::bridge::limits::{FieldError, SESSIONS_MAX, USER_AGENT_MAX};
use crate::db::{DbError, QueryResult};
use crate::ids::UserId;
use crate::models::storable;
use crate::models::user::{self, NewSession, User};

/// Sessions that ended by their time and are deleted when somebody signs in.
const ENDED: i64 = 1_000;

/// Where somebody signs in from.
#[derive(Clone, Debug)]
pub struct From {
    /// The address.
    pub address: IpAddr,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// Why somebody was not signed in, or did not get another password.
#[derive(Debug, Error)]
pub enum SignInError {
    /// Nobody has this name and password, or they may not sign in.
    #[error("nobody has this name and password")]
    Refused,
    /// After wrong passwords, so many seconds have to pass.
    #[error("too many wrong passwords: the next may come in {0} seconds")]
    Wait(u64),
    /// There are no passwords here.
    #[error("users.local is false: sign in through the identity provider")]
    NotLocal,
    /// The new password is none.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The password was not compared.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Signs somebody in by a password. The secret is for their cookie, and is returned this once.
    ///
    /// # Errors
    /// If nobody has the name and password, there were too many wrong ones, or the database fails.
    pub async fn sign_in(
        &self,
        name: &str,
        password: SecretString,
        from: From,
    ) -> Result<(SecretString, Arc<SignedIn>), SignInError> {
        if !self.config.users.local {
            return Err(SignInError::NotLocal);
        }
        let name = name.to_owned();
        let found = self.right_user(name, password, from.address).await?;
        let hash = found.password_hash.clone();
        let opened = self.start_session(found.id, from, move |user| user.password_hash == hash);
        opened.await?.ok_or(SignInError::Refused)
    }

    /// The user who has this name and password. What is tried counts as wrong until it turns out right.
    async fn right_user(
        &self,
        name: String,
        password: SecretString,
        address: IpAddr,
    ) -> Result<User, SignInError> {
        let tries = &self.users.tries;
        let tried = tries.begin(&name, address, self.clock.now());
        let tried = tried.map_err(SignInError::Wait)?;
        let compared = async {
            let found = self.db.read(move |conn| user::by_name(conn, &name)).await?;
            let found = found.filter(|user| user.disabled_at.is_none());
            let hash = found.as_ref().and_then(|user| user.password_hash.clone());
            let is_right = self.users.passwords.is_of(password, hash).await?;
            Ok::<_, SignInError>(found.filter(|_| is_right))
        };
        match compared.await {
            Ok(Some(user)) => {
                tries.right(&tried);
                Ok(user)
            }
            Ok(None) => Err(SignInError::Refused),
            Err(error) => {
                tries.unknown(&tried);
                Err(error)
            }
        }
    }

    /// Opens a session of somebody who is still what they were when they were recognised.
    pub(super) async fn start_session(
        &self,
        id: UserId,
        from: From,
        is_same: impl Fn(&User) -> bool + Send + 'static,
    ) -> Result<Option<(SecretString, Arc<SignedIn>)>, DbError> {
        let (secret, token_hash) = Sessions::secret();
        let now = self.clock.now();
        let expires_at = now + self.config.users.session_length();
        let opened = self.db.write(move |conn| -> QueryResult<bool> {
            let held = user::hold(conn, id)?;
            if !held.is_some_and(|user| user.disabled_at.is_none() && is_same(&user)) {
                return Ok(false);
            }
            let user_agent = storable(&from.user_agent);
            let user_agent: String = user_agent.chars().take(USER_AGENT_MAX).collect();
            let session = NewSession {
                token_hash: &token_hash,
                user_id: id,
                created_at: now,
                seen_at: now,
                expires_at,
                address: &from.address.to_canonical().to_string(),
                user_agent: &user_agent,
            };
            user::create_session(conn, &session)?;
            user::delete_oldest(conn, id, SESSIONS_MAX)?;
            user::delete_ended(conn, now, ENDED)?;
            Ok(true)
        });
        if !opened.await? {
            return Ok(None);
        }
        let signed_in = self.users.sessions.verify(&secret).await?;
        Ok(signed_in.map(|signed_in| (secret, signed_in)))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sign_out(&self, signed_in: &SignedIn) -> Result<(), DbError> {
        let id = signed_in.session.id;
        let ended = self.db.write(move |conn| user::delete_session(conn, id));
        ended.await?;
        let is_it = |other: &SignedIn| other.session.id == id;
        self.users.sessions.forget(is_it);
        Ok(())
    }

    /// Gives somebody another password, if they know the one they have, and ends their other sessions.
    ///
    /// # Errors
    /// If the old one is wrong or there were too many wrong ones, the new one is none, or the database fails.
    pub async fn change_password(
        &self,
        signed_in: &SignedIn,
        old: SecretString,
        new: SecretString,
        address: IpAddr,
    ) -> Result<(), SignInError> {
        if !self.config.users.local {
            return Err(SignInError::NotLocal);
        }
        password::check("new_password", &new, &signed_in.name)?;
        let name = signed_in.name.clone();
        let found = self.right_user(name, old, address).await?;
        let hash = self.users.passwords.hash(new).await?;
        let (id, session, now) = (found.id, signed_in.session.id, self.clock.now());
        let changed = self.db.write(move |conn| -> QueryResult<bool> {
            let held = user::hold(conn, id)?;
            if held.is_none_or(|user| user.password_hash != found.password_hash) {
                return Ok(false);
            }
            user::set_password(conn, id, Some(&hash), now)?;
            user::delete_sessions(conn, id, Some(session))?;
            Ok(true)
        });
        if !changed.await? {
            return Err(SignInError::Refused);
        }
        let is_other = |other: &SignedIn| other.user_id() == id && other.session.id != session;
        self.users.sessions.forget(is_other);
        Ok(())
    }
}
