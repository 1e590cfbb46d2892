//! What is looked at once more before a call that had to wait: for its turn, for a place at an endpoint,
//! for a token. Meanwhile a notification may have been cancelled, a staff member may have left, and an
//! endpoint may have moved.
//!
//! One statement asks for all of a batch, and only when a call is about to begin that is further from the
//! last look than that is believed: a batch that is sent at once asks nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use chrono::{NaiveDateTime, TimeDelta};
use tokio::sync::Mutex;

use super::attempt::AttemptResult;
use super::permits;
use super::{Attempter, BatchContext, DeliverError};
use crate::ids::DeliveryId;
use crate::models::delivery::{self, DeliveryState, Due, Withdrawn};
use crate::models::webhook;

/// How long it is believed what is known of a batch, from its claim on.
const BELIEVED: TimeDelta = TimeDelta::seconds(1);

/// What is known of a batch.
#[derive(Debug)]
pub(super) struct Looks {
    /// When it was last looked at, microseconds since 1970.
    at: AtomicI64,
    /// Whether something was found, or could not be asked: whoever is about to call has to see it.
    is_news: AtomicBool,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    withdrawn: HashMap<DeliveryId, Withdrawn>,
    /// Whether the last look failed.
    failed: bool,
}

impl Looks {
    /// The claim of a batch was the first look.
    pub(super) fn new(claimed_at: NaiveDateTime) -> Self {
        Self {
            at: AtomicI64::new(micros(claimed_at)),
            is_news: AtomicBool::new(false),
            found: Mutex::default(),
        }
    }

    /// Whether what is known is too old. Of a clock that went back nobody knows how old it is.
    fn is_stale(&self, now: NaiveDateTime) -> bool {
        let age = micros(now).saturating_sub(self.at.load(Ordering::Acquire));
        !(0..BELIEVED.num_milliseconds() * 1_000).contains(&age)
    }
}

fn micros(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_micros()
}

impl Attempter {
    /// Why a try is not made after all, looked at just before the call.
    pub(super) async fn stopped(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Option<AttemptResult> {
        let looks = &context.looks;
        if let Some(done) = self.too_late(due, claimed_at, context) {
            return Some(done);
        }
        if !looks.is_stale(self.clock.now()) && !looks.is_news.load(Ordering::Acquire) {
            return None;
        }
        let withdrawn = self.withdrawn(due, context).await;
        // To ask takes time as well.
        let late = self.too_late(due, claimed_at, context);
        let now = self.clock.now();
        match withdrawn {
            Ok(None) => late,
            Ok(Some(Withdrawn::Cancelled)) => Some(AttemptResult::Withdrawn {
                state: DeliveryState::Cancelled,
                at: now,
            }),
            // The next claim plans it again, or ends it, and looks its endpoint up again.
            Ok(Some(Withdrawn::Astray)) => {
                Some(late.unwrap_or(AttemptResult::GivenBack { due_at: now }))
            }
            Ok(Some(Withdrawn::NotOurs)) => Some(AttemptResult::wait(permits::slow(now))),
            // What nobody can be asked about waits.
            Err(Unasked) => Some(late.unwrap_or_else(|| AttemptResult::wait(permits::slow(now)))),
        }
    }

    /// Whether a delivery is not to be sent any more, as far as is known; asks if that is too old.
    async fn withdrawn(
        &self,
        due: &Due,
        context: &BatchContext,
    ) -> Result<Option<Withdrawn>, Unasked> {
        let looks = &context.looks;
        // Whoever else is about to call waits for the same answer.
        let mut found = looks.found.lock().await;
        if looks.is_stale(self.clock.now()) {
            let asked = self.ask_about(context).await;
            if let Err(error) = &asked {
                tracing::warn!(%error, "what waited before it is sent cannot be looked at again");
            }
            found.failed = asked.is_err();
            found.withdrawn.extend(asked.unwrap_or_default());
            let is_news = found.failed || !found.withdrawn.is_empty();
            looks.is_news.store(is_news, Ordering::Release);
            // The answer counts from when it came: those who waited for it need none of their own.
            looks.at.store(micros(self.clock.now()), Ordering::Release);
        }
        match found.withdrawn.get(&due.id) {
            Some(withdrawn) => Ok(Some(*withdrawn)),
            None if found.failed => Err(Unasked),
            None => Ok(None),
        }
    }

    async fn ask_about(
        &self,
        context: &BatchContext,
    ) -> Result<Vec<(DeliveryId, Withdrawn)>, DeliverError> {
        let batch = &context.batch;
        let going = batch.due.iter();
        let going: Vec<delivery::Going> = going
            .filter(|due| !batch.held.contains_key(&due.id))
            .map(delivery::Going::of)
            .collect();
        let endpoints = context.endpoints.ids();
        let look = self.db.snapshot(move |conn| -> Result<_, DeliverError> {
            let withdrawn = delivery::withdrawn(conn, &going)?;
            let endpoints = match endpoints.is_empty() {
                true => Vec::new(),
                false => webhook::by_ids(conn, &endpoints)?,
            };
            Ok((withdrawn, endpoints))
        });
        let (withdrawn, endpoints) = look.await?;
        let moved = batch.due.iter().filter(|due| {
            let endpoint = context.endpoint_of(due);
            endpoint.is_some_and(|endpoint| !endpoint.is_among(&endpoints))
        });
        let moved = moved.map(|due| (due.id, Withdrawn::Astray));
        // The last one said of a delivery counts.
        Ok(moved.chain(withdrawn).collect())
    }
}

/// The database was not there to be asked.
struct Unasked;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_believed_for_a_second_and_not_by_a_clock_that_went_back() {
        let claimed_at = chrono::DateTime::from_timestamp(1_790_000_000, 0)
            .unwrap()
            .naive_utc();
        let looks = Looks::new(claimed_at);
        let stale = |millis| looks.is_stale(claimed_at + TimeDelta::milliseconds(millis));
        assert!(!stale(0) && !stale(999));
        assert!(stale(1_000) && stale(3_600_000) && stale(-1));
    }
}
