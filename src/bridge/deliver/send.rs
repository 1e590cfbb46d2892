//! One try of one delivery, without a database connection.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::AttemptResult;
use super::failure::{Failure, SendError};
use super::message::Message;
use super::outcome::{Next, Stop, Try, client_msg_id};
use super::permits::{self, Permit};
use super::{Attempter, BatchContext};
use crate::bridge::accounts::OpenAccount;
use crate::bridge::planning::await_consent;
use crate::bridge::planning::prepared::{CachedNotification, Prepared};
use crate::bridge::retry::jitter;
use crate::bridge::routes::{Channel, FieldError, Recipient, Rendered, Route};
use crate::bridge::token::TokenError;
use crate::models::delivery::{DeliveryState, Due};
use crate::wechat::error::{CallError, Fault};

/// What waited for a pause comes back over this long, not all at once.
const AFTER_PAUSE_MS: f64 = 10_000.0;

/// WeChat's id of a message that it accepted, where it gives one, or why it did not.
type Sent = Result<Option<i64>, SendError>;

impl Attempter {
    /// Tries one delivery.
    pub(super) async fn attempt(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
        permit: Permit,
    ) -> AttemptResult {
        if let Some(done) = self.held_back(due, claimed_at, context) {
            return done;
        }
        match permit {
            Permit::Busy => return AttemptResult::wait(permits::busy(self.clock.now())),
            Permit::NotOurs | Permit::InTurn => {
                let stopped = self.stopped(due, claimed_at, context).await;
                return stopped
                    .unwrap_or_else(|| AttemptResult::wait(permits::slow(self.clock.now())));
            }
            _ => {}
        }
        let _turn = match self.turn_at_endpoint(due, claimed_at, context).await {
            Ok(turn) => turn,
            Err(pause) => return AttemptResult::wait(pause),
        };
        if let Some(done) = self.stopped(due, claimed_at, context).await {
            return done;
        }
        if let (Permit::NoCredit, Some(done)) = (permit, awaits_consent(due, claimed_at, context)) {
            return done;
        }
        let (result, with_link) = match permit {
            Permit::NoCredit => (Err(SendError::NoCredit), None),
            Permit::NoToken => match &context.no_token {
                Some(error) => (Err(SendError::NoToken(Arc::clone(error))), None),
                None => return AttemptResult::wait(permits::slow(self.clock.now())),
            },
            Permit::Closed(closed) => match account_of(due, context) {
                Some(account) => (Err(SendError::Closed(account.kind, closed)), None),
                None => (Err(SendError::NoAccount), None),
            },
            _ => match self.send_either_way(due, claimed_at, context).await {
                Ok(sent) => sent,
                Err(stopped) => return stopped,
            },
        };
        let finished_at = self.clock.now();
        let mut doubted = None;
        let (next, msgid, failure) = match result {
            Ok(msgid) => (Next::Sent, msgid, None),
            Err(error) => {
                let failure = Failure::of(&error, context.channel_of(due));
                let next = next(due, (claimed_at, finished_at), context, &failure);
                if failure.is_unfollowed() {
                    doubted = asked_again(due, (claimed_at, finished_at), context);
                }
                (next, None, Some(failure))
            }
        };
        AttemptResult::Tried {
            finished_at,
            next,
            msgid,
            failure,
            with_link,
            doubted,
        }
    }

