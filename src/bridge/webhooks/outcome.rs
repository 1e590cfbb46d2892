//! What follows from a turn: pure, so that every answer can be tested without a socket.

use chrono::{NaiveDateTime, TimeDelta};

use super::post::{Answer, PostError, UrlError};
use super::rest::{self, EndpointRest};
use crate::bridge::retry::{Backoff, seconds};
use crate::config;
use crate::models::webhook::{Done, Leased, MessageState, Turn, Webhook};

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    backoff: Backoff,
    rests: EndpointRest,
    max_age: TimeDelta,
    disable_after: TimeDelta,
}

impl Limits {
    pub(super) fn of(settings: &config::Webhooks) -> Self {
        let (first, longest) = (settings.retry_first_seconds, settings.retry_longest_seconds);
        Self {
            backoff: Backoff::seconds(first, longest),
            rests: EndpointRest::from(first),
            max_age: seconds(settings.max_age_seconds),
            disable_after: seconds(settings.disable_after_seconds),
        }
    }
}

/// One post and what came back.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) message: Leased,
    pub(super) result: Result<Answer, PostError>,
}

impl Tried {
    /// 2xx, and nothing else, says that the endpoint has it.
    pub(super) fn was_taken(&self) -> bool {
        matches!(&self.result, Ok(answer) if (200..300).contains(&answer.status))
    }

    pub(super) fn says_gone(&self) -> bool {
        matches!(&self.result, Ok(answer) if answer.status == 410)
    }

    pub(super) fn wishes_rest(&self) -> Option<u64> {
        let answer = self.result.as_ref().ok();
        let answer = answer.filter(|answer| matches!(answer.status, 429 | 503));
        answer.and_then(|answer| answer.retry_after)
    }

    pub(super) fn word(&self) -> &'static str {
        match &self.result {
            Ok(_) if self.was_taken() => "taken",
            Ok(_) => "refused",
            Err(PostError::TimeOut) => "timed_out",
            // Unknown names are the most of these, and are not told from others.
            Err(PostError::Refused(UrlError::NoAddress)) => "not_reached",
            Err(PostError::Refused(_)) => "not_allowed",
            Err(_) => "not_reached",
        }
    }
}

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DisableReason {
    /// It answered 410.
    Gone,
    /// It took nothing for as long as is allowed.
    Failing,
}

/// What a turn amounts to.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) done: Vec<Done>,
    pub(super) turn: Turn,
    pub(super) disable: Option<DisableReason>,
}

/// Adds a turn up. `jitter` is in 0..1.
pub(super) fn sum(
    webhook: &Webhook,
    tried: &[Tried],
    limits: &Limits,
    now: NaiveDateTime,
    jitter: impl Fn() -> f64,
) -> Sum {
    let turn = turn(webhook, tried, limits, now, jitter());
    let disable = if tried.iter().any(Tried::says_gone) {
        Some(DisableReason::Gone)
    } else {
        let failing = turn.failing_since;
        let long = failing.is_some_and(|since| now - since >= limits.disable_after);
        long.then_some(DisableReason::Failing)
    };
    let done = tried
        .iter()
        .map(|one| done(one, disable, limits, now, jitter()))
        .collect();
    Sum {
        done,
        turn,
        disable,
    }
}

fn turn(
    webhook: &Webhook,
    tried: &[Tried],
    limits: &Limits,
    now: NaiveDateTime,
    jitter: f64,
) -> Turn {
    let asked = tried.iter().filter_map(Tried::wishes_rest).max();
    let kept = Turn {
        failures: webhook.failures,
        failing_since: webhook.failing_since,
        paused_until: asked.map(|seconds| now + rest::as_asked(seconds)),
        last_success_at: webhook.last_success_at,
    };
    if tried.iter().any(Tried::was_taken) {
        return Turn {
            failures: 0,
            failing_since: None,
            last_success_at: Some(now),
            ..kept
        };
    }
    if tried.is_empty() {
        return kept;
    }
    let rest = limits.rests.after(webhook.failures, asked, jitter);
    Turn {
        failures: webhook.failures.saturating_add(1),
        failing_since: webhook.failing_since.or(Some(now)),
        paused_until: Some(now + rest),
        ..kept
    }
}

fn done(
    tried: &Tried,
    disable: Option<DisableReason>,
    limits: &Limits,
    now: NaiveDateTime,
    jitter: f64,
) -> Done {
    let message = &tried.message;
    let begun_at = message.begun_at.unwrap_or(now);
    let (status, answer) = match &tried.result {
        Ok(answer) => (Some(i32::from(answer.status)), said(answer)),
        Err(error) => (None, error.to_string()),
    };
    // What an endpoint that is disabled has not taken waits for it.
    let gave_up = disable.is_none() && now - begun_at >= limits.max_age;
    let (state, due_at) = if tried.was_taken() {
        (MessageState::Sent, None)
    } else if gave_up {
        (MessageState::Failed, None)
    } else {
        let pause = limits.backoff.pause(message.attempts, jitter);
        (MessageState::Queued, Some(now + pause))
    };
    Done {
        id: message.id,
        state,
        begun_at,
        due_at,
        status,
        answer,
        now,
    }
}

fn said(answer: &Answer) -> String {
    match answer.status {
        300..400 => {
            "A redirect, which is not followed: give the endpoint its final URL.".to_owned()
        }
        _ => answer.excerpt.clone(),
    }
}

#[cfg(test)]
mod tests;
