//! What a batch of tries says of its account: which pauses begin, and which calls work.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::AttemptResult;
use super::failure::{Failure, Remedy};
use crate::bridge::availability::pause::USED_UP;
use crate::bridge::availability::renewal::{day, end_of};
use crate::bridge::retry::{Backoff, jitter};
use crate::config::Deliver;
use crate::ids::AccountId;
use crate::models::account::pause::{
    ALL_CALLS, AccountPause, NewPause, PauseKind, PauseReason, Worked,
};
use crate::models::delivery::Reason;
use crate::models::delivery::attempt::AttemptOutcome;
use crate::wechat::error::Concerns;

/// WeChat counts by the minute what comes too fast.
const TOO_FAST: TimeDelta = TimeDelta::seconds(60);
/// The first and the longest pause, in seconds, where WeChat is too busy or does not answer.
const SLOW: (u64, u64) = (2, 60);

/// What a failure says of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finding {
    kind: PauseKind,
    reason: PauseReason,
    /// Whether it concerns that call only.
    one_call: bool,
}

impl Finding {
    /// None, if it concerns the message or the person.
    fn of(failure: &Failure) -> Option<Self> {
        let (kind, reason) = match failure.remedy {
            Remedy::Ambiguous => (PauseKind::BackingOff, PauseReason::NoAnswer),
            // Calls for one openid at the same time, and a message that is being sent already.
            Remedy::Retry if failure.concerns() == Some(Concerns::Nothing) => return None,
            Remedy::Retry => (PauseKind::BackingOff, PauseReason::Busy),
            _ if !failure.whole_account => return None,
            Remedy::Midnight => (PauseKind::UsedUp, PauseReason::QuotaUsedUp),
            Remedy::Minute if failure.reason == Reason::TooFrequent => {
                (PauseKind::BackingOff, PauseReason::TooFrequent)
            }
            Remedy::Minute => (PauseKind::Stopped, PauseReason::AccountProblem),
            Remedy::Never => return None,
        };
        // Permissions are given call by call, and quotas are counted so.
        Some(Self {
            kind,
            reason,
            one_call: failure.concerns() == Some(Concerns::Call),
        })
    }

    /// Whether one answer says it, whatever the others were.
    fn is_certain(self) -> bool {
        !matches!(self.reason, PauseReason::NoAnswer | PauseReason::Busy)
    }

    fn weight(self) -> u8 {
        match self.kind {
            PauseKind::Stopped => 2,
            PauseKind::UsedUp => 1,
            PauseKind::BackingOff => 0,
        }
    }
}

/// What became of a batch, as far as it concerns its account.
#[derive(Debug, Default)]
pub(crate) struct AccountHealth {
    /// Calls that WeChat answered as it does when all is well.
    answered: BTreeMap<&'static str, usize>,
    /// Failures that may be nobody's fault, and the last of them.
    slow: usize,
    last_slow: Option<(Finding, String)>,
    certain: BTreeMap<&'static str, (Finding, String)>,
    /// Tries that WeChat counts.
    used: BTreeMap<&'static str, i64>,
}

/// What follows for the account.
#[derive(Debug, Default)]
pub(crate) struct HealthChange {
    pub(crate) pauses: Vec<NewPause>,
    pub(crate) worked: Vec<Worked>,
}

impl AccountHealth {
    pub(crate) fn add(&mut self, call: &'static str, done: &AttemptResult) {
        let (failure, with_link) = match done {
            AttemptResult::Tried {
                failure, with_link, ..
            } => (failure, with_link),
            AttemptResult::Halfway { .. } => {
                // WeChat answered it as it does when all is well.
                *self.answered.entry(call).or_default() += 1;
                *self.used.entry(call).or_default() += 1;
                return;
            }
            _ => return,
        };
        if with_link.is_some() {
            *self.used.entry(call).or_default() += 1;
        }
        let Some(failure) = failure else {
            *self.answered.entry(call).or_default() += 1;
            *self.used.entry(call).or_default() += 1;
            return;
        };
        if failure.outcome != AttemptOutcome::NotSent {
            *self.used.entry(call).or_default() += 1;
        }
        match Finding::of(failure) {
            None if failure.outcome == AttemptOutcome::Refused => {
                *self.answered.entry(call).or_default() += 1;
            }
            None => {}
            Some(trouble) if !trouble.is_certain() => {
                self.slow += 1;
                self.last_slow = Some((trouble, failure.detail.clone()));
            }
            Some(trouble) => {
                let scope = if trouble.one_call { call } else { ALL_CALLS };
                let known = self.certain.get(scope);
                if known.is_none_or(|(known, _)| known.weight() < trouble.weight()) {
                    self.certain
                        .insert(scope, (trouble, failure.detail.clone()));
                }
            }
        }
    }

