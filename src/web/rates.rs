//! How often one key or user may ask for what costs calls to WeChat or to others: a bucket per key or user and kind, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use super::State;
use super::error::{Code, Problem};
use crate::bridge::accounts::keys::Caller;
use crate::models::actor::{Actor, ActorKind};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Reporting an access token.
    TokenReport,
    /// Making an invitation, with its QR code.
    Invitation,
    /// A test post to an endpoint.
    WebhookTest,
}

/// What each key or user has left. There are as many as those, which the operator makes.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<(Of, Kind), Bucket>>);

/// A key or a user, by the number.
type Of = (ActorKind, i64);

fn of(actor: &Actor) -> Of {
    let number = actor.key_number().or(actor.user_number());
    (actor.kind(), number.unwrap_or_default())
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: NaiveDateTime,
}

impl Rates {
    /// Takes one, or says when to try again.
    pub(super) fn take(&self, state: &State, caller: &Caller, kind: Kind) -> Result<(), Problem> {
        let api = &state.bridge.config.api;
        let per_minute = match kind {
            Kind::TokenReport => api.token_reports_per_minute,
            Kind::Invitation => api.invitations_per_minute,
            Kind::WebhookTest => api.webhook_tests_per_minute,
        };
        let now = state.bridge.clock.now();
        self.take_of((of(&caller.actor), kind), per_minute, now).map_err(|seconds| {
            let detail = format!(
                "You may do this {per_minute} times in a minute. Try again in {seconds} seconds."
            );
            let limit = usize::try_from(per_minute).unwrap_or(usize::MAX);
            Problem::new(Code::TooOften, detail).limit(limit).retry_after(seconds)
        })
    }

    fn take_of(&self, of: (Of, Kind), per_minute: u32, now: NaiveDateTime) -> Result<(), u64> {
        if per_minute == 0 {
            return Ok(());
        }
        let most = f64::from(per_minute);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(of).or_insert(Bucket {
            left: most,
            at: now,
        });
        let passed = (now - bucket.at).num_milliseconds().max(0) as f64 / 60_000.0;
        bucket.left = (bucket.left + passed * most).min(most);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let seconds = ((1.0 - bucket.left) / most * 60.0).ceil();
        Err((seconds as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn key(number: i64) -> Of {
        (ActorKind::ApiKey, number)
    }

    #[test]
    fn what_is_used_up_comes_back_in_time() {
        let (rates, of) = (Rates::default(), (key(1), Kind::Invitation));
        let now = DateTime::UNIX_EPOCH.naive_utc();
        assert!((0..10).all(|_| rates.take_of(of, 10, now) == Ok(())));
        assert_eq!(rates.take_of(of, 10, now), Err(6));
        assert_eq!(rates.take_of((key(2), Kind::Invitation), 10, now), Ok(()));
        assert_eq!(rates.take_of((key(1), Kind::TokenReport), 10, now), Ok(()));
        assert_eq!(rates.take_of(of, 10, now + TimeDelta::seconds(7)), Ok(()));
        assert!(rates.take_of(of, 10, now + TimeDelta::seconds(7)).is_err());
        assert_eq!(rates.take_of(of, 0, now), Ok(()));
    }
}
