//! Fetching followers' profiles: one call for one, `batchget` when several wait.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};
use thiserror::Error;

use super::accounts::{AccountError, OpenAccount};
use super::link;
use super::moved;
use super::retry::{Backoff, jitter};
use super::token::TokenError;
use super::{Bridge, Step};
use crate::db::DbError;
use crate::models::identity::{self, Claimed, DueAccount, ProfileState};
use crate::wechat::error::{CallError, Fault, TOKEN_CALL};
use crate::wechat::user::{USER_INFO_BATCH_MAX, UserInfo};

/// Due profiles counted at a glance; more than one round can fetch.
const GLANCE: i64 = 2_000;

/// Why profiles could not be fetched.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// An account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<diesel::result::Error> for ProfileError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Bridge {
    /// Fetches profiles that are due. A profile waits a moment for others, so that followers who
    /// come together are fetched together.
    ///
    /// # Errors
    /// If the database fails; the profiles stay due.
    pub async fn profile_step(&self) -> Result<Step, ProfileError> {
        let now = self.clock.now();
        let due = self
            .db
            .read(move |conn| Ok::<_, ProfileError>(identity::due_accounts(conn, now, GLANCE)?))
            .await?;
        let linger = TimeDelta::milliseconds(self.config.profile.linger_ms.cast_signed());
        let full = i64::try_from(USER_INFO_BATCH_MAX).unwrap_or(i64::MAX);
        let mut soonest = None;
        let mut worked = false;
        for account in due {
            let waited = now - account.oldest;
            if account.waiting < full && waited < linger {
                let rest = (linger - waited).to_std().unwrap_or_default();
                soonest = Some(soonest.map_or(rest, |known: Duration| known.min(rest)));
                continue;
            }
            worked |= self.fetch_account(&account, account.waiting < full).await?;
        }
        Ok(match (worked, soonest) {
            (true, _) => Step::Worked,
            (false, Some(rest)) => Step::Later(rest),
            (false, None) => Step::Idle,
        })
    }

    async fn fetch_account(&self, due: &DueAccount, all: bool) -> Result<bool, ProfileError> {
        let Some(account) = self.accounts.by_id(due.account_id).await? else {
            return Ok(false);
        };
        let calls = self.config.profile.concurrency;
        // Only full batches, unless what is there has waited long enough.
        let wanted = match usize::try_from(due.waiting).unwrap_or(usize::MAX) {
            waiting if all => waiting,
            waiting => (waiting / USER_INFO_BATCH_MAX).clamp(1, calls) * USER_INFO_BATCH_MAX,
        };
        let claimed = self.claim_profiles(due, wanted).await?;
        let worked = !claimed.is_empty();
        let chunks: Vec<Vec<Claimed>> = claimed
            .chunks(USER_INFO_BATCH_MAX)
            .map(<[Claimed]>::to_vec)
            .collect();
        let mut rounds = stream::iter(chunks)
            .map(|chunk| self.fetch_chunk(&account, chunk))
            .buffer_unordered(calls);
        while let Some(done) = rounds.next().await {
            done?;
        }
        Ok(worked)
    }

    async fn claim_profiles(
        &self,
        due: &DueAccount,
        limit: usize,
    ) -> Result<Vec<Claimed>, ProfileError> {
        let now = self.clock.now();
        let lease = TimeDelta::seconds(self.config.profile.lease_seconds.cast_signed());
        let account = due.account_id;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.db
            .write(move |conn| {
                let claimed = identity::claim_due(conn, account, now, now + lease, limit)?;
                Ok(claimed)
            })
            .await
    }

    /// Fetches up to a hundred profiles. Where one foreign openid fails the whole batch, it is
    /// found by halving, and the others are fetched all the same.
    async fn fetch_chunk(
        &self,
        account: &OpenAccount,
        chunk: Vec<Claimed>,
    ) -> Result<(), ProfileError> {
        let mut parts = vec![chunk];
        while let Some(mut part) = parts.pop() {
            match self.ask(account, &part).await {
                Ok(infos) => self.store_profiles(account, part, infos).await?,
                Err(TokenError::Call(CallError::Api(error)))
                    if error.fault_on("user/info") == Fault::WrongOpenid && part.len() > 1 =>
                {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(error) => self.delay_profiles(account, &part, &error).await?,
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        account: &OpenAccount,
        part: &[Claimed],
    ) -> Result<Vec<UserInfo>, TokenError> {
        let openids: Vec<&str> = part.iter().map(|claimed| claimed.openid.as_str()).collect();
        match openids.as_slice() {
            [] => Ok(Vec::new()),
            [openid] => {
                let call = |token| async move { self.wechat.user_info(&token, openid).await };
                let info = self.tokens.call(account, "user/info", call).await?;
                Ok(vec![info])
            }
            openids => {
                let call =
                    |token| async move { self.wechat.user_info_batch(&token, openids).await };
                self.tokens.call(account, "user/info/batchget", call).await
            }
        }
    }

    async fn store_profiles(
        &self,
        account: &OpenAccount,
        part: Vec<Claimed>,
        infos: Vec<UserInfo>,
    ) -> Result<(), ProfileError> {
        let now = self.clock.now();
        let settings = self.config.profile.clone();
        let answered = link::pair(part, infos);
        let (rows, missing) = link::rows(answered, now, &settings);
        tracing::debug!(account.app_id = %account.app_id, profiles = rows.len(), "profiles fetched");
        let stored = self
            .db
            .write(move |conn| Ok::<_, ProfileError>(link::store(conn, &rows, now)?));
        let stored = stored.await?;
        moved::warn(&stored.moved);
        if stored.told > 0 {
            self.signals.webhooks.notify_one();
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.put_off(
            &missing,
            ProfileState::Pending,
            "WeChat's answer left it out",
        )
        .await
    }

    async fn delay_profiles(
        &self,
        account: &OpenAccount,
        part: &[Claimed],
        error: &TokenError,
    ) -> Result<(), ProfileError> {
        let unknown = matches!(
            error,
            TokenError::Call(CallError::Api(error)) if error.fault_on("user/info") == Fault::WrongOpenid
        );
        if unknown {
            // A stranger to WeChat stays one, and the answer is on the identity for who asks.
            tracing::debug!(account.app_id = %account.app_id, "openid not known to WeChat");
            let state = ProfileState::UnknownOpenid;
            return self.put_off(part, state, &reason(error)).await;
        }
        tracing::warn!(
            account.app_id = %account.app_id,
            profiles = part.len(),
            %error,
            "profiles not fetched, will be tried again"
        );
        self.put_off(part, ProfileState::Pending, &reason(error))
            .await
    }

    async fn put_off(
        &self,
        part: &[Claimed],
        state: ProfileState,
        reason: &str,
    ) -> Result<(), ProfileError> {
        let now = self.clock.now();
        let settings = &self.config.profile;
        let backoff =
            Backoff::seconds(settings.retry_first_seconds, settings.retry_longest_seconds);
        let attempts = part
            .iter()
            .map(|claimed| claimed.profile_attempts)
            .max()
            .unwrap_or_default();
        // An openid that is not of this account will not become one.
        let due_at = match state {
            ProfileState::UnknownOpenid => None,
            _ => Some(now + backoff.pause(attempts, jitter())),
        };
        let claims: Vec<_> = part
            .iter()
            .map(|claimed| (claimed.id, claimed.profile_attempts.saturating_add(1)))
            .collect();
        let reason = reason.to_owned();
        self.db
            .write(move |conn| {
                identity::delay(conn, &claims, state, &reason, due_at, now)?;
                Ok(())
            })
            .await
    }
}

/// The error in words for the person who asks why there is no profile.
fn reason(error: &TokenError) -> String {
    match error {
        TokenError::Call(CallError::Api(api)) => api.explain_on("user/info"),
        TokenError::Refresh(CallError::Api(api)) => api.explain_on(TOKEN_CALL),
        TokenError::Call(call) | TokenError::Refresh(call) => {
            format!("WeChat could not be asked: {call}")
        }
        other => other.to_string(),
    }
}