    /// How many tries of a call WeChat counts.
    pub(crate) fn used(&self, call: &str) -> i64 {
        self.used.get(call).copied().unwrap_or_default()
    }

    /// What follows for the account `lane`, whose pauses were `known` when the batch was claimed at
    /// `started_at`.
    pub(crate) fn change(
        mut self,
        lane: AccountId,
        known: &[AccountPause],
        settings: &Deliver,
        (started_at, now): (NaiveDateTime, NaiveDateTime),
    ) -> HealthChange {
        let answered: usize = self.answered.values().sum();
        if let Some((trouble, detail)) = self.last_slow.take()
            && self.slow > answered
        {
            self.certain.entry(ALL_CALLS).or_insert((trouble, detail));
        }
        let troubled: BTreeSet<&str> = self.certain.keys().copied().collect();
        let pauses: Vec<NewPause> = self
            .certain
            .into_iter()
            .filter_map(|(call, (trouble, detail))| {
                let failures = known
                    .iter()
                    .find(|pause| {
                        pause.call == call
                            && pause.kind == trouble.kind
                            && !pause.is_over(started_at)
                    })
                    .map_or(0, |pause| pause.failures);
                let (until, probe_at) = times(trouble, failures, settings, (started_at, now))?;
                Some(NewPause {
                    account_id: lane,
                    call,
                    kind: trouble.kind,
                    reason: trouble.reason,
                    detail,
                    until,
                    probe_at,
                    started_at,
                    now,
                })
            })
            .collect();
        let worked = self
            .answered
            .into_keys()
            .filter(|call| !troubled.contains(ALL_CALLS) && !troubled.contains(call))
            .map(|call| Worked {
                account_id: lane,
                call,
                started_at,
            })
            .collect();
        HealthChange { pauses, worked }
    }
}

