//! One token for everybody: other systems of the business borrow the account's access token here
//! instead of fetching their own, which would end ours. Each loan is in the audit trail before the
//! borrower has the token. So is each session_key that an app asks for with a login.

use secrecy::SecretString;
use thiserror::Error;

use super::{Report, TokenError};
use crate::bridge::Bridge;
use crate::bridge::accounts::keys::Caller;
use crate::bridge::accounts::{AccountError, OpenAccount};
use crate::db::DbError;
use crate::models::audit::{self, Action, NewEntry};
use crate::wechat::client::AccessToken;

/// An access token and how long it lasts.
#[derive(Debug)]
pub struct Loan {
    /// The token.
    pub token: AccessToken,
    /// Seconds for which WeChat still accepts it.
    pub expires_in: i64,
}

/// Why there is nothing to lend, or to report.
#[derive(Debug, Error)]
pub enum LendError {
    /// The project has no such account.
    #[error("no account has this app id")]
    UnknownAccount,
    /// There is no token, and none can be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The audit trail cannot be written.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Lends the account's current token.
    ///
    /// # Errors
    /// If the project has no such account, there is no token, or the loan cannot be written down.
    pub async fn lend_token(&self, caller: &Caller, app_id: &str) -> Result<Loan, LendError> {
        let account = self.account_of(caller, app_id).await?;
        let token = self.tokens.current(&account).await?;
        self.audit(caller, Action::TokenLent, &account.app_id, None)
            .await?;
        Ok(Loan {
            expires_in: token.seconds_left(self.clock.now()),
            token: token.value,
        })
    }

    /// Takes a borrower's word that a token is bad.
    ///
    /// # Errors
    /// As [`Bridge::lend_token`]. A report that ends in [`TokenError`] is in the audit trail too.
    pub async fn report_token(
        &self,
        caller: &Caller,
        app_id: &str,
        bad: &str,
    ) -> Result<Report, LendError> {
        let account = self.account_of(caller, app_id).await?;
        let reported = self.tokens.report(&account, bad).await;
        let outcome = match &reported {
            Ok(report) => report.as_str(),
            Err(_) => "not_refreshed",
        };
        let app_id = &account.app_id;
        self.audit(caller, Action::TokenReported, app_id, Some(outcome))
            .await?;
        Ok(reported?)
    }

    /// Hands over the session_key of a login in this mini-program, once the audit trail has it.
    ///
    /// # Errors
    /// If the audit trail cannot be written: then the key is dropped.
    pub async fn hand_over(
        &self,
        caller: &Caller,
        app_id: &str,
        session_key: SecretString,
    ) -> Result<SecretString, DbError> {
        self.audit(caller, Action::SessionKeyGiven, app_id, None)
            .await?;
        Ok(session_key)
    }

    async fn account_of(
        &self,
        caller: &Caller,
        app_id: &str,
    ) -> Result<std::sync::Arc<OpenAccount>, LendError> {
        let account = self.accounts.get(app_id).await?;
        account
            .filter(|account| account.project_id == caller.project_id)
            .ok_or(LendError::UnknownAccount)
    }

    /// Writes down, in the table and in one log line, what was done and with which key.
    async fn audit(
        &self,
        caller: &Caller,
        action: Action,
        app_id: &str,
        outcome: Option<&'static str>,
    ) -> Result<(), DbError> {
        let (project, now) = (caller.project_id, self.clock.now());
        let (by, app_id) = (caller.actor.clone(), app_id.to_owned());
        tracing::info!(
            audit.action = action.as_str(),
            audit.actor = %by.kind(),
            audit.key_id = by.key_number(),
            audit.key_name = by.key_name(),
            audit.user_id = by.user_number(),
            audit.user_name = by.user_name(),
            audit.outcome = outcome,
            account.app_id = %app_id,
            "audited"
        );
        self.db
            .write(move |conn| {
                let entry = NewEntry {
                    app_id: Some(&app_id),
                    outcome,
                    ..NewEntry::new(project, &by, action, now)
                };
                audit::add(conn, &entry)
            })
            .await
    }
}
