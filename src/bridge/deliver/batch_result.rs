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
use crate::models::delivery::transitions::{self, Outcome, Why};
use crate::models::delivery::{DeliveryState, Due, Postponed, Reason};
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
    pub(super) failed_routes: Vec<FailedRoute>,
}

fn given_up(pause: Pause, due: &Due, claimed_at: NaiveDateTime) -> Outcome {
    let why = (Reason::GaveUp, pause.detail);
    match due.is_unsettled(claimed_at) {
        true => transitions::perhaps_sent(due, why, claimed_at),
        false => transitions::refused(due, why, claimed_at),
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
        let outcomes = self.outcomes.iter().cloned();
        let outcomes = outcomes.map(|outcome| match doubted.get(&outcome.id) {
            Some(&due_at) => outcome.tried_again_instead(due_at, ASKED),
            None => outcome,
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
                    self.failed_routes
                        .extend(failed_route(due, claimed_at, failure));
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
            AttemptResult::TooLate => {
                let why = (Reason::Unsettled, TOO_LATE.to_owned());
                self.outcomes
                    .push(transitions::perhaps_sent(due, why, claimed_at));
            }
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
        let unsettled_since = due.is_unsettled(claimed_at).then_some(due.unsettled_since);
        let why = pause.map(|pause| (pause.reason, pause.detail));
        let times = (claimed_at, due_at);
        self.outcomes
            .push(transitions::tried_again(due, times, unsettled_since, why));
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
        let is_spoilt = failure
            .as_ref()
            .is_some_and(|failure| failure.whole_account);
        let pending = failure
            .as_ref()
            .map(|failure| (failure.reason, failure.detail.clone()));
        let times = (started_at, finished_at);
        self.attempts.push(an_attempt(due, times, failure));
        let outcome = outcome_of(due, next, (msgid, pending), finished_at);
        self.outcomes.push(outcome.spoilt_by_account(is_spoilt));
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

/// The row of a try that was made: with WeChat's id of the message, or what failed.
fn outcome_of(
    due: &Due,
    next: Next,
    (msgid, failure): (Option<i64>, Option<Why>),
    now: NaiveDateTime,
) -> Outcome {
    let because = |reason| {
        (
            reason,
            failure.clone().map(|(_, said)| said).unwrap_or_default(),
        )
    };
    match next {
        Next::Sent => transitions::taken(due, now, msgid),
        Next::Delivered => transitions::arrived(due, now, msgid),
        Next::Again {
            due_at,
            unsettled_since,
        } => transitions::tried_again(due, (now, due_at), unsettled_since, failure),
        Next::Failed { reason } => transitions::refused(due, because(reason), now),
        Next::Unknown { reason } => transitions::perhaps_sent(due, because(reason), now),
    }
}

/// A delivery that is to go on to the next route. Not while a try may have reached WeChat: then the
/// person could see two messages.
fn failed_route(due: &Due, claimed_at: NaiveDateTime, failure: &Failure) -> Option<FailedRoute> {
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

const WITHDRAWN_UNSETTLED: &str = "A send was interrupted or not answered, and the message may have been taken. It \
                                   was not tried again, because it was cancelled or has expired.";
const CANCELLED: &str = "The notification was cancelled before this was sent.";
const EXPIRED: &str = "It could not be sent before the notification's expires_at.";

/// A delivery that is not to be sent any more, unless an earlier try sent it.
fn withdrawn(
    state: DeliveryState,
    due: &Due,
    (claimed_at, now): (NaiveDateTime, NaiveDateTime),
) -> Outcome {
    match state {
        _ if due.is_unsettled(claimed_at) => {
            let why = (Reason::Unsettled, WITHDRAWN_UNSETTLED.to_owned());
            transitions::perhaps_sent(due, why, now)
        }
        DeliveryState::Cancelled => {
            transitions::cancelled_while_tried(due, CANCELLED.to_owned(), now)
        }
        _ => transitions::expired(due, EXPIRED.to_owned(), now),
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
