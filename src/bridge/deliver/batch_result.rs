//! The rows that a batch of tries leaves behind.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDateTime;

use super::attempt::AttemptResult;
use super::credits::Credits;
use super::failure::Failure;
use super::marks::Marks;
use super::outcome::Next;
use crate::bridge::availability::pause::Pause;
use crate::bridge::people::link;
use crate::bridge::planning::fallback::FailedRoute;
use crate::bridge::routes::Route;
use crate::ids::{DeliveryId, IdentityId};
use crate::models::account::pause::{AccountPause, PauseReason};
use crate::models::delivery::attempt::{AttemptOutcome, NewAttempt};
use crate::models::delivery::{DeliveryState, Due, Outcome, Postponed, Reason};
use crate::models::identity::Thought;

/// What is recorded in one transaction.
#[derive(Debug, Default)]
pub(super) struct BatchResult {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) attempts: Vec<NewAttempt>,
    /// Tries of which nothing was heard: stored unless something was recorded after all.
    pub(super) lost: Vec<NewAttempt>,
    pub(super) postponed: Vec<Postponed>,
    /// The calls and the reasons of the pauses that some of those wait for, where they may be lifted long
    /// before that.
    far: BTreeSet<(String, PauseReason)>,
    /// What was refused because the person does not follow.
    pub(super) unfollowed: Vec<Unfollowed>,
    /// What becomes of the permissions that were taken.
    pub(super) credits: Credits,
    /// What was learnt of templates and pages.
    pub(super) marks: Marks,
    /// Deliveries whose route did not lead to the person, and that have another.
    pub(super) stuck: Vec<FailedRoute>,
}

fn given_up(pause: Pause, due: &Due, claimed_at: NaiveDateTime) -> Outcome {
    Outcome {
        state: match due.is_unsettled(claimed_at) {
            true => DeliveryState::Unknown,
            false => DeliveryState::Failed,
        },
        reason: Some(Reason::GaveUp),
        detail: Some(pause.detail),
        finished_at: Some(claimed_at),
        ..blank(due, claimed_at)
    }
}

/// A delivery that was refused because the person does not follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfollowed {
    delivery: DeliveryId,
    pub(super) identity: IdentityId,
    /// Which try it was.
    number: i32,
    /// When to send again, if that is in doubt.
    doubted: Option<NaiveDateTime>,
}

