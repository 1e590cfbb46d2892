//! Keeping up with the templates of the accounts: listed at WeChat on demand, and on a schedule
//! for the accounts that message types name. What changed or went away is kept and shown, so that
//! a message type that it breaks is noticed before anyone sends.

mod diff;
pub mod message_types;
mod route_problems;

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::accounts::{AccountError, Accounts, OpenAccount};
use super::retry::{Backoff, jitter};
use super::token::{TokenError, Tokens};
use super::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Conn, Db, DbError, QueryResult, ROUND};
use crate::ids::AccountId;
use crate::models::account::AccountKind;
use crate::models::account::{template, template_sync};
use crate::models::credit;
use crate::wechat::client::Client;
use crate::wechat::error::Class;
use crate::wechat::library::ListedTemplate;

use diff::{Diff, diff};
pub use route_problems::{Library, Naming, ProblemCode, RouteProblem};
pub(super) use route_problems::{endpoint_gone, endpoint_problem};

/// A listing may take its whole time limit, twice, after a token call.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// The first pause after a listing that failed for a reason that may pass, seconds.
const RETRY_FIRST: u64 = 60;

/// What a listing brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Synced {
    /// Templates that WeChat listed.
    pub total: usize,
    /// Ids of those that were not known before.
    pub added: Vec<String>,
    /// Ids of those whose name, content or listed values changed.
    pub changed: Vec<String>,
    /// Ids of those that are no longer listed.
    pub gone: Vec<String>,
    /// Ids of those that were gone and are listed again.
    pub returned: Vec<String>,
}