    /// Sends a message with its mini-program, and without it if WeChat refuses that. Returns beside the
    /// answer when and how it did.
    async fn send_either_way(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Result<(Sent, Option<(NaiveDateTime, Failure)>), AttemptResult> {
        let error = match self.send(due, claimed_at, context, true).await? {
            Err(error) if goes_without_link(&error, due, context) => error,
            sent => return Ok((sent, None)),
        };
        let refused = (
            self.clock.now(),
            Failure::of(&error, context.channel_of(due)),
        );
        match self.send(due, claimed_at, context, false).await {
            Ok(sent) => Ok((sent, Some(refused))),
            Err(stopped) => Err(AttemptResult::Halfway {
                with_link: refused,
                then: Box::new(stopped),
            }),
        }
    }

    /// Why a delivery is not to be tried now, as far as that is known without asking anybody.
    pub(super) fn held_back(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Option<AttemptResult> {
        let (channel, end) = (context.channel_of(due), context.end_of(due));
        if let Some(done) = ended(due, claimed_at, channel, end) {
            return Some(done);
        }
        let pause = context.batch.held.get(&due.id).cloned()?;
        if claimed_at - due.begun_at >= context.limits.max_age {
            return Some(AttemptResult::GivenUp { pause });
        }
        let due_at = pause.until + milliseconds(AFTER_PAUSE_MS * jitter());
        Some(AttemptResult::Postponed {
            due_at: end.map_or(due_at, |end| due_at.min(end)),
            pause,
        })
    }

    /// Why there is no time left for a try.
    pub(super) fn too_late(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Option<AttemptResult> {
        let now = self.clock.now();
        let this = a_try(due, claimed_at, context.channel_of(due));
        let stop = this.stop(now, context.limits.lease, context.end_of(due))?;
        Some(match stop {
            Stop::Expired => AttemptResult::Withdrawn {
                state: DeliveryState::Expired,
                at: now,
            },
            Stop::Forgotten => AttemptResult::TooLate,
            Stop::Late => AttemptResult::wait(permits::slow(now)),
        })
    }

    /// Sends it; or what becomes of it, if it is not to be sent any more.
    async fn send(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
        with_link: bool,
    ) -> Result<Sent, AttemptResult> {
        let (ready, route, rendered) = match ready_to_send(due, context) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(SendError::NotRenderable(error))),
        };
        let stopped = || self.stopped(due, claimed_at, context);
        if route.channel == Channel::Webhook {
            let endpoint = match context.endpoints.of(ready.project_id, route) {
                Ok(endpoint) => (endpoint, claimed_at),
                Err(error) => return Ok(Err(error)),
            };
            if let Some(done) = stopped().await {
                return Err(done);
            }
            let posted = self.post(due, ready, &rendered, endpoint).await;
            return Ok(posted.map(|()| None));
        }
        let Some(account) = account_of(due, context) else {
            return Ok(Err(SendError::NoAccount));
        };
        let id = client_msg_id(ready.nonce, due.id, due.spent);
        let message = Message {
            to: due.openid.as_deref().unwrap_or_default(),
            route,
            rendered: &rendered,
            client_msg_id: &id,
            with_link,
        };
        let wechat = &self.wechat;
        let call = move |token| message.send(wechat, token);
        let name = route.channel.traits().call;
        let sent = self
            .tokens
            .call_unless(account, name, stopped, call)
            .await?;
        Ok(sent.map(|receipt| receipt.msgid).map_err(SendError::Token))
    }
}

/// Why a delivery is not tried any more, as its claim shows; its notification expires at `end`.
pub(super) fn ended(
    due: &Due,
    claimed_at: NaiveDateTime,
    channel: Channel,
    end: Option<NaiveDateTime>,
) -> Option<AttemptResult> {
    if a_try(due, claimed_at, channel).is_too_late() {
        return Some(AttemptResult::TooLate);
    }
    if due.cancelled_at.is_some() {
        let state = DeliveryState::Cancelled;
        let at = claimed_at;
        return Some(AttemptResult::Withdrawn { state, at });
    }
    let (state, at) = (DeliveryState::Expired, claimed_at);
    end.is_some_and(|end| end <= at)
        .then_some(AttemptResult::Withdrawn { state, at })
}

/// What is sent, the route and its texts.
fn ready_to_send<'a>(
    due: &Due,
    context: &'a BatchContext,
) -> Result<(&'a CachedNotification, &'a Route, Arc<Rendered>), FieldError> {
    let ready = context.batch.notifications.get(&due.edition());
    let ready = ready.ok_or_else(|| FieldError::new("notification", "is not stored any more"))?;
    let prepared = ready.prepared.as_ref().map_err(Clone::clone)?;
    let (route, rendered) = filled_in(due, prepared)?;
    Ok((ready, route, rendered))
}

