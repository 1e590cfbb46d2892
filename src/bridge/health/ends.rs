//! Deliveries that have come to their end: each is counted once, and what failed for good is in the
//! log, one line for each notification, reason and minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use crate::bridge::signals::Signals;
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::db::DbError;
use crate::ids::NotificationId;
use crate::metrics;
use crate::models::delivery::{DeliveryState, End, Reason};

/// How long the first line of a kind waits for more of its kind: a notification is sent in batches.
const LINGER: TimeDelta = TimeDelta::seconds(2);
/// How long after one line the next of its kind comes at the earliest.
const BETWEEN: TimeDelta = TimeDelta::minutes(1);
/// Kinds that are kept apart; with more of them, what is there is written at once.
const KINDS: usize = 1_000;

/// What lines are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    notification_id: NotificationId,
    state: &'static str,
    reason: String,
    app_id: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    count: i64,
    detail: String,
    /// When its line is to be written; none where nothing is to be told.
    due_at: Option<NaiveDateTime>,
    logged_at: Option<NaiveDateTime>,
}

/// What is still to be told. What is there when the process ends is told then.
#[derive(Debug, Default)]
pub struct Ends(Mutex<BTreeMap<Kind, Group>>);

impl Ends {
    fn add(&self, ends: Vec<End>, now: NaiveDateTime) {
        let mut kinds = self.lock();
        for end in ends {
            let kind = Kind {
                notification_id: end.notification_id,
                state: end.state.as_str(),
                reason: end.reason.unwrap_or_default(),
                app_id: end.app_id,
            };
            if kinds.len() >= KINDS && !kinds.contains_key(&kind) {
                log_all(&std::mem::take(&mut *kinds));
            }
            let group = kinds.entry(kind).or_default();
            group.count += end.count;
            group.detail = end.detail.unwrap_or_default();
            let soonest = group.logged_at.map_or(now + LINGER, |at| at + BETWEEN);
            group.due_at.get_or_insert(soonest.max(now));
        }
    }

    /// Counts deliveries that came to their end, once that is in the database, and has the log say
    /// of those that failed.
    pub(in crate::bridge) fn count(
        &self,
        mut ends: Vec<End>,
        now: NaiveDateTime,
        signals: &Signals,
    ) {
        for end in &ends {
            let word = end.reason.as_deref().map(str::parse::<Reason>);
            // A word of a newer version is one of many that must not become labels.
            let reason = match word {
                None => "none",
                Some(Ok(reason)) => reason.as_str(),
                Some(Err(_)) => "other",
            };
            metrics::deliveries(end.state.as_str(), reason, end.count);
        }
        ends.retain(|end| is_failure(end.state));
        if !ends.is_empty() {
            self.add(ends, now);
            signals.ends.notify_one();
        }
    }

    /// Writes the lines that are due, and forgets what is over. Returns when the next one is due.
    fn log_due(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut kinds = self.lock();
        for (kind, group) in kinds.iter_mut() {
            if group.due_at.is_some_and(|due_at| due_at <= now) {
                log(kind, group);
                *group = Group {
                    logged_at: Some(now),
                    ..Group::default()
                };
            }
        }
        kinds.retain(|_, group| {
            group.due_at.is_some() || group.logged_at.is_some_and(|at| now - at < BETWEEN)
        });
        kinds.values().filter_map(|group| group.due_at).min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        log_all(&std::mem::take(&mut *self.lock()));
    }
}

fn log_all(kinds: &BTreeMap<Kind, Group>) {
    for (kind, group) in kinds {
        if group.due_at.is_some() {
            log(kind, group);
        }
    }
}

fn log(kind: &Kind, group: &Group) {
    tracing::warn!(
        notification.id = %kind.notification_id,
        account.app_id = kind.app_id.as_deref().unwrap_or("-"),
        delivery.state = kind.state,
        delivery.reason = %kind.reason,
        deliveries.count = group.count,
        delivery.detail = %group.detail,
        "deliveries did not arrive"
    );
}

/// Whether an end is a failure that an operator looks for.
fn is_failure(state: DeliveryState) -> bool {
    match state {
        DeliveryState::Failed
        | DeliveryState::Unreachable
        | DeliveryState::Unknown
        | DeliveryState::NoReceipt
        | DeliveryState::Expired => true,
        DeliveryState::Queued
        | DeliveryState::Sent
        | DeliveryState::Delivered
        | DeliveryState::Cancelled => false,
    }
}

/// Writes the lines on what failed.
pub(in crate::bridge) struct EndLogger {
    ends: Arc<Ends>,
    clock: Clock,
}

impl EndLogger {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { ends, clock })
    }

    /// Writes the lines that are due.
    ///
    /// # Errors
    /// Never: steps can fail in general.
    pub(in crate::bridge) async fn step(&self) -> Result<Step, DbError> {
        let now = self.clock.now();
        let next = self.ends.log_due(now);
        Ok(match next.and_then(|at| (at - now).to_std().ok()) {
            Some(rest) => Step::Later(rest),
            None => Step::Idle,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(1_790_000_000 + seconds, 0)
            .unwrap()
            .naive_utc()
    }

    fn end(notification: i64, count: i64) -> Vec<End> {
        vec![End {
            notification_id: NotificationId(notification),
            app_id: None,
            state: DeliveryState::Failed,
            reason: Some("blocked".to_owned()),
            detail: None,
            count,
        }]
    }

    fn counts(ends: &Ends) -> Vec<i64> {
        ends.lock().values().map(|group| group.count).collect()
    }

    #[test]
    fn the_first_line_waits_a_moment_and_the_next_a_minute() {
        let ends = Ends::default();
        ends.add(end(1, 3), at(0));
        ends.add(end(1, 4), at(1));
        assert_eq!((ends.log_due(at(1)), counts(&ends)), (Some(at(2)), vec![7]));
        assert_eq!((ends.log_due(at(2)), counts(&ends)), (None, vec![0]));
        ends.add(end(1, 5), at(10));
        assert_eq!(
            (ends.log_due(at(61)), counts(&ends)),
            (Some(at(62)), vec![5])
        );
        assert_eq!((ends.log_due(at(62)), counts(&ends)), (None, vec![0]));
        assert_eq!((ends.log_due(at(122)), counts(&ends)), (None, vec![]));
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let ends = Ends::default();
        for notification in 0..2_500 {
            ends.add(end(notification, 1), at(0));
        }
        assert!(ends.lock().len() <= KINDS);
    }
}