impl BatchResult {
    /// The outcomes, knowing of whom it was thought that they follow: their profiles are asked for,
    /// and what was refused to them waits for that.
    pub(super) fn outcomes(&self, thought: &[Thought], now: NaiveDateTime) -> Cow<'_, [Outcome]> {
        let thought: HashMap<IdentityId, &Thought> =
            thought.iter().map(|one| (one.id, one)).collect();
        // A second refusal counts, but in the minutes after a follow.
        let is_doubted = |one: &Unfollowed| {
            thought.get(&one.identity).is_some_and(|known| {
                one.number == 1
                    || known.profile_doubts > 0
                    || link::is_recent(known.followed_time, now)
            })
        };
        let doubted = self.unfollowed.iter().filter(|one| is_doubted(one));
        let doubted: HashMap<DeliveryId, NaiveDateTime> = doubted
            .filter_map(|one| Some((one.delivery, one.doubted?)))
            .collect();
        if doubted.is_empty() {
            return Cow::Borrowed(&self.outcomes);
        }
        let outcomes = self.outcomes.iter().cloned().map(|outcome| {
            let Some(&due_at) = doubted.get(&outcome.id) else {
                return outcome;
            };
            Outcome {
                state: DeliveryState::Queued,
                due_at: Some(due_at),
                detail: outcome.detail.map(|said| format!("{said} {ASKED}")),
                finished_at: None,
                ..outcome
            }
        });
        Cow::Owned(outcomes.collect())
    }

    /// Whether deliveries of the batch were made to wait for long.
    pub(super) fn waits(&self) -> bool {
        !self.far.is_empty()
    }

    /// The reasons for which deliveries of the batch were made to wait, though the pause is not there any
    /// more: it was lifted after they were claimed, and what waited for it made due before they came to
    /// wait.
    pub(super) fn waits_for(&self, pauses: &[AccountPause]) -> HashSet<PauseReason> {
        let is_there = |call: &str, reason: PauseReason| {
            let mut pauses = pauses.iter();
            pauses.any(|pause| pause.call == call && pause.reason == reason)
        };
        let far = self.far.iter();
        let over = far.filter(|(call, reason)| !is_there(call, *reason));
        over.map(|(_, reason)| *reason).collect()
    }

    /// Whether nothing came of anything.
    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.postponed.is_empty() && self.attempts.is_empty()
    }

    /// Enters what came of one delivery claimed at `claimed_at`; `routes` begin with its own.
    pub(super) fn enter(
        &mut self,
        due: &Due,
        claimed_at: NaiveDateTime,
        done: AttemptResult,
        routes: &[Route],
    ) {
        if due.is_unsettled(claimed_at) && due.attempts > 1 {
            self.lost.push(lost(due, claimed_at));
        }
        match done {
            AttemptResult::Tried {
                finished_at,
                next,
                msgid,
                failure,
                with_link,
                doubted,
            } => {
                let refused = with_link
                    .map(|refused| with_link_refused(due, claimed_at, refused, WITHOUT_LINK));
                self.attempts.extend(refused);
                if let Some(identity) = due.identity_id
                    && failure.as_ref().is_some_and(Failure::is_unfollowed)
                {
                    self.unfollowed.push(Unfollowed {
                        delivery: due.id,
                        identity,
                        number: due.number(),
                        doubted,
                    });
                }
                if let Some(failure) = failure.as_ref().filter(|_| routes.len() > 1) {
                    self.stuck.extend(stuck(due, claimed_at, failure));
                }
                let has_receipt = |own: &Route| own.channel.traits().has_receipt;
                let next = match next {
                    Next::Sent if !routes.first().is_none_or(has_receipt) => Next::Delivered,
                    next => next,
                };
                self.tried(due, claimed_at, finished_at, next, msgid, failure);
            }
            AttemptResult::Halfway { with_link, then } => {
                self.halfway(due, claimed_at, *then, routes);
                self.attempts
                    .push(with_link_refused(due, claimed_at, with_link, NOT_WITHOUT));
            }
            done => self.untried(due, claimed_at, done),
        }
    }

    /// What came of one that was not tried.
    fn untried(&mut self, due: &Due, claimed_at: NaiveDateTime, done: AttemptResult) {
        match done {
            AttemptResult::Postponed { due_at, pause } => {
                self.far.extend(pause.far);
                self.postponed.push(Postponed {
                    reason: Some(pause.reason),
                    detail: Some(pause.detail),
                    ..Postponed::new(due, claimed_at, due_at)
                });
            }
            AttemptResult::AwaitsConsent { due_at, detail } => self.postponed.push(Postponed {
                detail: Some(detail),
                ..Postponed::for_consent(due, claimed_at, due_at)
            }),
            AttemptResult::TooLate => self.outcomes.push(Outcome {
                state: DeliveryState::Unknown,
                reason: Some(Reason::Unsettled),
                detail: Some(TOO_LATE.to_owned()),
                finished_at: Some(claimed_at),
                ..blank(due, claimed_at)
            }),
            AttemptResult::Withdrawn { state, at } => {
                self.outcomes.push(withdrawn(state, due, (claimed_at, at)));
            }
            AttemptResult::GivenBack { due_at } => {
                self.postponed.push(Postponed::new(due, claimed_at, due_at));
            }
            AttemptResult::GivenUp { pause } => {
                self.outcomes.push(given_up(pause, due, claimed_at));
            }
            AttemptResult::Tried { .. } | AttemptResult::Halfway { .. } => {}
        }
    }

    /// What came of one that was tried with its mini-program, and then not without it.
    fn halfway(
        &mut self,
        due: &Due,
        claimed_at: NaiveDateTime,
        then: AttemptResult,
        routes: &[Route],
    ) {
        let (due_at, pause) = match then {
            AttemptResult::Postponed { due_at, pause } => (due_at, Some(pause)),
            AttemptResult::GivenBack { due_at } => (due_at, None),
            then => return self.enter(due, claimed_at, then, routes),
        };
        // It was a try, and keeps its number.
        self.outcomes.push(Outcome {
            reason: pause.as_ref().map(|pause| pause.reason),
            detail: pause.map(|pause| pause.detail),
            due_at: Some(due_at),
            unsettled_since: due.is_unsettled(claimed_at).then_some(due.unsettled_since),
            ..blank(due, claimed_at)
        });
    }

    fn tried(
        &mut self,
        due: &Due,
        started_at: NaiveDateTime,
        finished_at: NaiveDateTime,
        next: Next,
        msgid: Option<i64>,
        failure: Option<Failure>,
    ) {
        let pending = failure.as_ref().map(|failure| failure.reason);
        let is_spoilt = failure
            .as_ref()
            .is_some_and(|failure| failure.whole_account);
        let detail = failure.as_ref().map(|failure| failure.detail.clone());
        let times = (started_at, finished_at);
        self.attempts.push(an_attempt(due, times, failure));
        let row = Outcome {
            msgid,
            detail,
            spoilt: i32::from(is_spoilt),
            ..blank(due, finished_at)
        };
        self.outcomes
            .push(outcome_of(next, pending, finished_at, row));
    }
}

/// The try with the mini-program, where the message then went without it, or was to.
fn with_link_refused(
    due: &Due,
    claimed_at: NaiveDateTime,
    (refused_at, failure): (NaiveDateTime, Failure),
    then: &str,
) -> NewAttempt {
    let mut refused = an_attempt(due, (claimed_at, refused_at), Some(failure));
    if let Some(detail) = &mut refused.detail {
        detail.push_str(then);
    }
    refused
}