/// When the account may send, or try, again, and when it tries before that. None, if that is over already:
/// a quota that was used up on the day on which the tries began says nothing of the next one.
fn times(
    trouble: Finding,
    failures: i32,
    settings: &Deliver,
    (started_at, now): (NaiveDateTime, NaiveDateTime),
) -> Option<(NaiveDateTime, Option<NaiveDateTime>)> {
    let (slow_first, slow_longest) = SLOW;
    let (first, longest) = match trouble.reason {
        PauseReason::QuotaUsedUp | PauseReason::BudgetUsedUp => USED_UP,
        PauseReason::AccountProblem => (settings.probe_seconds, settings.probe_longest_seconds),
        PauseReason::TooFrequent => (2 * TOO_FAST.num_seconds().unsigned_abs(), 600),
        PauseReason::Busy | PauseReason::NoAnswer => (slow_first, slow_longest),
    };
    let again = now + Backoff::seconds(first, longest).pause(failures, jitter());
    if trouble.kind != PauseKind::UsedUp {
        return Some((again, None));
    }
    let midnight = end_of(day(started_at));
    (now < midnight).then(|| (midnight, Some(again).filter(|again| *again < midnight)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::deliver::failure::SendError;
    use crate::bridge::deliver::outcome::Next;
    use crate::bridge::routes::Channel;
    use crate::bridge::token::TokenError;
    use crate::config::Config;
    use crate::wechat::error::{ApiError, CallError};

    const CALL: &str = "template/send";

    fn now() -> NaiveDateTime {
        chrono::DateTime::from_timestamp(1_790_000_000, 0)
            .unwrap()
            .naive_utc()
    }

    fn done(error: Option<CallError>) -> AttemptResult {
        let error = error.map(|error| SendError::Token(TokenError::Call(error)));
        AttemptResult::Tried {
            doubted: None,
            finished_at: now(),
            next: Next::Sent,
            msgid: None,
            with_link: None,
            failure: error
                .as_ref()
                .map(|error| Failure::of(error, Channel::Template)),
        }
    }

    fn refused(errcode: i64) -> Option<CallError> {
        Some(CallError::Api(ApiError::new(errcode, "x")))
    }

    /// Call, kind and reason of each pause, and how many calls worked.
    fn change(errors: Vec<Option<CallError>>) -> (Vec<(&'static str, &'static str)>, usize) {
        let mut health = AccountHealth::default();
        for error in errors {
            health.add(CALL, &done(error));
        }
        let settings = Config::default().deliver;
        let change = health.change(AccountId(1), &[], &settings, (now(), now()));
        let pauses = change.pauses.iter();
        let short = pauses.map(|pause| (pause.call, pause.reason.as_str()));
        (short.collect(), change.worked.len())
    }

    #[test]
    fn one_answer_tells_what_is_certain_and_most_of_them_what_is_not() {
        assert_eq!(change(vec![None]), (vec![], 1));
        assert_eq!(change(vec![refused(43004)]), (vec![], 1));
        assert_eq!(change(vec![refused(43116)]), (vec![], 1));
        assert_eq!(
            change(vec![None, refused(40164), None]),
            (vec![("", "account_problem")], 0)
        );
        assert_eq!(
            change(vec![None, refused(48001)]),
            (vec![(CALL, "account_problem")], 0)
        );
        assert_eq!(
            change(vec![refused(45009), None]),
            (vec![(CALL, "quota_used_up")], 0)
        );
        assert_eq!(
            change(vec![refused(45011), refused(50007)]),
            (vec![("", "account_problem")], 0)
        );
        assert_eq!(change(vec![refused(-1), None]), (vec![], 1));
        assert_eq!(
            change(vec![refused(-1), Some(CallError::Timeout), None]),
            (vec![("", "no_answer")], 0)
        );
        assert_eq!(change(vec![refused(43108); 3]), (vec![], 1));
    }

    #[test]
    fn a_pause_that_is_renewed_grows() {
        let settings = Config::default().deliver;
        let trouble = Finding {
            kind: PauseKind::Stopped,
            reason: PauseReason::AccountProblem,
            one_call: false,
        };
        let again = |trouble, failures| {
            let (until, probe_at) =
                times(trouble, failures, &settings, (now(), now())).expect("it lasts");
            assert_eq!(probe_at, None);
            until
        };
        let seconds = |failures| (again(trouble, failures) - now()).num_seconds();
        assert!((30..=60).contains(&seconds(0)));
        assert!((60..=120).contains(&seconds(1)));
        assert!((300..=600).contains(&seconds(9)));
        let slow = Finding {
            reason: PauseReason::TooFrequent,
            ..trouble
        };
        assert!(again(slow, 0) >= now() + TOO_FAST);
    }

    #[test]
    fn a_quota_is_that_of_the_day_on_which_the_try_began_and_is_tried_ever_more_rarely() {
        let settings = Config::default().deliver;
        let trouble = Finding {
            kind: PauseKind::UsedUp,
            reason: PauseReason::QuotaUsedUp,
            one_call: true,
        };
        let midnight = end_of(day(now()));
        let times = |failures, started: i64, ended: i64| {
            let at = |seconds| midnight + TimeDelta::seconds(seconds);
            times(trouble, failures, &settings, (at(started), at(ended)))
        };
        assert_eq!(times(0, -2, 1), None, "the next day's quota is another one");
        let (until, probe_at) = times(0, 1, 2).unwrap();
        assert_eq!(until, midnight + TimeDelta::days(1));
        let minutes = |probe_at: Option<NaiveDateTime>, from: i64| {
            (probe_at.unwrap() - midnight - TimeDelta::seconds(from)).num_minutes()
        };
        assert!((2..=5).contains(&minutes(probe_at, 2)), "{probe_at:?}");
        let (_, rarely) = times(9, 1, 2).unwrap();
        assert!((30..=60).contains(&minutes(rarely, 2)), "{rarely:?}");
        let last = times(0, -60, -59).unwrap();
        assert_eq!(last, (midnight, None), "then it is over by itself");
    }
}
