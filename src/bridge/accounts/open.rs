//! An account with its secrets opened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::bridge::stats::calls::Calls;
use crate::db::DbError;
use crate::ids::{AccountId, ProjectId};
use crate::models::account::{Account, AccountKind, TokenSource};
use crate::vault::{Vault, VaultError};
use crate::wechat::callback::{Credentials, Mode};
use crate::wechat::crypto::AesKey;
use crate::wechat::error::TOKEN_CALL;

/// An account ready to be used.
#[derive(Debug)]
pub struct OpenAccount {
    /// Row id.
    pub id: AccountId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// WeChat's id of the app.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// What verifies and opens its callbacks.
    pub credentials: Credentials,
    /// The app secret, if the operator gave one.
    pub secret: Option<SecretString>,
    /// Where its access token comes from.
    pub token_source: TokenSource,
    /// What a new follower is answered.
    pub welcome_text: Option<String>,
    /// Its problem, as far as this process knows.
    pub trouble: KnownProblem,
    /// Where its calls to WeChat are counted.
    pub calls: Arc<Calls>,
}

/// The call that an account's problem came from, kept in memory so that a call that works costs no
/// query as long as it is none of that kind.
#[derive(Debug, Default)]
pub struct KnownProblem(Mutex<Option<String>>);

impl KnownProblem {
    /// The account has a problem now that came from this call.
    pub fn began(&self, call: &str) {
        *self.lock() = Some(call.to_owned());
    }

    /// Whether this call, which has worked, is the one that the problem came from. Says so once.
    pub fn ends_with(&self, call: &str) -> bool {
        let mut trouble = self.lock();
        let ends = trouble.as_deref() == Some(call);
        if ends {
            *trouble = None;
        }
        ends
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an account cannot be used.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A secret does not open.
    #[error("account {app_id}: {source}")]
    Vault {
        /// Which account.
        app_id: String,
        /// Why.
        source: VaultError,
    },
    /// What is stored is not what was checked when it was stored.
    #[error("account {app_id}: stored {field} is malformed")]
    Malformed {
        /// Which account.
        app_id: String,
        /// Which of its fields.
        field: &'static str,
    },
}

/// Whether a text can be an AppID at all: `wx` and 16 hex digits.
pub fn is_app_id(text: &str) -> bool {
    let digits = text.strip_prefix("wx").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The place under which an account's secret is sealed.
pub fn place(app_id: &str, field: &str) -> String {
    format!("accounts/{app_id}/{field}")
}

/// Opens one of an account's sealed secrets.
///
/// # Errors
/// If it was sealed under another master key.
pub fn unseal(
    vault: &Vault,
    app_id: &str,
    field: &str,
    sealed: &[u8],
) -> Result<SecretString, AccountError> {
    vault
        .unseal(&place(app_id, field), sealed)
        .map_err(|source| AccountError::Vault {
            app_id: app_id.to_owned(),
            source,
        })
}

pub(super) fn open(
    vault: &Vault,
    calls: &Arc<Calls>,
    stored: Account,
) -> Result<OpenAccount, AccountError> {
    let unseal = |field, sealed: &[u8]| unseal(vault, &stored.app_id, field, sealed);
    let malformed = |field| AccountError::Malformed {
        app_id: stored.app_id.clone(),
        field,
    };
    let callback_token = unseal("callback_token", &stored.sealed_callback_token)?;
    let aes_key = match &stored.sealed_aes_key {
        Some(sealed) => {
            let key = unseal("aes_key", sealed)?;
            Some(AesKey::parse(key.expose_secret()).map_err(|_| malformed("aes_key"))?)
        }
        None => None,
    };
    let secret = match &stored.sealed_secret {
        Some(sealed) => Some(unseal("secret", sealed)?),
        None => None,
    };
    let mode: Mode = stored.mode.parse().map_err(|_| malformed("mode"))?;
    Ok(OpenAccount {
        id: stored.id,
        project_id: stored.project_id,
        kind: stored.kind,
        credentials: Credentials {
            app_id: stored.app_id.clone(),
            token: callback_token.expose_secret().to_owned(),
            aes_key,
            mode,
        },
        secret,
        token_source: stored.token_source,
        welcome_text: stored.welcome_text,
        calls: Arc::clone(calls),
        trouble: KnownProblem(Mutex::new(match stored.problem_code {
            // What an older version noted came from a token call for the most part.
            Some(_) => Some(stored.problem_call.unwrap_or_else(|| TOKEN_CALL.to_owned())),
            None => None,
        })),
        app_id: stored.app_id,
    })
}
