//! Why a call with an account's token could not be made, or did not work.

use thiserror::Error;

use crate::db::DbError;
use crate::vault::VaultError;
use crate::wechat::error::{CallError, Class, TOKEN_CALL, token_call_class};

/// Why a call could not be made or did not work.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The account has no app secret.
    #[error("account {0} has no app secret: add it with `queqiao accounts set --secret`")]
    NoSecret(String),
    /// WeChat refused the call, or could not be reached for it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no token, because WeChat refused to give one or could not be reached; the call
    /// itself was not made.
    #[error("no access token: {0}")]
    Refresh(#[source] CallError),
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The stored token does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Another replica has been refreshing for too long.
    #[error("another process holds the token refresh of account {0}")]
    Busy(String),
}

impl TokenError {
    /// What happened and what to do, in plain words.
    pub fn explanation(&self) -> String {
        match self {
            Self::Refresh(CallError::Api(error)) => {
                format!(
                    "no access token: WeChat answered {}",
                    error.explain_on(TOKEN_CALL)
                )
            }
            Self::Call(CallError::Api(error)) => {
                format!("WeChat answered {}", error.explain_on(""))
            }
            other => other.to_string(),
        }
    }

    /// What the failure allows the caller to do next.
    pub fn class(&self) -> Class {
        match self {
            Self::Refresh(CallError::Api(error)) => token_call_class(error.errcode),
            Self::Call(error) | Self::Refresh(error) => error.class(),
            Self::NoSecret(_) => Class::Account,
            Self::Db(_) | Self::Vault(_) | Self::Busy(_) => Class::Retry,
        }
    }

    /// WeChat's errcode, where there was one.
    pub fn errcode(&self) -> Option<i64> {
        self.as_call().and_then(CallError::errcode)
    }

    /// What WeChat said, if it was asked.
    pub(super) fn as_call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) | Self::Refresh(error) => Some(error),
            _ => None,
        }
    }
}
