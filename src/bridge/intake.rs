//! From a callback's bytes to a durable event: verify, decrypt, parse, group commit.

mod commit;
mod insert;
mod room;
pub mod spool;

use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::Bridge;
use super::accounts::{AccountError, OpenAccount};
use super::invitations::{hide, hide_in_text};
use crate::ids::text::TEXT_ID_MAX;
use crate::metrics;
use crate::models::account::AccountKind;
use crate::models::event::{NewEvent, WAITING};
use crate::models::storable;
use crate::wechat::callback::{self, Admission, Query, Refusal, Window};
use crate::wechat::message::{self, Content, Push};
use crate::wechat::{reply, salvage};
use spool::Spool;

pub use commit::{Intake, NotStored, Place};
pub use insert::Inserter;
pub use room::{Room, Rooms};

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

/// The account of a push that may be read, with what was verified already.
pub struct Admitted {
    account: Arc<OpenAccount>,
    admission: Admission,
}

impl Bridge {
    /// Answers WeChat's check of the callback URL with its `echostr`.
    ///
    /// # Errors
    /// If the account is unknown, or the query cannot be trusted or is not of now.
    pub async fn echo(
        &self,
        intake: &Intake,
        app_id: &str,
        query: &Query,
    ) -> Result<String, ReceiveError> {
        let account = self.account(intake, app_id).await?;
        let echo = |account: &OpenAccount| {
            callback::echo(query, &account.credentials, self.window()).map(str::to_owned)
        };
        self.or_again(intake, account, echo)
            .await
            .map(|(_, echo)| echo)
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

    /// Whether a push may be read at all: what its query says is checked before its body costs
    /// anything.
    ///
    /// # Errors
    /// If the query cannot be trusted or is not of now.
    pub async fn admit(
        &self,
        intake: &Intake,
        account: Arc<OpenAccount>,
        query: &Query,
    ) -> Result<Admitted, ReceiveError> {
        let admit =
            |account: &OpenAccount| callback::admit(query, &account.credentials, self.window());
        let (account, admission) = self.or_again(intake, account, admit).await?;
        Ok(Admitted { account, admission })
    }

    /// Takes a push in that began at `since` and whose query was admitted; returns once its event is durable.
    ///
    /// # Errors
    /// If it cannot be trusted, or could not be stored.
    pub async fn receive(
        &self,
        intake: &Intake,
        admitted: Admitted,
        query: &Query,
        body: Vec<u8>,
        (room, since): (Room, Instant),
    ) -> Result<Answer, ReceiveError> {
        let Admitted { account, admission } = admitted;
        let first = Arc::clone(&account);
        let open = |account: &OpenAccount| {
            // Other settings verify for themselves.
            let is_first = std::ptr::eq(account, &raw const *first);
            let admission = match is_first {
                true => admission,
                false => Admission::default(),
            };
            let credentials = &account.credentials;
            callback::open_admitted(query, &body, credentials, admission).map(|opened| {
                let sealed = opened.encrypted;
                (sealed.then(|| opened.plaintext.into_owned()), sealed)
            })
        };
        let (account, (plaintext, encrypted)) = self.or_again(intake, account, open).await?;
        // What was decrypted takes the place of the body; what came in clear is the body.
        let plaintext = plaintext.unwrap_or(body);
        self.take(
            intake,
            &account,
            query,
            (plaintext, encrypted),
            (room, since),
        )
        .await
    }

    /// The operator may have changed the token, the key or the mode a moment ago: what a push was
    /// refused for is looked at once more where the account is another one meanwhile.
    async fn or_again<T>(
        &self,
        intake: &Intake,
        account: Arc<OpenAccount>,
        attempt: impl Fn(&OpenAccount) -> Result<T, Refusal>,
    ) -> Result<(Arc<OpenAccount>, T), ReceiveError> {
        let refusal = match attempt(&account) {
            Ok(done) => return Ok((account, done)),
            Err(refusal) => refusal,
        };
        if !refusal.may_pass_with_other_settings() {
            return Err(refusal.into());
        }
        let again = self.account_again(intake, &account).await?;
        if Arc::ptr_eq(&again, &account) {
            return Err(refusal.into());
        }
        let done = attempt(&again)?;
        Ok((again, done))
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

    fn window(&self) -> Window {
        Window {
            now: self.clock.unix_seconds(),
            seconds: self.config.intake.max_age_seconds,
        }
    }

    async fn take(
        &self,
        intake: &Intake,
        account: &OpenAccount,
        query: &Query,
        (plaintext, encrypted): (Vec<u8>, bool),
        (room, since): (Room, Instant),
    ) -> Result<Answer, ReceiveError> {
        if callback::is_container_check(&plaintext) {
            return Ok(Answer::Success);
        }
        let (event, answer) = match message::parse(&plaintext) {
            Ok(push) => {
                let answer = self.answer(account, query, &push, encrypted);
                (self.event(account, &push, plaintext), answer)
            }
            Err(error) => {
                let event = self.unparsed(account, &error.to_string(), plaintext);
                (event, Answer::Success)
            }
        };
        match intake.store(&account.app_id, event, room, since).await? {
            Place::Database => {
                metrics::callback("stored");
                self.signals.events.notify_one();
            }
            Place::Spool => metrics::callback("spooled"),
        }
        Ok(answer)
    }

    fn event(&self, account: &OpenAccount, push: &Push, plaintext: Vec<u8>) -> NewEvent {
        let dedup_key = push.dedup_key(&plaintext);
        let (openid, problem) = indexed(push.openid());
        let is_scan = matches!(
            push.content,
            Content::Subscribe { .. } | Content::Scan { .. }
        );
        NewEvent {
            account_id: account.id,
            create_time: push.create_time,
            received_at: self.clock.now(),
            state: WAITING,
            dedup_key,
            kind: push.kind().into_owned(),
            openid,
            body: hide(plaintext, is_scan),
            problem,
        }
    }

    /// A signed push that cannot be parsed: a retry cannot help, so it is kept as it is, with
    /// what can be made out of it.
    fn unparsed(&self, account: &OpenAccount, cause: &str, plaintext: Vec<u8>) -> NewEvent {
        let found = salvage::salvage(&plaintext);
        // It may quote a token.
        let cause = hide_in_text(cause);
        metrics::unparsed();
        tracing::warn!(
            account.app_id = %account.app_id,
            event.kind = %found.kind(),
            event.bytes = plaintext.len(),
            cause = %cause,
            "callback cannot be parsed, kept raw"
        );
        let kind = found.kind().into_owned();
        let is_scan = matches!(kind.as_str(), "event.subscribe" | "event.scan");
        NewEvent {
            account_id: account.id,
            create_time: found.create_time.unwrap_or_default(),
            received_at: self.clock.now(),
            state: WAITING,
            dedup_key: found.dedup_key(&plaintext),
            kind,
            openid: indexed(found.openid()).0,
            body: hide(plaintext, is_scan),
            problem: Some(storable(&cause).into_owned()),
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

/// The openid as it may stand in an index, or why it may not: no openid of WeChat's is that long,
/// and PostgreSQL's indexes do not take every length.
pub(super) fn indexed(openid: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(openid) = openid else {
        return (None, None);
    };
    let openid = storable(openid);
    if openid.len() <= TEXT_ID_MAX {
        return (Some(openid.into_owned()), None);
    }
    match openid.chars().count() {
        0..=TEXT_ID_MAX => (Some(openid.into_owned()), None),
        length => {
            let problem = format!(
                "the openid has {length} characters, more than any of WeChat's ({TEXT_ID_MAX}): kept raw"
            );
            (None, Some(problem))
        }
    }
}
