//! One turn with one endpoint: claim, post, record.

use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use futures_util::stream::{self, StreamExt as _};
use secrecy::SecretString;
use tokio::time::timeout;

use super::course::Course;
use super::outcome::{self, DisableReason, Limits, Tried};
use super::post::Parcel;
use super::{WebhookError, WebhookPoster, manage, outbox};
use crate::bridge::Step;
use crate::bridge::retry::jitter;
use crate::ids::{WebhookId, WebhookMessageId};
use crate::metrics;
use crate::models::erasure;
use crate::models::webhook::{self, Lane, Leased, WebhookState};

/// How long a turn goes on with the next event of somebody.
const TURN: Duration = Duration::from_secs(20);
/// How often a turn looks whether another process has changed its endpoint.
const LOOK: Duration = Duration::from_secs(1);
/// What a lease has left for recording.
const MARGIN: Duration = Duration::from_secs(20);

/// For how long an endpoint is one process's, whose posts take so long at the most.
pub(in crate::bridge) fn lease(timeout: Duration) -> TimeDelta {
    TimeDelta::from_std(TURN + timeout + MARGIN).unwrap_or(TimeDelta::MAX)
}

impl WebhookPoster {
    /// One turn. Idle if another process has the endpoint, or nothing is due after all.
    pub(super) async fn webhook_turn(
        &self,
        id: WebhookId,
        course: &Course,
    ) -> Result<Step, WebhookError> {
        let settings = &self.config.webhooks;
        let (now, limit) = (self.clock.now(), settings.batch_rows);
        let (_, timeout) = settings.timeouts();
        let lease = lease(timeout);
        let vault = self.vault.clone();
        let claimed = self.db.write(move |conn| -> Result<_, WebhookError> {
            let Some(lane) = webhook::claim(conn, id, now, now + lease, limit)? else {
                return Ok(None);
            };
            // One that does not open here is not claimed: it is left to processes with its master key.
            let secrets = manage::secrets(&vault, &lane.webhook, now)?;
            Ok(Some((lane, secrets)))
        });
        let Some((lane, secrets)) = claimed.await? else {
            return Ok(Step::Idle);
        };
        let until = Instant::now() + TURN;
        let url = lane.webhook.url.as_str();
        let posts = stream::iter(chains(&lane.messages))
            .map(|chain| self.post_chain(course, url, &secrets, chain, (now, until)))
            .buffer_unordered(settings.concurrency)
            .for_each(|()| std::future::ready(()));
        let is_over = tokio::select! {
            () = posts => false,
            () = self.turn_ends(id, lane.number, course) => true,
        };
        let tried = course.take();
        let step = match tried.is_empty() && !is_over {
            true => Step::Idle,
            false => Step::Worked,
        };
        self.record_turn(lane, &tried).await?;
        Ok(step)
    }

    /// Posts somebody's events one after the other, up to the first that is not taken.
    async fn post_chain(
        &self,
        course: &Course,
        url: &str,
        secrets: &[SecretString],
        chain: Vec<Leased>,
        (claimed_at, until): (NaiveDateTime, Instant),
    ) {
        for message in chain {
            // The machine may have slept, which the first of the two clocks does not count.
            if !course.goes_on() || Instant::now() >= until || !self.is_in_turn(claimed_at) {
                break;
            }
            let parcel = Parcel {
                id: &message.uid,
                timestamp: self.clock.unix_seconds(),
                secrets,
                body: &message.body,
            };
            let result = self.webhooks.poster().post(url, &parcel).await;
            let one = Tried { message, result };
            metrics::webhook_post(one.word());
            let taken = one.was_taken();
            course.add(one);
            if !taken {
                break;
            }
        }
    }

    /// Completes when the endpoint has been changed since the turn was claimed, by whatever process:
    /// posts on their way are let go then. What they bring is not for its new state, and what they do not
    /// bring is posted once more.
    async fn turn_ends(&self, id: WebhookId, number: i64, course: &Course) {
        loop {
            let _ = timeout(LOOK, course.changed()).await;
            let ours = self
                .db
                .read(move |conn| Ok(webhook::is_in_turn(conn, id, number)?));
            let ours: Result<bool, WebhookError> = ours.await;
            // A database that does not answer ends no turn.
            if ours.is_ok_and(|ours| !ours) {
                return;
            }
        }
    }

    /// Whether a turn still has the time that its lease is meant for.
    fn is_in_turn(&self, claimed_at: NaiveDateTime) -> bool {
        let held = self.clock.now() - claimed_at;
        held >= TimeDelta::zero() && held.to_std().is_ok_and(|held| held < TURN)
    }

    async fn record_turn(&self, lane: Lane, tried: &[Tried]) -> Result<(), WebhookError> {
        let now = self.clock.now();
        let limits = Limits::of(&self.config.webhooks);
        let sum = outcome::sum(&lane.webhook, tried, &limits, now, jitter);
        let disable = sum.disable.map(|disable| judge(disable, tried));
        let id = lane.webhook.id;
        let named = without_names(tried);
        let disabled = self.db.write(move |conn| -> Result<_, WebhookError> {
            let ours = webhook::finish(conn, id, lane.number, &sum.turn, &sum.done)?;
            for (message, body) in &named {
                erasure::replace_body(conn, *message, body)?;
            }
            let Some((state, reason)) = disable.clone().filter(|_| ours) else {
                return Ok(None);
            };
            if !webhook::disable(conn, id, state, &reason, now)? {
                return Ok(None);
            }
            outbox::disabled(conn, &lane.webhook, state, &reason, now)?;
            Ok(Some((state, reason)))
        });
        if let Some((state, reason)) = disabled.await? {
            metrics::webhook_disabled(state.as_str());
            tracing::error!(webhook.id = %id, webhook.state = %state, reason, "endpoint disabled");
            self.signals.webhooks.notify_one();
        }
        Ok(())
    }
}

/// What was taken and must not be kept as it was: it named people who are erased.
fn without_names(tried: &[Tried]) -> Vec<(WebhookMessageId, String)> {
    let taken = tried.iter().filter(|one| one.was_taken());
    let named = taken.filter_map(|one| {
        let body = outbox::without_names(&one.message.body)?;
        Some((one.message.id, body))
    });
    named.collect()
}

/// Each person's events in their order; those of nobody each alone.
fn chains(messages: &[Leased]) -> Vec<Vec<Leased>> {
    let mut chains: Vec<Vec<Leased>> = Vec::new();
    for message in messages {
        let mut known = chains.iter_mut();
        let same = known.find(|chain| {
            let person = chain.first().and_then(|first| first.person.as_ref());
            person.is_some() && person == message.person.as_ref()
        });
        match same {
            Some(chain) => chain.push(message.clone()),
            None => chains.push(vec![message.clone()]),
        }
    }
    chains
}

/// The state of an endpoint that is disabled, and why, in a sentence.
fn judge(disable: DisableReason, tried: &[Tried]) -> (WebhookState, String) {
    let last = tried.iter().rev().find(|one| !one.was_taken());
    let last = last.map(|one| match &one.result {
        Ok(answer) => format!("It last answered {}.", answer.status),
        Err(error) => format!("Last: {error}."),
    });
    match disable {
        DisableReason::Gone => (
            WebhookState::Gone,
            "It answered 410 Gone. Enable it again with PUT if that was a mistake.".to_owned(),
        ),
        DisableReason::Failing => (
            WebhookState::Failing,
            format!(
                "It took nothing for too long. {} Fix it and enable it again with PUT; what \
                 waits is kept and sent then.",
                last.unwrap_or_default()
            ),
        ),
    }
}
