//! People who sign in: their names, roles, passwords and sessions. What they may do in a project is said in the scopes of
//! API keys, so that a route knows one kind of demand.

pub mod first_owner;
pub mod manage;
pub mod oidc;
mod password;
pub mod session;
pub mod sign_in;
mod tries;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::vault::Vault;

use oidc::Oidc;
use password::Passwords;
pub use password::{PasswordError, generated_password};
use session::Sessions;
use tries::Tries;

/// What signing in works with.
pub struct Users {
    /// Who is signed in.
    pub sessions: Sessions,
    /// The identity provider.
    oidc: Oidc,
    passwords: Passwords,
    tries: Tries,
}

impl Users {
    /// Starts with nobody in memory.
    pub fn new(db: Db, clock: Clock, vault: Vault, config: &Arc<Config>) -> Self {
        Self {
            oidc: Oidc::new(clock.clone(), vault, Arc::clone(config)),
            sessions: Sessions::new(db, clock, config.users.session_idle()),
            passwords: Passwords::default(),
            tries: Tries::default(),
        }
    }
}
