//! After an account migration: a walk over the old account's openids, which WeChat translates a
//! hundred at a time, with the cursor stored after each hundred, so that it goes on where it was
//! interrupted. What the business built on the old openids moves to the new ones: bindings and
//! follow history. The old identities stay as they were, and say what became of them.

mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::profile::CALLS_MAX;
use crate::bridge::Bridge;
use crate::bridge::accounts::{AccountError, OpenAccount};
use crate::bridge::retry::{Backoff, jitter};
use crate::bridge::token::TokenError;
use crate::db::DbError;
use crate::ids::{MigrationId, ProjectId};
use crate::models::account::AccountKind;
use crate::models::identity::Identity;
use crate::models::identity::migration::{self, Migration, MigrationState};
use crate::models::storable;
use crate::wechat::error::{CallError, Class, Fault};
use crate::wechat::migrate::{CHANGE_OPENID_MAX, Translated};

const CALL: &str = "changeopenid";
const RETRY: (u64, u64) = (1, 60);
/// Failures in a row after which answers that cannot be read are taken for the openids' fault.
const PATIENCE: i32 = 3;
/// Failures in a row after which a walk stops.
const MOST_FAILURES: i32 = 10;

/// Why an account cannot be migrated.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The project has no such account.
    #[error("{0} is not an account of this project; see: queqiao accounts list")]
    UnknownAccount(String),
    /// Nobody follows a mini-program.
    #[error("{0} is a mini-program; only official accounts are migrated to another account")]
    MiniProgram(String),
    /// Both are the same.
    #[error("--from and --to name the same account")]
    SameAccount,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// A walk and its two accounts.
#[derive(Clone)]
pub struct Walk {
    /// Row id.
    pub id: MigrationId,
    /// The old account.
    pub from: Arc<OpenAccount>,
    /// The new one, with whose token WeChat is asked.
    pub to: Arc<OpenAccount>,
    failures: i32,
}

/// What one step of a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateStep {
    /// A hundred openids were asked for; there may be more.
    Worked,
    /// WeChat did not answer, or wants patience: after this pause.
    Later(Duration),
    /// It is at its end, or cannot go on; the stored state says which.
    Ended,
}

/// What WeChat said of one identity's openid: the new one, or why there is none.
type NewOpenid = (Identity, Result<String, String>);

impl Bridge {
    /// Goes on with the walk from one official account of the project to another that did not come
    /// to its end, or starts one over the openids that were not moved yet.
    ///
    /// # Errors
    /// If there are no such accounts.
    pub async fn start_migration(
        &self,
        project: ProjectId,
        from: &str,
        to: &str,
    ) -> Result<Walk, MigrateError> {
        let old = self.official(project, from).await?;
        let new = self.official(project, to).await?;
        if old.id == new.id {
            return Err(MigrateError::SameAccount);
        }
        let (accounts, now) = ((project, old.id, new.id), self.clock.now());
        let started = self
            .db
            .write(move |conn| migration::start(conn, accounts, now));
        Ok(Walk {
            id: started.await?.id,
            from: old,
            to: new,
            failures: 0,
        })
    }

    async fn official(
        &self,
        project: ProjectId,
        app_id: &str,
    ) -> Result<Arc<OpenAccount>, MigrateError> {
        let account = self.accounts.get(app_id).await?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or_else(|| MigrateError::UnknownAccount(app_id.to_owned()))?;
        match account.kind {
            AccountKind::OfficialAccount => Ok(account),
            AccountKind::MiniProgram => Err(MigrateError::MiniProgram(app_id.to_owned())),
        }
    }

    /// Asks for the next hundred openids of a walk and moves what WeChat translates.
    ///
    /// # Errors
    /// If the database fails; the hundred is asked for again.
    pub async fn migrate_step(&self, walk: &mut Walk) -> Result<MigrateStep, MigrateError> {
        let (id, project) = (walk.id, walk.from.project_id);
        let limit = i64::try_from(CHANGE_OPENID_MAX).unwrap_or(i64::MAX);
        let read = self.db.read(move |conn| -> Result<_, MigrateError> {
            let Some(known) = migration::by_id(conn, id)? else {
                return Ok(None);
            };
            let page = migration::page(conn, project, &known, limit)?;
            Ok(Some((known, page)))
        });
        let Some((known, page)) = read.await? else {
            return Ok(MigrateStep::Ended);
        };
        if known.state != MigrationState::Running {
            return Ok(MigrateStep::Ended);
        }
        if page.is_empty() {
            self.end_migration(id, MigrationState::Done, None).await?;
            return Ok(MigrateStep::Ended);
        }
        match self.translate(walk, page).await {
            Ok(translated) => {
                walk.failures = 0;
                self.store_page(known, translated).await?;
                Ok(MigrateStep::Worked)
            }
            Err(error) => self.put_migration_off(walk, &error).await,
        }
    }