/// The wait for consent of a delivery that lacks a permission, if there is time for that. Not where
/// an earlier try may have been taken: it ends as that.
fn awaits_consent(
    due: &Due,
    claimed_at: NaiveDateTime,
    context: &BatchContext,
) -> Option<AttemptResult> {
    let wait = context.limits.consent_wait;
    let until = await_consent::until(wait, due.begun_at, claimed_at)?;
    if due.is_unsettled(claimed_at) {
        return None;
    }
    let look = await_consent::second_look(claimed_at).min(until);
    let time = until.format("%F %H:%M:%S UTC");
    Some(AttemptResult::AwaitsConsent {
        due_at: context.end_of(due).map_or(look, |end| look.min(end)),
        detail: format!(
            "Another message has used the person's last permission for this template. The message \
             waits for the next one until {time}, and is sent if it comes."
        ),
    })
}

/// What follows from a failure of a delivery that was claimed at the first and answered at the
/// second of the times.
pub(super) fn next(
    due: &Due,
    (claimed_at, finished_at): (NaiveDateTime, NaiveDateTime),
    context: &BatchContext,
    failure: &Failure,
) -> Next {
    let this = Try {
        finished_at,
        ..a_try(due, claimed_at, context.channel_of(due))
    };
    let next = this.after(failure, &context.limits, jitter());
    // What expires meanwhile is looked at then, to say so.
    let end = context.end_of(due);
    next.due_by(|time| end.map_or(time, |end| time.min(end)))
}

/// When to send again what was refused because the person does not follow, should that be in doubt;
/// the times are those of the claim and of the answer.
fn asked_again(
    due: &Due,
    (claimed_at, finished_at): (NaiveDateTime, NaiveDateTime),
    context: &BatchContext,
) -> Option<NaiveDateTime> {
    let this = Try {
        finished_at,
        ..a_try(due, claimed_at, context.channel_of(due))
    };
    let end = context.end_of(due);
    let time = this.asked_again()?;
    Some(end.map_or(time, |end| time.min(end)))
}

/// Whether WeChat refuses only the mini-program that the message opens, and there is a web page to
/// open instead. As WeChat has refused it, nobody has seen it.
fn goes_without_link(error: &SendError, due: &Due, context: &BatchContext) -> bool {
    let SendError::Token(TokenError::Call(CallError::Api(api))) = error else {
        return false;
    };
    let route = context.routes_from(due).first();
    route.is_some_and(|route| {
        let traits = route.channel.traits();
        api.fault_on(traits.call) == Fault::PageNotReleased
            && traits.has_template
            && route.mini_program.is_some()
            && route.url.is_some()
    })
}

fn account_of<'a>(due: &Due, context: &'a BatchContext) -> Option<&'a Arc<OpenAccount>> {
    context.accounts.get(&due.account_id?)
}

fn a_try(due: &Due, claimed_at: NaiveDateTime, channel: Channel) -> Try {
    Try {
        number: due.number(),
        of_all: due.attempts - due.spent,
        begun_at: due.begun_at,
        started_at: claimed_at,
        finished_at: claimed_at,
        unsettled_since: due.unsettled_since,
        repeat: channel.traits().repeat,
    }
}

fn filled_in<'a>(
    due: &Due,
    prepared: &'a Prepared,
) -> Result<(&'a Route, Arc<Rendered>), FieldError> {
    let number = usize::try_from(due.route).unwrap_or(usize::MAX);
    let route = prepared
        .routes()
        .get(number)
        .ok_or_else(|| FieldError::new(format!("routes[{number}]"), "does not exist"))?;
    let staff = Recipient {
        id: due.staff_id.as_deref(),
        name: due.staff_name.as_deref(),
    };
    Ok((route, prepared.render(number, staff)?))
}

fn milliseconds(count: f64) -> TimeDelta {
    TimeDelta::milliseconds(count as i64)
}
