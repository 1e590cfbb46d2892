//! Fetching followers' profiles: one call for one, `batchget` when several wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};
use thiserror::Error;

use super::link;
use super::moved;
use crate::bridge::accounts::{AccountError, Accounts, OpenAccount};
use crate::bridge::retry::{Backoff, jitter};
use crate::bridge::signals::Signals;
use crate::bridge::token::{TokenError, Tokens};
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError};
use crate::ids::IdentityId;
use crate::models::delivery;
use crate::models::identity::{self, Claimed, Delay, DueAccount, Fetched};
use crate::wechat::client::Client;
use crate::wechat::error::{CallError, Class, Fault, TOKEN_CALL};
use crate::wechat::user::{USER_INFO_BATCH_MAX, UserInfo};

/// Due profiles counted at a glance; more than one round can fetch.
const GLANCE: i64 = 2_000;
/// Most calls to find those who spoil the answer of one batch; each takes about fifteen.
pub(in crate::bridge) const CALLS_MAX: usize = 60;
/// So many at fault, and nobody answered for, is not the people's doing.
const GENERAL: usize = 4;
/// Whom WeChat still does not know after so many tries, about half a day of them, is not taken for a
/// victim of what is wrong with the account.
const PATIENCE: i32 = 24;
const LEFT_OUT: &str = "WeChat's answer left it out";
const MANY: &str = "WeChat's answers for many people at once could not be used";
const TOO_SOON: &str = "The person followed a moment ago, so it is asked again before it counts.";

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

/// Fetches profiles from WeChat.
pub struct ProfileFetcher {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    wechat: Client,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
    signals: Arc<Signals>,
}