/// What is kept of a try: where WeChat refused it, its own words, whatever the code.
fn an_attempt(
    due: &Due,
    (started_at, finished_at): (NaiveDateTime, NaiveDateTime),
    failure: Option<Failure>,
) -> NewAttempt {
    let accepted = NewAttempt {
        delivery_id: due.id,
        number: due.attempts,
        started_at,
        finished_at,
        outcome: AttemptOutcome::Accepted,
        errcode: None,
        call: None,
        errmsg: None,
        rid: None,
        detail: None,
    };
    let Some(failure) = failure else {
        return accepted;
    };
    let refused = NewAttempt {
        outcome: failure.outcome,
        detail: Some(failure.detail),
        ..accepted
    };
    match failure.said {
        Some(said) => NewAttempt {
            errcode: Some(said.error.errcode),
            call: Some(said.call),
            errmsg: Some(said.error.errmsg),
            rid: said.error.rid,
            ..refused
        },
        None => refused,
    }
}

/// The row of a try that was made.
fn outcome_of(
    next: Next,
    pending: Option<Reason>,
    finished_at: NaiveDateTime,
    row: Outcome,
) -> Outcome {
    match next {
        Next::Sent => Outcome {
            state: DeliveryState::Sent,
            sent_at: Some(finished_at),
            ..row
        },
        Next::Delivered => Outcome {
            state: DeliveryState::Delivered,
            sent_at: Some(finished_at),
            finished_at: Some(finished_at),
            ..row
        },
        Next::Again {
            due_at,
            unsettled_since,
        } => Outcome {
            reason: pending,
            due_at: Some(due_at),
            unsettled_since,
            ..row
        },
        Next::Failed { reason } => Outcome {
            state: DeliveryState::Failed,
            reason: Some(reason),
            finished_at: Some(finished_at),
            ..row
        },
        Next::Unknown { reason } => Outcome {
            state: DeliveryState::Unknown,
            reason: Some(reason),
            finished_at: Some(finished_at),
            ..row
        },
    }
}

/// A delivery that is to go on to the next route. Not while a try may have reached WeChat: then the
/// person could see two messages.
fn stuck(due: &Due, claimed_at: NaiveDateTime, failure: &Failure) -> Option<FailedRoute> {
    let is_settled = !due.is_unsettled(claimed_at);
    (failure.moves_on && is_settled).then(|| FailedRoute {
        id: due.id,
        notification_id: due.notification_id,
        attempts: due.attempts,
        reason: failure.reason,
        detail: failure.detail.clone(),
    })
}

const WITHOUT_LINK: &str = " The message was sent once more at once, without the mini-program: it \
                            opens the route's url.";
const NOT_WITHOUT: &str = " It was to be sent once more at once, without the mini-program, and was stopped \
                           before that.";
/// Ends the sentence about a refusal that is in doubt.
const ASKED: &str = "As they were thought to follow, WeChat is asked for their profile, and then the \
                     message is sent again.";

const TOO_LATE: &str = "A send was interrupted, and WeChat may have taken the message. It cannot \
                        be tried again without the risk of notifying twice.";

/// A delivery that is not to be sent any more, unless an earlier try sent it.
fn withdrawn(
    state: DeliveryState,
    due: &Due,
    (claimed_at, now): (NaiveDateTime, NaiveDateTime),
) -> Outcome {
    let (state, reason, detail) = match state {
        _ if due.is_unsettled(claimed_at) => (
            DeliveryState::Unknown,
            Reason::Unsettled,
            "A send was interrupted or not answered, and the message may have been taken. It was \
             not tried again, because it was cancelled or has expired.",
        ),
        DeliveryState::Cancelled => (
            state,
            Reason::Cancelled,
            "The notification was cancelled before this was sent.",
        ),
        _ => (
            state,
            Reason::Expired,
            "It could not be sent before the notification's expires_at.",
        ),
    };
    Outcome {
        state,
        reason: Some(reason),
        detail: Some(detail.to_owned()),
        finished_at: Some(now),
        ..blank(due, now)
    }
}

/// A row that says nothing yet.
fn blank(due: &Due, now: NaiveDateTime) -> Outcome {
    Outcome {
        id: due.id,
        attempt: due.attempts,
        state: DeliveryState::Queued,
        reason: None,
        detail: None,
        due_at: None,
        unsettled_since: None,
        account_id: due.account_id,
        msgid: None,
        sent_at: None,
        finished_at: None,
        spoilt: 0,
        now,
    }
}

/// The try before this one, in case its process was lost before it recorded anything.
pub(super) fn lost(due: &Due, now: NaiveDateTime) -> NewAttempt {
    NewAttempt {
        number: due.attempts - 1,
        outcome: AttemptOutcome::Interrupted,
        detail: Some(
            "The process stopped, or took too long, before it recorded the outcome.".to_owned(),
        ),
        ..an_attempt(due, (due.unsettled_since, now), None)
    }
}
