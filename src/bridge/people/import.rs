//! Followers that were there before Queqiao: a walk over WeChat's follower list, page by page,
//! with the cursor stored after each, so that it goes on where it was interrupted.

mod check;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use thiserror::Error;

use super::erase;
use super::profile::{ProfileError, ProfileFetcher};
use crate::bridge::accounts::{AccountError, Accounts, OpenAccount};
use crate::bridge::availability::renewal::renewed_at;
use crate::bridge::retry::{Backoff, jitter, turn};
use crate::bridge::signals::Signals;
use crate::bridge::token::{TokenError, Tokens};
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError};
use crate::ids::{IdentityId, ImportId};
use crate::models::account::AccountKind;
use crate::models::identity::{self, Listed};
use crate::models::import::{self, Import, ImportState, Progress};
use crate::models::project;
use crate::vault::Vault;
use crate::wechat::client::Client;
use crate::wechat::error::{CallError, Class, token_call_class};
use crate::wechat::user::FollowerPage;

/// A page may take its whole time limit, twice, and its rows must be stored.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// Openids stored in one statement.
const CHUNK: usize = 1_000;
const RETRY: (u64, u64) = (2, 300);
const MOST_FAILURES: i32 = 10;
/// What waited for a limit to be renewed goes on within this time after it.
const SPREAD_MS: f64 = 60_000.0;
const CIRCLE: &str =
    "WeChat's list came back to where it had been before, so it has no end; start again";

/// Why an import cannot be started or go on.
#[derive(Debug, Error)]
pub enum ImportError {
    /// There is no such account here.
    #[error("no account has this app id")]
    UnknownAccount,
    /// Nobody follows a mini-program.
    #[error("a mini-program has no followers to import; name an official account")]
    MiniProgram,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<ProfileError> for ImportError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Db(error) => Self::Db(error),
            ProfileError::Account(error) => Self::Account(error),
        }
    }
}

impl Bridge {
    /// Starts a walk over an account's followers, or joins the one that is running.
    /// `reconcile` also marks, at the end, those who are gone: not on the list, and WeChat says so when
    /// asked about them. Who is known without a unionid is asked about again, and with `refresh` all
    /// are, `profile.refresh_per_second` at a
    /// time, as when the account has moved to another Open Platform account.
    ///
    /// # Errors
    /// If there is no such official account.
    pub async fn start_import(
        &self,
        app_id: &str,
        reconcile: bool,
        refresh: bool,
    ) -> Result<Import, ImportError> {
        let account = self.accounts.get(app_id).await?;
        let account = account.ok_or(ImportError::UnknownAccount)?;
        if account.kind == AccountKind::MiniProgram {
            return Err(ImportError::MiniProgram);
        }
        let now = self.clock.now();
        let started = self
            .db
            .write(move |conn| {
                // Of several that are started at once, one is; the others join it.
                project::lock(conn, account.project_id)?;
                import::start(conn, account.id, reconcile, refresh, now)
            })
            .await?;
        self.signals.imports.notify_one();
        Ok(started)
    }
}

/// Walks over follower lists.
pub struct FollowerImporter {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    vault: Vault,
    wechat: Client,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
    signals: Arc<Signals>,
    profiles: ProfileFetcher,
}

impl FollowerImporter {
    /// With what the bridge has.
    pub fn of(bridge: &Bridge) -> Self {
        let profiles = ProfileFetcher::of(bridge);
        wire!(bridge => Self { db, clock, config, vault, wechat, accounts, tokens, signals; profiles })
    }