/// Why the templates of an account were not listed.
#[derive(Debug, Error)]
pub enum SyncError {
    /// There is no such account here.
    #[error("no account has this app id")]
    UnknownAccount,
    /// WeChat refused, could not be reached, or there is no access token.
    #[error("{}", .0.explanation())]
    Token(#[from] TokenError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl Bridge {
    /// Lists an account's templates now and stores what became of them.
    ///
    /// # Errors
    /// If there is no such account, WeChat does not answer, or the answer cannot be stored.
    pub async fn sync_templates(&self, app_id: &str) -> Result<Synced, SyncError> {
        let account = self.accounts.get(app_id).await?;
        let account = account.ok_or(SyncError::UnknownAccount)?;
        TemplateLister::of(self).sync_account(&account).await
    }
}

/// Lists templates at WeChat, and stores what became of them.
pub struct TemplateLister {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    wechat: Client,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
}

impl TemplateLister {
    pub(super) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, wechat, accounts, tokens })
    }

    /// Lists the templates of one account that is due.
    ///
    /// # Errors
    /// If the database fails; the account is due again after its lease.
    pub async fn step(&self) -> Result<Step, SyncError> {
        let now = self.clock.now();
        if self.config.templates.sync_seconds == 0 {
            return Ok(Step::Idle);
        }
        // Looked for in a read, since there is hardly ever one.
        let due = self.db.read(move |conn| template_sync::due(conn, now));
        let Some(due) = due.await? else {
            return Ok(Step::Idle);
        };
        let Some(account) = self.accounts.by_id(due.account_id).await? else {
            // It does not open under this process's master key, which is logged elsewhere.
            let next = self.next_sync(now);
            let put_off = self
                .db
                .write(move |conn| template_sync::put_due(conn, due.account_id, next));
            put_off.await?;
            return Ok(Step::Worked);
        };
        let (project, app_id) = (account.project_id, account.app_id.clone());
        let claimed = self.db.write(move |conn| -> Result<_, SyncError> {
            if Naming::of(conn, project)?.names_account(&app_id) {
                return Ok(template_sync::claim(conn, &due, now + LEASE)?);
            }
            template_sync::put_due(conn, due.account_id, None)?;
            Ok(false)
        });
        if !claimed.await? {
            return Ok(Step::Worked);
        }
        match self.sync_account(&account).await {
            Ok(_) => Ok(Step::Worked),
            Err(error @ SyncError::Token(_)) => {
                tracing::warn!(account.app_id = %account.app_id, %error, "templates not listed");
                Ok(Step::Worked)
            }
            Err(error) => Err(error),
        }
    }

    async fn sync_account(&self, account: &OpenAccount) -> Result<Synced, SyncError> {
        let asked_at = self.clock.now();
        match self.list_templates(account).await {
            Ok(listed) => self.store_templates(account, asked_at, listed).await,
            Err(error) => {
                self.note_failure(account, &error).await?;
                Err(error.into())
            }
        }
    }

    async fn list_templates(
        &self,
        account: &OpenAccount,
    ) -> Result<Vec<ListedTemplate>, TokenError> {
        match account.kind {
            AccountKind::OfficialAccount => {
                let call = |token| async move { self.wechat.private_templates(&token).await };
                let name = "template/get_all_private_template";
                self.tokens.call(account, name, call).await
            }
            AccountKind::MiniProgram => {
                let call = |token| async move { self.wechat.subscription_templates(&token).await };
                self.tokens.call(account, "newtmpl/gettemplate", call).await
            }
        }
    }

    async fn store_templates(
        &self,
        account: &OpenAccount,
        asked_at: NaiveDateTime,
        listed: Vec<ListedTemplate>,
    ) -> Result<Synced, SyncError> {
        let (id, project, app_id) = (account.id, account.project_id, account.app_id.clone());
        let next = self.next_sync(self.clock.now());
        let stored = self.db.write_once(move |conn| -> Result<_, SyncError> {
            let naming = Naming::of(conn, project)?;
            let due_at = next.filter(|_| naming.names_account(&app_id));
            if !template_sync::succeeded(conn, id, asked_at)? {
                // What another process asked for later is newer than this answer.
                let total = listed.len();
                let synced = Synced {
                    total,
                    ..Synced::default()
                };
                return Ok((synced, naming));
            }
            template_sync::put_due(conn, id, due_at)?;
            let known = template::of_accounts(conn, &[id])?;
            let Diff { rows, synced } = diff(id, &known, listed, asked_at);
            template::store(conn, &rows)?;
            Ok((synced, naming))
        });
        let (synced, naming) = stored.await?;
        self.mark_kinds(id).await?;
        warn(&account.app_id, &naming, &synced);
        tracing::info!(
            account.app_id = %account.app_id,
            templates.total = synced.total,
            templates.added = synced.added.len(),
            templates.changed = synced.changed.len(),
            templates.gone = synced.gone.len(),
            "templates listed"
        );
        Ok(synced)
    }

    /// What a report has said of a template counts only until WeChat lists it. What is listed is looked
    /// up in each round: another process may have stored a newer listing. Should this end in the middle, the
    /// next listing goes on.
    async fn mark_kinds(&self, account: AccountId) -> Result<(), SyncError> {
        for (kind, long_term) in [
            (template::Kind::LongTerm, true),
            (template::Kind::OneTime, false),
        ] {
            let round = move |conn: &mut Conn| {
                let known = template::of_accounts(conn, &[account])?;
                let of_kind = known.iter().filter(|known| known.kind == kind);
                let ids: Vec<&str> = of_kind.map(|known| known.template_id.as_str()).collect();
                credit::mark_kind(conn, account, &ids, long_term, ROUND)
            };
            self.db.in_rounds(round).await?;
        }
        Ok(())
    }

    async fn note_failure(&self, account: &OpenAccount, error: &TokenError) -> Result<(), DbError> {
        let (id, project, app_id) = (account.id, account.project_id, account.app_id.clone());
        let (code, problem) = (error.errcode(), error.explanation());
        let (now, may_pass) = (self.clock.now(), error.class() == Class::Retry);
        let regular = self.next_sync(now);
        let backoff = Backoff::seconds(RETRY_FIRST, self.config.templates.sync_seconds);
        let note = self.db.write(move |conn| -> QueryResult<_> {
            let named = Naming::of(conn, project)?.names_account(&app_id);
            let failures = template_sync::failed(conn, id, code, &problem)?;
            let next = match may_pass {
                true => regular.map(|_| now + backoff.pause(failures, jitter())),
                false => regular,
            };
            template_sync::put_due(conn, id, next.filter(|_| named))?;
            Ok(())
        });
        note.await
    }

    /// When the next listing is due, spread by a tenth to either side so that accounts that were
    /// listed together do not stay together.
    fn next_sync(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let seconds = self.config.templates.sync_seconds;
        let spread = seconds as f64 * (0.9 + 0.2 * jitter());
        let pause = super::retry::seconds(spread as u64);
        (seconds > 0).then(|| now + pause)
    }
}

/// One line for each template that message types name and that is not as it was.
fn warn(app_id: &str, naming: &Naming, synced: &Synced) {
    let changed = synced.changed.iter().map(|id| (id, "changed"));
    let gone = synced.gone.iter().map(|id| (id, "gone"));
    for (template_id, drift) in changed.chain(gone) {
        let names = naming.message_types(app_id, template_id);
        if !names.is_empty() {
            tracing::warn!(
                account.app_id = app_id,
                template.id = ?template_id,
                template.drift = drift,
                message_types = names.join(" "),
                "a template that message types name is not as it was"
            );
        }
    }
}
