//! An account with its secrets opened.

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::db::DbError;
use crate::ids::{AccountId, ProjectId};
use crate::models::account::{Account, AccountKind, TokenSource};
use crate::vault::{Vault, VaultError};
use crate::wechat::callback::{Credentials, Mode};
use crate::wechat::crypto::AesKey;

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

/// The place under which an account's secret is sealed.
pub fn place(app_id: &str, field: &str) -> String {
    format!("accounts/{app_id}/{field}")
}

/// The secrets of an account, opened.
#[derive(Debug)]
pub struct Secrets {
    /// The callback token.
    pub callback_token: SecretString,
    /// The EncodingAESKey.
    pub aes_key: Option<SecretString>,
    /// The AppSecret.
    pub secret: Option<SecretString>,
}

impl Secrets {
    /// Opens what is stored.
    ///
    /// # Errors
    /// If it was sealed under another master key.
    pub fn open(vault: &Vault, stored: &Account) -> Result<Self, AccountError> {
        let unseal = |field: &str, sealed: &[u8]| {
            vault
                .unseal(&place(&stored.app_id, field), sealed)
                .map_err(|source| AccountError::Vault {
                    app_id: stored.app_id.clone(),
                    source,
                })
        };
        let maybe = |field: &str, sealed: Option<&Vec<u8>>| {
            sealed.map(|sealed| unseal(field, sealed)).transpose()
        };
        Ok(Self {
            callback_token: unseal("callback_token", &stored.sealed_callback_token)?,
            aes_key: maybe("aes_key", stored.sealed_aes_key.as_ref())?,
            secret: maybe("secret", stored.sealed_secret.as_ref())?,
        })
    }
}

pub(super) fn open(vault: &Vault, stored: Account) -> Result<OpenAccount, AccountError> {
    let secrets = Secrets::open(vault, &stored)?;
    let malformed = |field| AccountError::Malformed {
        app_id: stored.app_id.clone(),
        field,
    };
    let aes_key = match &secrets.aes_key {
        Some(key) => Some(AesKey::parse(key.expose_secret()).map_err(|_| malformed("aes_key"))?),
        None => None,
    };
    let mode: Mode = stored.mode.parse().map_err(|_| malformed("mode"))?;
    Ok(OpenAccount {
        id: stored.id,
        project_id: stored.project_id,
        kind: stored.kind,
        credentials: Credentials {
            app_id: stored.app_id.clone(),
            token: secrets.callback_token.expose_secret().to_owned(),
            aes_key,
            mode,
        },
        secret: secrets.secret,
        token_source: stored.token_source,
        welcome_text: stored.welcome_text,
        app_id: stored.app_id,
    })
}