    /// Fetches and stores one page of an import that is due (of that one only, if one is named), or asks
    /// about some who were not on the list.
    ///
    /// # Errors
    /// If the database fails; the page is fetched again after its lease.
    pub async fn step(&self, only: Option<ImportId>) -> Result<Step, ImportError> {
        let now = self.clock.now();
        let claimed = self
            .db
            .write(move |conn| import::claim_due(conn, only, now, now + LEASE))
            .await?;
        let Some(import) = claimed else {
            return Ok(Step::Idle);
        };
        let Some(account) = self.accounts.by_id(import.account_id).await? else {
            self.give_import_up(import, "the account does not open under this master key")
                .await?;
            return Ok(Step::Worked);
        };
        if import.checked_to.is_some() {
            self.check_unlisted(&account, import).await?;
            return Ok(Step::Worked);
        }
        let cursor = import.next_openid.clone();
        let call = |token| {
            let cursor = cursor.as_deref();
            async move { self.wechat.followers(&token, cursor).await }
        };
        match self.tokens.call(&account, "user/get", call).await {
            Ok(page) => self.store_page(&account, import, page).await?,
            Err(error) => {
                let progress = import.progress();
                self.put_import_off(&account, import, progress, &error)
                    .await?;
            }
        }
        Ok(Step::Worked)
    }

    async fn store_page(
        &self,
        account: &OpenAccount,
        import: Import,
        page: FollowerPage,
    ) -> Result<(), ImportError> {
        let now = self.clock.now();
        let (project_id, account_id) = (account.project_id, account.id);
        let after = after_page(&import, &page, now);
        let mut openids = page.openids;
        openids.sort_unstable();
        openids.dedup();
        // Behind those of the pages before, or from now on where these were long ago.
        let first_turn = import.last_turn.map_or(now, |last| last.max(now));
        let per_second = self.config.profile.refresh_per_second;
        let vault = self.vault.clone();
        // The page and the cursor behind it are one transaction: neither is lost without the other.
        let done = self
            .db
            .write(move |conn| -> Result<_, ImportError> {
                let (mut place, mut progress) = (0, after.clone());
                for chunk in openids.chunks(CHUNK) {
                    let gone = erase::gone(conn, &vault, account_id, chunk)?;
                    let silent = match import.refresh {
                        true => HashSet::new(),
                        false => identity::silent(conn, account_id, chunk)?,
                    };
                    let listed = chunk.iter().filter(|openid| !gone.contains(*openid));
                    let rows: Vec<Listed<'_>> = listed
                        .map(|openid| {
                            let is_asked = import.refresh || silent.contains(openid);
                            let refresh_at = is_asked.then(|| turn(first_turn, place, per_second));
                            place += u64::from(is_asked);
                            Listed {
                                project_id,
                                account_id,
                                openid,
                                import_id: import.id,
                                refresh_at,
                                now,
                            }
                        })
                        .collect();
                    progress.created += count(identity::list_followers(conn, &rows)?);
                }
                // To the second, and rather later than faster than is meant.
                let whole = place + per_second.saturating_sub(1);
                if place > 0 {
                    progress.last_turn = Some(turn(first_turn, whole, per_second));
                }
                import::advance(conn, &import, &progress)?;
                Ok((import.id, progress))
            })
            .await?;
        log(account, done.0, &done.1, "follower page stored");
        self.signals.profiles.notify_one();
        Ok(())
    }

    async fn give_import_up(&self, import: Import, problem: &str) -> Result<(), ImportError> {
        let now = self.clock.now();
        tracing::error!(import.id = %import.id, problem, "import given up");
        let progress = failed(import.progress(), problem.to_owned(), now);
        self.advance_import(import, progress).await
    }

    /// Puts the next try off, or gives up.
    async fn put_import_off(
        &self,
        account: &OpenAccount,
        import: Import,
        progress: Progress,
        error: &TokenError,
    ) -> Result<(), ImportError> {
        let progress = after_failure(&import, progress, error, self.clock.now());
        tracing::warn!(
            account.app_id = %account.app_id,
            import.id = %import.id,
            import.attempts = progress.attempts,
            import.state = %progress.state,
            import.due_at = ?progress.due_at,
            %error,
            "WeChat did not answer an import"
        );
        self.advance_import(import, progress).await
    }

    async fn advance_import(&self, import: Import, progress: Progress) -> Result<(), ImportError> {
        self.db
            .write(move |conn| {
                import::advance(conn, &import, &progress)?;
                Ok(())
            })
            .await
    }
}

