//! Passwords: stored as Argon2id. A hash takes a processor and memory on purpose, so that few are made at the same time,
//! on threads that nobody else waits for; who comes while too many wait is sent away.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::bridge::limits::{
    FieldError, MADE_PASSWORD, PASSWORD_MAX, PASSWORD_MIN, PASSWORDS_AT_ONCE, PASSWORDS_WAITING,
};
use crate::models::user::name_key;

/// What is compared where there is no password, so that it takes as long. It is the hash of nothing that anybody knows.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IHNpZ25zIGlu$\
                       AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was not hashed or compared.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Too many wait.
    #[error("too many passwords are being checked")]
    Busy,
    /// The thread or the algorithm failed.
    #[error("the password was not hashed: {0}")]
    Failed(String),
}

/// Where passwords are hashed.
pub(super) struct Passwords {
    /// For those who hash or wait.
    places: Arc<Semaphore>,
    /// For those who hash.
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PASSWORDS_WAITING)),
            turns: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
        }
    }
}

impl Passwords {
    /// What is stored of a password.
    ///
    /// # Errors
    /// If too many wait, or it fails.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        let hashed = self.work(move || {
            let hashed = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hashed.map(|hash| hash.to_string())
        });
        let failed = |error: argon2::password_hash::Error| PasswordError::Failed(error.to_string());
        hashed.await?.map_err(failed)
    }

    /// Whether it is the password of that hash; where there is none, it takes as long and is not.
    ///
    /// # Errors
    /// If too many wait, or it fails.
    pub(super) async fn is_of(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let compared = self.work(move || {
            let stored = hash.as_deref().unwrap_or(NOBODYS);
            let password = password.expose_secret().as_bytes();
            let is_same = Argon2::default().verify_password(password, stored).is_ok();
            is_same && hash.is_some()
        });
        compared.await
    }

    /// Whoever asked may go away; the turn ends when the work does.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|error| failed(&error))
    }
}

/// A random password.
pub fn generated_password() -> SecretString {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric);
    let password: String = letters.take(MADE_PASSWORD).map(char::from).collect();
    SecretString::from(password)
}

/// Checks a password that somebody chooses.
pub(super) fn check(field: &str, password: &SecretString, name: &str) -> Result<(), FieldError> {
    let text = password.expose_secret();
    let length = text.chars().count();
    let problem = match length {
        _ if length < PASSWORD_MIN => {
            format!("has {length} characters: choose {PASSWORD_MIN} or more")
        }
        _ if length > PASSWORD_MAX => {
            format!("has {length} characters: choose {PASSWORD_MAX} or fewer")
        }
        _ if text.contains(char::is_control) => {
            "contains a control character: leave it out".to_owned()
        }
        _ if name_key(text) == name_key(name) => {
            "is the name of the user: choose another one".to_owned()
        }
        _ => return Ok(()),
    };
    Err(FieldError::new(field, problem))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nobodys_takes_as_long() {
        let passwords = Passwords::default();
        let secret = |text: &str| SecretString::from(text);
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        let (settings, _) = hash.rsplit_once("p=1$").unwrap();
        assert!(NOBODYS.starts_with(settings), "{settings}");
        let is_of = async |text: &str, hash: Option<&str>| {
            let begun = Instant::now();
            let is_of = passwords.is_of(secret(text), hash.map(str::to_owned)).await;
            (is_of.unwrap(), begun.elapsed())
        };
        assert!(is_of("correct horse", Some(&hash)).await.0);
        let (is_wrong, wrong) = is_of("wrong horse", Some(&hash)).await;
        let (is_nobodys, nobodys) = is_of("correct horse", None).await;
        assert!(!is_wrong && !is_nobodys);
        // One that is malformed is refused at once: a hundredth of the time.
        assert!(nobodys > wrong / 10, "{nobodys:?} {wrong:?}");
        assert_ne!(hash, passwords.hash(secret("correct horse")).await.unwrap());
    }

    #[tokio::test]
    async fn who_comes_while_too_many_wait_is_sent_away() {
        let passwords = Passwords::default();
        let places = Arc::clone(&passwords.places);
        let all = places.try_acquire_many_owned(u32::try_from(PASSWORDS_WAITING).unwrap());
        let refused = passwords.is_of(SecretString::from("x"), None).await;
        assert!(matches!(refused, Err(PasswordError::Busy)));
        drop(all);
        assert!(
            !passwords
                .is_of(SecretString::from("x"), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn no_more_are_hashed_at_the_same_time_than_have_a_turn() {
        let passwords = Passwords::default();
        let turns = Arc::clone(&passwords.turns);
        let all = turns.try_acquire_many_owned(u32::try_from(PASSWORDS_AT_ONCE).unwrap());
        let mut waits = std::pin::pin!(passwords.is_of(SecretString::from("x"), None));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(passwords.turns.available_permits(), 0);
        // It has a place, but no turn: nothing runs, however often it is asked.
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(waits.as_mut().now_or_never().is_none());
        }
        drop(all);
        assert!(!waits.await.unwrap());
        assert_eq!(passwords.turns.available_permits(), PASSWORDS_AT_ONCE);
        assert_eq!(passwords.places.available_permits(), PASSWORDS_WAITING);
    }

    #[test]
    fn a_password_is_long_enough_and_not_the_name() {
        let check = |text: &str| check("password", &SecretString::from(text), "Administrator");
        check("鹊桥鹊桥鹊桥鹊桥鹊桥").unwrap();
        for (text, part) in [
            ("short", "has 5 characters: choose 10"),
            (&"x".repeat(257), "choose 256 or fewer"),
            ("0123456789\n", "control character"),
            ("administrator", "is the name"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(
                error.starts_with("password ") && error.contains(part),
                "{error}"
            );
            assert!(!error.contains(text), "{error}");
        }
        assert_eq!(generated_password().expose_secret().len(), MADE_PASSWORD);
    }
}
