//! Followers that were there before Queqiao: a walk over WeChat's follower list, page by page,
//! with the cursor stored after each, so that it goes on where it was interrupted.

use chrono::{NaiveDateTime, TimeDelta};
use thiserror::Error;

use super::accounts::{AccountError, OpenAccount};
use super::retry::{Backoff, jitter};
use super::token::TokenError;
use super::{Bridge, Step};
use crate::db::DbError;
use crate::ids::ImportId;
use crate::models::account::AccountKind;
use crate::models::identity::{self, Listed};
use crate::models::import::{self, Import, ImportState, Progress};
use crate::wechat::error::{CallError, Class, token_call_class};
use crate::wechat::user::FollowerPage;

/// A page may take its whole time limit, twice, and its rows must be stored.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// Openids stored in one statement.
const CHUNK: usize = 1_000;
const RETRY: (u64, u64) = (2, 300);
const MOST_FAILURES: i32 = 10;

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

impl From<diesel::result::Error> for ImportError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Bridge {
    /// Starts a walk over an account's followers, or joins the one that is running.
    /// `reconcile` also marks, at the end, those who are gone; `refresh` asks for all profiles again,
    /// `profile.refresh_per_second` at a time, as when the account has moved to another Open Platform
    /// account.
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
                Ok::<_, ImportError>(import::start(conn, account.id, reconcile, refresh, now)?)
            })
            .await?;
        self.signals.imports.notify_one();
        Ok(started)
    }

    /// Fetches and stores one page of an import that is due (of that one only, if one is named).
    ///
    /// # Errors
    /// If the database fails; the page is fetched again after its lease.
    pub async fn import_step(&self, only: Option<ImportId>) -> Result<Step, ImportError> {
        let now = self.clock.now();
        let claimed = self
            .db
            .write(move |conn| {
                Ok::<_, ImportError>(import::claim_due(conn, only, now, now + LEASE)?)
            })
            .await?;
        let Some(import) = claimed else {
            return Ok(Step::Idle);
        };
        let Some(account) = self.accounts.by_id(import.account_id).await? else {
            self.give_import_up(import, "the account does not open under this master key")
                .await?;
            return Ok(Step::Worked);
        };
        let cursor = import.next_openid.clone();
        let call = |token| {
            let cursor = cursor.as_deref();
            async move { self.wechat.followers(&token, cursor).await }
        };
        match self.tokens.call(&account, "user/get", call).await {
            Ok(page) => self.store_page(&account, import, page).await?,
            Err(error) => self.put_import_off(&account, import, &error).await?,
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
        let before = import.collected.unsigned_abs();
        let collected = before.saturating_add(page.count);
        let last = page.is_last(collected);
        let mut openids = page.openids;
        openids.sort_unstable();
        openids.dedup();
        let per_second = self.config.profile.refresh_per_second;
        let mut progress = after_page(&import, page.next_openid, collected, page.total);
        if last {
            finish(&mut progress, import.reconcile, now);
        } else {
            progress.due_at = Some(now);
        }
        // The page and the cursor behind it are one transaction: neither is lost without the other.
        let done = self
            .db
            .write(move |conn| {
                let mut place = before;
                for chunk in openids.chunks(CHUNK) {
                    let rows: Vec<Listed<'_>> = chunk
                        .iter()
                        .zip(place..)
                        .map(|(openid, place)| Listed {
                            project_id,
                            account_id,
                            openid,
                            import_id: import.id,
                            refresh_at: import
                                .refresh
                                .then(|| turn(import.started_at, place, per_second).max(now)),
                            now,
                        })
                        .collect();
                    place += count(rows.len()).unsigned_abs();
                    progress.created += count(identity::list_followers(conn, &rows)?);
                }
                if progress.state == ImportState::Done && import.reconcile {
                    let started = import.started_at.and_utc().timestamp();
                    let gone = identity::mark_gone(conn, account_id, import.id, started, now)?;
                    progress.gone = count(gone);
                }
                import::advance(conn, import.id, &progress)?;
                Ok::<_, ImportError>(progress)
            })
            .await?;
        tracing::info!(
            account.app_id = %account.app_id,
            import.id = %import.id,
            import.collected = done.collected,
            import.total = done.total,
            import.created = done.created,
            import.gone = done.gone,
            import.state = %done.state,
            "follower page stored"
        );
        self.signals.profiles.notify_one();
        Ok(())
    }

    async fn give_import_up(&self, import: Import, problem: &str) -> Result<(), ImportError> {
        let now = self.clock.now();
        tracing::error!(import.id = %import.id, problem, "import given up");
        let progress = Progress {
            state: ImportState::Failed,
            next_openid: import.next_openid,
            collected: import.collected,
            total: import.total,
            created: import.created,
            gone: import.gone,
            problem: Some(problem.to_owned()),
            attempts: import.attempts,
            due_at: None,
            finished_at: Some(now),
        };
        self.db
            .write(move |conn| Ok::<_, ImportError>(import::advance(conn, import.id, &progress)?))
            .await
    }

    async fn put_import_off(
        &self,
        account: &OpenAccount,
        import: Import,
        error: &TokenError,
    ) -> Result<(), ImportError> {
        let now = self.clock.now();
        let pause = Backoff::seconds(RETRY.0, RETRY.1).pause(import.attempts, jitter());
        let attempts = import.attempts.saturating_add(1);
        let hopeless = is_hopeless(error) || attempts >= MOST_FAILURES;
        tracing::warn!(
            account.app_id = %account.app_id,
            import.id = %import.id,
            import.attempts = attempts,
            import.given_up = hopeless,
            %error,
            "follower page not fetched"
        );
        let progress = Progress {
            state: if hopeless {
                ImportState::Failed
            } else {
                ImportState::Running
            },
            next_openid: import.next_openid,
            collected: import.collected,
            total: import.total,
            created: import.created,
            gone: import.gone,
            problem: Some(error.to_string()),
            attempts,
            due_at: (!hopeless).then(|| now + pause),
            finished_at: hopeless.then_some(now),
        };
        self.db
            .write(move |conn| Ok::<_, ImportError>(import::advance(conn, import.id, &progress)?))
            .await
    }
}

/// When it is the turn of the profile at a place of the list to be asked for again: the whole list
/// at once would keep new followers waiting.
fn turn(started: NaiveDateTime, place: u64, per_second: u64) -> NaiveDateTime {
    let seconds = place / per_second.max(1);
    let pause = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    pause
        .and_then(|pause| started.checked_add_signed(pause))
        .unwrap_or(started)
}

/// Where an import stands when a page is stored.
fn after_page(import: &Import, next: Option<String>, collected: u64, total: u64) -> Progress {
    Progress {
        state: ImportState::Running,
        next_openid: next.or_else(|| import.next_openid.clone()),
        collected: collected.cast_signed(),
        total: Some(total.cast_signed()),
        created: import.created,
        gone: import.gone,
        problem: None,
        attempts: 0,
        due_at: None,
        finished_at: None,
    }
}

/// The list has ended. Whoever is not on one that broke off is not gone, so such a walk does not
/// count when it is there to find that out.
fn finish(progress: &mut Progress, reconcile: bool, now: NaiveDateTime) {
    let (collected, total) = (progress.collected, progress.total.unwrap_or_default());
    progress.finished_at = Some(now);
    progress.state = ImportState::Done;
    if reconcile && collected < total {
        progress.state = ImportState::Failed;
        progress.problem = Some(format!(
            "the list ended after {collected} of {total} followers; start again"
        ));
    }
}

/// What the owner has to mend, or what was asked wrongly, does not pass by itself.
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