impl ProfileFetcher {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, wechat, accounts, tokens, signals })
    }

    /// Fetches profiles that are due. A profile waits a moment for others, so that followers who
    /// come together are fetched together.
    ///
    /// # Errors
    /// If the database fails; the profiles stay due.
    pub async fn step(&self) -> Result<Step, ProfileError> {
        let now = self.clock.now();
        let due = self
            .db
            .read(move |conn| identity::due_accounts(conn, now, GLANCE))
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
        let mut rounds = stream::iter(batches(claimed))
            .map(|chunk| self.fetch_chunk(&account, chunk))
            .buffer_unordered(calls);
        while let Some(round) = rounds.next().await {
            if let Some((error, rest)) = round?.stopped {
                self.delay_profiles(&account, &rest, &error).await?;
            }
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

    /// Fetches up to a hundred profiles. Where one person spoils the answer for all, they are found by
    /// halving, and the others are fetched all the same.
    pub(in crate::bridge) async fn fetch_chunk(
        &self,
        account: &OpenAccount,
        chunk: Vec<Claimed>,
    ) -> Result<Round, ProfileError> {
        let mut round = Round::default();
        let mut parts = vec![chunk];
        while let Some(mut part) = parts.pop() {
            // Where everybody seems to be at fault, nobody is.
            round.is_cut = round.is_general();
            if round.calls >= CALLS_MAX || round.is_cut {
                round.unsettled += part.len();
                self.put_off(&part, MANY, false).await?;
                continue;
            }
            round.calls += 1;
            let error = match self.ask(account, &part).await {
                Ok(infos) => {
                    round.answers += 1;
                    let missing = self.answered(account, part, infos, &mut round).await?;
                    parts.extend(missing);
                    continue;
                }
                Err(error) => error,
            };
            match (blame(&error), part.len()) {
                (Blame::Nobody, _) => {
                    part.extend(parts.drain(..).flatten());
                    round.stopped = Some((error, part));
                }
                (_, 2..) => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                (blame, _) => {
                    self.settle_one(account, part, &error, blame, &mut round)
                        .await?;
                }
            }
        }
        self.settle_strangers(account, &mut round).await?;
        Ok(round)
    }

    /// Stores answers. Returns whom to ask for alone, to hear why nothing was said of them.
    async fn answered(
        &self,
        account: &OpenAccount,
        part: Vec<Claimed>,
        infos: Vec<UserInfo>,
        round: &mut Round,
    ) -> Result<Vec<Vec<Claimed>>, ProfileError> {
        let was_alone = part.len() == 1;
        let missing = self.store_profiles(account, part, infos, round).await?;
        if was_alone {
            round.unsettled += missing.len();
            self.put_off(&missing, LEFT_OUT, true).await?;
            return Ok(Vec::new());
        }
        Ok(missing.into_iter().map(|one| vec![one]).collect())
    }

    /// Notes what WeChat said of one person who was asked for alone, and whose profile it did not
    /// give.
    async fn settle_one(
        &self,
        account: &OpenAccount,
        part: Vec<Claimed>,
        error: &TokenError,
        blame: Blame,
        round: &mut Round,
    ) -> Result<(), ProfileError> {
        match blame {
            Blame::NotFollowing => {
                let infos = part.iter().map(|one| UserInfo {
                    openid: one.openid.clone(),
                    ..UserInfo::default()
                });
                let infos = infos.collect();
                self.store_profiles(account, part, infos, round).await?;
                Ok(())
            }
            Blame::Unknown => {
                // What it means depends on what becomes of the others.
                let reason = reason(error);
                let strangers = part.into_iter().map(|one| (one, reason.clone()));
                round.strangers.extend(strangers);
                Ok(())
            }
            Blame::Somebody | Blame::Nobody => {
                tracing::warn!(
                    account.app_id = %account.app_id,
                    identity.id = ?part.first().map(|one| one.id),
                    %error,
                    "one profile cannot be fetched, will be tried again without others"
                );
                round.unsettled += part.len();
                self.put_off(&part, &reason(error), true).await
            }
        }
    }

    /// Notes whom WeChat does not know in this account. It does not count yet where WeChat seemed to
    /// know nobody, nor where it contradicts a follow of the last minutes.
    async fn settle_strangers(
        &self,
        account: &OpenAccount,
        round: &mut Round,
    ) -> Result<(), ProfileError> {
        let is_doubtful = round.answers == 0 && (round.is_cut || round.stopped.is_some());
        let now = self.clock.now();
        let mut by_reason: BTreeMap<String, Vec<Delay>> = BTreeMap::new();
        for (one, reason) in std::mem::take(&mut round.strangers) {
            let (delay, reason) = match link::doubt(&one, now) {
                Some(pause) => (
                    Delay {
                        attempts: 0,
                        doubts: Some(one.profile_doubts.saturating_add(1)),
                        due_at: Some(now + pause),
                        ..self.delay_of(&one, true)
                    },
                    format!("{reason} {TOO_SOON}"),
                ),
                None if is_doubtful && one.profile_attempts < PATIENCE => {
                    // With the others again: if WeChat answers for one of them, its word counts.
                    (self.delay_of(&one, false), reason)
                }
                None => {
                    // A stranger to WeChat stays one, and the answer is on the identity for who asks.
                    tracing::debug!(account.app_id = %account.app_id, reason, "openid not known to WeChat");
                    round.unknown.push(one.id);
                    (
                        Delay {
                            is_unknown: true,
                            doubts: Some(0),
                            // An openid that is not of this account will not become one.
                            due_at: None,
                            ..self.delay_of(&one, true)
                        },
                        reason,
                    )
                }
            };
            round.unsettled += usize::from(!delay.is_unknown);
            by_reason.entry(reason).or_default().push(delay);
        }
        for (reason, delays) in by_reason {
            self.store_delays(delays, reason).await?;
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

    /// Stores answers; returns those of whom nothing was said.
    async fn store_profiles(
        &self,
        account: &OpenAccount,
        part: Vec<Claimed>,
        infos: Vec<UserInfo>,
        round: &mut Round,
    ) -> Result<Vec<Claimed>, ProfileError> {
        let now = self.clock.now();
        let settings = self.config.profile.clone();
        let answered = link::pair(part, infos);
        let (rows, missing) = link::rows(answered, now, &settings);
        tracing::debug!(account.app_id = %account.app_id, profiles = rows.len(), "profiles fetched");
        let settled = rows.iter().filter(|row| row.doubts == 0);
        let settled: Vec<IdentityId> = settled.map(|row| row.id).collect();
        let is_gone = |row: &&Fetched| !row.subscribe && row.doubts == 0;
        round.gone += rows.iter().filter(is_gone).count();
        let (stored, resumed) = self
            .db
            .write(move |conn| -> Result<_, ProfileError> {
                let stored = link::store(conn, &rows, now)?;
                // What was refused because they were said not to follow is tried again, or fails.
                let resumed = delivery::resume_asked(conn, &settled, now)?;
                Ok((stored, resumed))
            })
            .await?;
        moved::warn(&stored.moved);
        if stored.published > 0 {
            self.signals.webhooks.notify_one();
        }
        if resumed > 0 {
            self.signals.wake_delivery();
        }
        Ok(missing)
    }

    /// Puts off what could not be asked for, through nobody's fault among them.
    async fn delay_profiles(
        &self,
        account: &OpenAccount,
        part: &[Claimed],
        error: &TokenError,
    ) -> Result<(), ProfileError> {
        tracing::warn!(
            account.app_id = %account.app_id,
            profiles = part.len(),
            %error,
            "profiles not fetched, will be tried again"
        );
        self.put_off(part, &reason(error), false).await
    }

    async fn put_off(
        &self,
        part: &[Claimed],
        reason: &str,
        alone: bool,
    ) -> Result<(), ProfileError> {
        let delays = part.iter().map(|claimed| self.delay_of(claimed, alone));
        self.store_delays(delays.collect(), reason.to_owned()).await
    }

    /// A fetch of which nothing came.
    fn delay_of(&self, claimed: &Claimed, alone: bool) -> Delay {
        let settings = &self.config.profile;
        let backoff =
            Backoff::seconds(settings.retry_first_seconds, settings.retry_longest_seconds);
        Delay {
            id: claimed.id,
            was_followed: claimed.followed_time,
            was_unfollowed: claimed.unfollowed_time,
            is_unknown: false,
            attempts: claimed.profile_attempts.saturating_add(1),
            doubts: None,
            due_at: Some(self.clock.now() + backoff.pause(claimed.profile_attempts, jitter())),
            alone,
        }
    }

    async fn store_delays(&self, delays: Vec<Delay>, reason: String) -> Result<(), ProfileError> {
        if delays.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        self.db
            .write(move |conn| {
                identity::delay(conn, &delays, &reason, now)?;
                Ok(())
            })
            .await
    }
}

/// Parts to ask for in one call each: one who spoilt an answer before is asked for without others.
pub(in crate::bridge) fn batches(claimed: Vec<Claimed>) -> Vec<Vec<Claimed>> {
    let (alone, together): (Vec<Claimed>, Vec<Claimed>) =
        claimed.into_iter().partition(|one| one.profile_alone);
    let together = together
        .chunks(USER_INFO_BATCH_MAX)
        .map(<[Claimed]>::to_vec);
    let alone = alone.into_iter().map(|one| vec![one]);
    together.chain(alone).collect()
}

/// What came of asking for some profiles.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Round {
    /// Of how many WeChat says that they do not follow.
    pub(in crate::bridge) gone: usize,
    /// Whom WeChat does not know in this account.
    pub(in crate::bridge) unknown: Vec<IdentityId>,
    /// Of how many WeChat said nothing that can be used; they are asked for again by themselves.
    pub(in crate::bridge) unsettled: usize,
    /// What ended it, through nobody's fault, and who was not asked for; nothing is stored of those.
    pub(in crate::bridge) stopped: Option<(TokenError, Vec<Claimed>)>,
    /// Whom WeChat does not know so far, with what it said.
    strangers: Vec<(Claimed, String)>,
    /// Calls made.
    calls: usize,
    /// Calls whose answer could be used.
    answers: usize,
    /// Whether some were not asked for because everybody seemed to be at fault.
    is_cut: bool,
}

impl Round {
    /// Whether everybody seems to be at fault.
    fn is_general(&self) -> bool {
        self.answers == 0 && self.unsettled + self.strangers.len() >= GENERAL
    }
}

/// Whose fault it is that an answer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The account's or the line's.
    Nobody,
    /// One of those who were asked for.
    Somebody,
    /// One whom WeChat does not know in this account.
    Unknown,
    /// One who does not follow.
    NotFollowing,
}

fn blame(error: &TokenError) -> Blame {
    let call = match error {
        TokenError::Call(call) => call,
        _ => return Blame::Nobody,
    };
    match call {
        // WeChat does not escape everything that people type.
        CallError::Malformed { .. } => Blame::Somebody,
        CallError::Api(api) if link::is_unfollowed(api) => Blame::NotFollowing,
        CallError::Api(api) => match api.fault_on("user/info") {
            Fault::WrongOpenid => Blame::Unknown,
            fault => match fault.class() {
                Class::Account | Class::Quota | Class::Retry | Class::RefreshToken => Blame::Nobody,
                // WeChat knows them, or says nothing of that: they are asked for again.
                Class::Recipient | Class::Request | Class::Success => Blame::Somebody,
            },
        },
        _ => Blame::Nobody,
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