    /// Has up to a hundred openids translated. One that WeChat refuses to hear of, or that spoils its
    /// answer, is found by halving, and the others are translated all the same. Where that takes too
    /// many calls, the rest of the hundred waits for the next step.
    async fn translate(
        &self,
        walk: &Walk,
        page: Vec<Identity>,
    ) -> Result<Vec<NewOpenid>, TokenError> {
        let mut pairs = Vec::with_capacity(page.len());
        let (mut calls, mut answers, mut last) = (0, 0, None);
        // In the order of the page, so that what is done is its beginning.
        let mut parts = vec![page];
        while let Some(mut part) = parts.pop() {
            if calls >= CALLS_MAX {
                break;
            }
            calls += 1;
            let openids: Vec<&str> = part.iter().map(|one| one.openid.as_str()).collect();
            let (openids, from) = (openids.as_slice(), walk.from.app_id.as_str());
            let call =
                |token| async move { self.wechat.change_openids(&token, from, openids).await };
            let error = match self.tokens.call(&walk.to, CALL, call).await {
                Ok(translated) => {
                    answers += 1;
                    pairs.extend(pair(part, translated));
                    continue;
                }
                Err(error) => error,
            };
            let Some(why) = fault_of_one(&error) else {
                return Err(error);
            };
            if part.len() > 1 {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            } else {
                pairs.extend(part.into_iter().map(|one| (one, Err(why.clone()))));
            }
            last = Some(error);
        }
        match last {
            // Nothing could be used: it is not the people's doing, unless it stays so.
            Some(error) if answers == 0 && is_general(&error, calls, walk.failures) => Err(error),
            _ => Ok(pairs),
        }
    }

    async fn put_migration_off(
        &self,
        walk: &mut Walk,
        error: &TokenError,
    ) -> Result<MigrateStep, MigrateError> {
        walk.failures = walk.failures.saturating_add(1);
        let problem = match error {
            TokenError::Call(CallError::Api(api)) => api.explain_on(CALL),
            other => other.to_string(),
        };
        let passes = match error {
            TokenError::Call(error) | TokenError::Refresh(error) => {
                error.errcode().is_none() || error.class() == Class::Retry
            }
            TokenError::Db(_) | TokenError::Busy(_) => true,
            TokenError::NoSecret(_) | TokenError::Vault(_) => false,
        };
        if !passes || walk.failures >= MOST_FAILURES {
            tracing::error!(
                account.app_id = %walk.to.app_id, from.app_id = %walk.from.app_id, problem,
                "account migration stopped"
            );
            self.end_migration(walk.id, MigrationState::Failed, Some(problem))
                .await?;
            return Ok(MigrateStep::Ended);
        }
        self.end_migration(walk.id, MigrationState::Running, Some(problem))
            .await?;
        let pause = Backoff::seconds(RETRY.0, RETRY.1).pause(walk.failures - 1, jitter());
        Ok(MigrateStep::Later(pause.to_std().unwrap_or_default()))
    }

    async fn end_migration(
        &self,
        id: MigrationId,
        state: MigrationState,
        problem: Option<String>,
    ) -> Result<(), MigrateError> {
        let now = self.clock.now();
        let ended = self.db.write(move |conn| {
            let problem = problem.as_deref();
            migration::set_state(conn, id, state, problem, now)
        });
        Ok(ended.await?)
    }

    async fn store_page(
        &self,
        known: Migration,
        translated: Vec<NewOpenid>,
    ) -> Result<(), MigrateError> {
        let (now, vault) = (self.clock.now(), self.vault.clone());
        let stored = self
            .db
            .write_once(move |conn| store::page(conn, &vault, &known, translated, now));
        if stored.await? > 0 {
            self.signals.webhooks.notify_one();
        }
        self.signals.profiles.notify_one();
        Ok(())
    }
}

/// Why one openid of a list has no translation, if the error is about one of them; none: it would
/// say the same of any list.
fn fault_of_one(error: &TokenError) -> Option<String> {
    match error {
        TokenError::Call(CallError::Api(api)) if api.fault_on(CALL) == Fault::WrongOpenid => {
            // Without the rid, so that the same reason is the same text.
            let (code, meaning) = (api.errcode, api.advice().meaning);
            Some(format!("{code}: {meaning} WeChat's words: {}", api.errmsg))
        }
        TokenError::Call(error @ CallError::Malformed { .. }) => Some(error.to_string()),
        _ => None,
    }
}

/// Whether an error that was the answer to everything seems to have nothing to do with the openids.
fn is_general(error: &TokenError, calls: usize, failures: i32) -> bool {
    let is_unreadable = matches!(error, TokenError::Call(CallError::Malformed { .. }));
    calls >= CALLS_MAX || is_unreadable && failures < PATIENCE
}

/// Joins answers to questions by openid.
fn pair(part: Vec<Identity>, translated: Vec<Translated>) -> Vec<NewOpenid> {
    let mut by_openid: HashMap<String, Translated> = translated
        .into_iter()
        .map(|one| (one.ori_openid.clone(), one))
        .collect();
    let pairs = part.into_iter().map(|identity| {
        let result = match by_openid.remove(&identity.openid) {
            Some(Translated {
                new_openid: Some(openid),
                ..
            }) => Ok(storable(&openid).into_owned()),
            Some(Translated {
                err_msg: Some(why), ..
            }) => Err(storable(&why).chars().take(256).collect()),
            _ => Err("WeChat's answer left it out".to_owned()),
        };
        (identity, result)
    });
    pairs.collect()
}
