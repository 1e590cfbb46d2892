//! From a callback's bytes to a durable event: verify, decrypt, parse, group commit.

mod commit;
mod insert;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::Bridge;
use super::accounts::{AccountError, OpenAccount};
use super::spool::Spool;
use crate::metrics;
use crate::models::account::AccountKind;
use crate::models::event::{NewEvent, WAITING};
use crate::models::storable;
use crate::wechat::callback::{self, Query, Refusal};
use crate::wechat::message::{self, Content, Push};
use crate::wechat::{reply, salvage};

pub use commit::{Intake, NotStored, Place};
pub use insert::Inserter;

/// Why a callback was not taken in.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// There is no such account here.
    #[error("no account has this app id")]
    UnknownAccount,
    /// It cannot be trusted.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// It could not be made durable.
    #[error(transparent)]
    NotStored(#[from] NotStored),
}

/// What WeChat is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// `success`.
    Success,
    /// A passive reply, sealed if the push was.
    Reply(String),
}

impl Bridge {
    /// Answers WeChat's check of the callback URL with its `echostr`.
    ///
    /// # Errors
    /// If the account is unknown or the signature is not valid.
    pub async fn echo(
        &self,
        intake: &Intake,
        app_id: &str,
        query: &Query,
    ) -> Result<String, ReceiveError> {
        let account = self.account(intake, app_id).await?;
        match callback::echo(query, &account.credentials) {
            Ok(echo) => Ok(echo.to_owned()),
            Err(_) => {
                let account = self.account_again(intake, &account).await?;
                Ok(callback::echo(query, &account.credentials)?.to_owned())
            }
        }
    }

    /// The account that a callback names, before anything is read for it; of the spool, where the
    /// database does not say.
    ///
    /// # Errors
    /// If the account is unknown or cannot be read.
    pub async fn account(
        &self,
        intake: &Intake,
        app_id: &str,
    ) -> Result<Arc<OpenAccount>, ReceiveError> {
        if let Some(spool) = intake.away()
            && let Some(account) = self.spooled_account(spool, app_id)?
        {
            return Ok(account);
        }
        match (self.accounts.get(app_id).await, intake.spool()) {
            (Err(AccountError::Db(error)), Some(spool)) => self
                .spooled_account(spool, app_id)?
                .ok_or(ReceiveError::Account(error.into())),
            (account, _) => account?.ok_or(ReceiveError::UnknownAccount),
        }
    }

    /// An account without asking the database: as it is in memory, or in the spool.
    fn spooled_account(
        &self,
        spool: &Spool,
        app_id: &str,
    ) -> Result<Option<Arc<OpenAccount>>, AccountError> {
        if let Some(known) = self.accounts.known(app_id) {
            return Ok(Some(known));
        }
        let stored = spool.account(app_id);
        stored
            .map(|stored| self.accounts.remember(stored))
            .transpose()
    }

    /// Takes a callback in that began at `since`; returns once its event is durable.
    ///
    /// # Errors
    /// If it cannot be trusted, or could not be stored.
    pub async fn receive(
        &self,
        intake: &Intake,
        account: &OpenAccount,
        query: &Query,
        body: &[u8],
        since: Instant,
    ) -> Result<Answer, ReceiveError> {
        // WeChat's cloud hosting asks whether somebody is there, unsigned and saying nothing.
        if callback::is_container_check(body) {
            return Ok(Answer::Success);
        }
        match callback::open(query, body, &account.credentials) {
            Ok(opened) => self.take(intake, account, query, opened, since).await,
            Err(_) => {
                // The operator may have changed the token or the key a moment ago.
                let account = self.account_again(intake, account).await?;
                let opened = callback::open(query, body, &account.credentials)?;
                self.take(intake, &account, query, opened, since).await
            }
        }
    }

    async fn account_again(
        &self,
        intake: &Intake,
        account: &OpenAccount,
    ) -> Result<Arc<OpenAccount>, ReceiveError> {
        if let Some(spool) = intake.away()
            && let Some(known) = self.spooled_account(spool, &account.app_id)?
        {
            return Ok(known);
        }
        self.accounts
            .reload_sparingly(&account.app_id)
            .await?
            .ok_or(ReceiveError::UnknownAccount)
    }

    async fn take(
        &self,
        intake: &Intake,
        account: &OpenAccount,
        query: &Query,
        opened: callback::Opened<'_>,
        since: Instant,
    ) -> Result<Answer, ReceiveError> {
        if callback::is_container_check(&opened.plaintext) {
            return Ok(Answer::Success);
        }
        let parsed = message::parse(&opened.plaintext);
        let answer = match &parsed {
            Ok(push) => self.answer(account, query, push, opened.encrypted),
            Err(_) => Answer::Success,
        };
        let event = match parsed {
            Ok(push) => self.event(account, &push, opened.plaintext),
            Err(error) => self.unparsed(account, &error.to_string(), opened.plaintext),
        };
        match intake.store(&account.app_id, event, since).await? {
            Place::Database => {
                metrics::callback("stored");
                self.signals.events.notify_one();
            }
            Place::Spool => metrics::callback("spooled"),
        }
        Ok(answer)
    }

    fn event(&self, account: &OpenAccount, push: &Push, plaintext: Cow<'_, [u8]>) -> NewEvent {
        NewEvent {
            account_id: account.id,
            create_time: push.create_time,
            received_at: self.clock.now(),
            state: WAITING,
            dedup_key: push.dedup_key(&plaintext),
            kind: push.kind().into_owned(),
            openid: push.openid().map(|openid| storable(openid).into_owned()),
            body: plaintext.into_owned(),
            problem: None,
        }
    }

    /// A signed push that cannot be parsed: a retry cannot help, so it is kept as it is, with
    /// what can be made out of it.
    fn unparsed(&self, account: &OpenAccount, cause: &str, plaintext: Cow<'_, [u8]>) -> NewEvent {
        let found = salvage::salvage(&plaintext);
        metrics::unparsed();
        tracing::warn!(
            account.app_id = %account.app_id,
            event.kind = %found.kind(),
            event.bytes = plaintext.len(),
            cause,
            "callback cannot be parsed, kept raw"
        );
        NewEvent {
            account_id: account.id,
            create_time: found.create_time.unwrap_or_default(),
            received_at: self.clock.now(),
            state: WAITING,
            dedup_key: found.dedup_key(&plaintext),
            kind: found.kind().into_owned(),
            openid: found.openid().map(|openid| storable(openid).into_owned()),
            body: plaintext.into_owned(),
            problem: Some(storable(cause).into_owned()),
        }
    }

    /// A new follower of an official account is answered its welcome text.
    fn answer(&self, account: &OpenAccount, query: &Query, push: &Push, encrypted: bool) -> Answer {
        let (Content::Subscribe { .. }, AccountKind::OfficialAccount, Some(text)) =
            (&push.content, account.kind, &account.welcome_text)
        else {
            return Answer::Success;
        };
        let now = self.clock.unix_seconds();
        let clear = reply::text(&push.from_user_name, &push.to_user_name, now, text);
        if !encrypted {
            return Answer::Reply(clear);
        }
        let nonce = query.nonce.as_deref().unwrap_or_default();
        match reply::seal(&clear, &account.credentials, now, nonce) {
            Some(sealed) => Answer::Reply(sealed.to_xml()),
            None => Answer::Success,
        }
    }
}