/// One line for each step that went well.
fn log(account: &OpenAccount, id: ImportId, done: &Progress, what: &str) {
    tracing::info!(
        account.app_id = %account.app_id,
        import.id = %id,
        import.collected = done.collected,
        import.total = done.total,
        import.created = done.created,
        import.gone = done.gone,
        import.state = %done.state,
        "{what}"
    );
}

/// Where an import stands after a page. Only an empty one is the end: while people come and go, WeChat's
/// `total` is neither the number of those on the list nor that of those who follow.
fn after_page(import: &Import, page: &FollowerPage, now: NaiveDateTime) -> Progress {
    let mut progress = import.progress();
    progress.total = Some(i64::try_from(page.total).unwrap_or(i64::MAX));
    progress.pages += 1;
    let Some(next) = page.next() else {
        return at_end(progress, import.reconcile, now);
    };
    let mut distinct: Vec<&String> = page.openids.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    progress.collected += count(distinct.len());
    if progress.mark.as_deref() == Some(next) {
        return failed(progress, CIRCLE.to_owned(), now);
    }
    // The mark stays ever longer, so it is met in a circle of any length.
    if progress.pages.unsigned_abs().is_power_of_two() {
        progress.mark = Some(next.to_owned());
    }
    progress.next_openid = Some(next.to_owned());
    progress.due_at = Some(now);
    progress
}

/// The list has ended.
fn at_end(progress: Progress, reconcile: bool, now: NaiveDateTime) -> Progress {
    match reconcile {
        // Who is not on the list may be gone: WeChat is asked about each.
        true => Progress {
            checked_to: Some(IdentityId(0)),
            due_at: Some(now),
            ..progress
        },
        false => finished(progress, now),
    }
}

fn finished(progress: Progress, now: NaiveDateTime) -> Progress {
    Progress {
        state: ImportState::Done,
        finished_at: Some(now),
        ..progress
    }
}

fn failed(progress: Progress, problem: String, now: NaiveDateTime) -> Progress {
    Progress {
        state: ImportState::Failed,
        problem: Some(problem),
        finished_at: Some(now),
        ..progress
    }
}

/// Where an import stands after a call that failed. A limit that is used up is no failure: it is
/// renewed at a known time.
fn after_failure(
    import: &Import,
    progress: Progress,
    error: &TokenError,
    now: NaiveDateTime,
) -> Progress {
    if let Some(renewed) = renewed_at(error, now) {
        // Not all at once with everything else that waited for it.
        let due_at = renewed + TimeDelta::milliseconds((SPREAD_MS * jitter()) as i64);
        let at = due_at.format("%F %T");
        return Progress {
            problem: Some(format!(
                "{error}. The limit of this call is used up; the import goes on by itself at {at} UTC"
            )),
            attempts: import.attempts,
            due_at: Some(due_at),
            ..progress
        };
    }
    let attempts = import.attempts.saturating_add(1);
    if is_hopeless(error) || attempts >= MOST_FAILURES {
        let progress = Progress {
            attempts,
            ..progress
        };
        return failed(progress, error.to_string(), now);
    }
    let pause = Backoff::seconds(RETRY.0, RETRY.1).pause(import.attempts, jitter());
    Progress {
        problem: Some(error.to_string()),
        attempts,
        due_at: Some(now + pause),
        ..progress
    }
}

/// What the owner has to fix, or what was asked wrongly, does not pass by itself.
fn is_hopeless(error: &TokenError) -> bool {
    match error {
        TokenError::NoSecret(_) | TokenError::Vault(_) => true,
        TokenError::Call(CallError::Api(error)) => {
            matches!(
                error.class(),
                Class::Account | Class::Request | Class::Recipient
            )
        }
        TokenError::Refresh(CallError::Api(error)) => {
            matches!(
                token_call_class(error.errcode),
                Class::Account | Class::Request
            )
        }
        TokenError::Call(_) | TokenError::Refresh(_) | TokenError::Db(_) | TokenError::Busy(_) => {
            false
        }
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
