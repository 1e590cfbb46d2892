//! What became of the deliveries of a small notification, for an app that would rather wait for that
//! than ask again.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, timeout_at};

use super::NotifyError;
use crate::bridge::Bridge;
use crate::bridge::limits::{AWAITED_MAX, WAIT_SECONDS_MAX};
use crate::db::Conn;
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::attempt::{self, Attempt, AttemptOutcome};
use crate::models::delivery::{self, Delivery, DeliveryState, Reason};

/// How often to look without a signal: another process may do the sending.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What became of a delivery so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How far it has come; `queued`: not known in time.
    pub state: DeliveryState,
    /// A stable word for why it is in that state.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// WeChat's answer to the last try: 0 if it took the message; none if there is no answer.
    pub errcode: Option<i64>,
    /// WeChat's words of it.
    pub errmsg: Option<String>,
    /// WeChat's id of the message.
    pub msgid: Option<i64>,
}

impl Bridge {
    /// Waits until something is known of every delivery of a notification that can be known in this
    /// time, and tells what is known by then. None where it is not waited for: the notification has
    /// more than [`AWAITED_MAX`] deliveries, or too many others wait already.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn outcomes(
        &self,
        id: NotificationId,
        seconds: u64,
    ) -> Result<Option<HashMap<DeliveryId, Outcome>>, NotifyError> {
        let Some(mut watch) = self.awaited.watch(id) else {
            return Ok(None);
        };
        let wait = seconds.min(WAIT_SECONDS_MAX);
        let deadline = Instant::now() + Duration::from_secs(wait);
        // What is due later, since it was asked for or has to be tried again, is not waited for.
        let latest = self.clock.now() + TimeDelta::seconds(wait.cast_signed());
        loop {
            let read = self.db.snapshot(move |conn| look(conn, id));
            let Some((deliveries, attempts)) = read.await? else {
                return Ok(None);
            };
            let is_open = |one: &Delivery| {
                let is_soon = one.due_at.is_none_or(|due_at| due_at <= latest);
                // The consent may come at any moment.
                let awaits = one.reason.as_deref() == Some(Reason::WaitingForConsent.as_str());
                one.state == DeliveryState::Queued && (is_soon || awaits)
            };
            if !deliveries.iter().any(is_open) || Instant::now() >= deadline {
                return Ok(Some(outcomes(deliveries, attempts)));
            }
            // A signal or not: it is looked at again, and the last time at the end.
            let until = deadline.min(Instant::now() + LOOK_AGAIN);
            let _ = timeout_at(until, watch.notified()).await;
        }
    }
}

type Found = (Vec<Delivery>, Vec<Attempt>);

fn look(conn: &mut Conn, id: NotificationId) -> Result<Option<Found>, NotifyError> {
    let most = i64::try_from(AWAITED_MAX).unwrap_or(i64::MAX);
    let found = delivery::of_notification(conn, id, None, most + 1)?;
    if found.len() > AWAITED_MAX {
        return Ok(None);
    }
    let ids: Vec<DeliveryId> = found.iter().map(|one| one.id).collect();
    let attempts = attempt::of_deliveries(conn, &ids)?;
    Ok(Some((found, attempts)))
}

fn outcomes(deliveries: Vec<Delivery>, attempts: Vec<Attempt>) -> HashMap<DeliveryId, Outcome> {
    // The newest of each comes last.
    let last: HashMap<DeliveryId, Attempt> = attempts
        .into_iter()
        .map(|attempt| (attempt.delivery_id, attempt))
        .collect();
    let outcome = |one: Delivery| {
        let last = last.get(&one.id);
        let is_taken = last.is_some_and(|last| last.outcome == AttemptOutcome::Accepted);
        // An endpoint of the business has no such codes.
        let answered = one.account_id.and(last);
        let (errcode, errmsg) = match is_taken {
            true => (answered.map(|_| 0), answered.map(|_| "ok".to_owned())),
            false => (
                answered.and_then(|last| last.errcode),
                answered.and_then(|last| last.errmsg.clone()),
            ),
        };
        let outcome = Outcome {
            state: one.state,
            reason: one.reason,
            detail: one.detail,
            errcode,
            errmsg,
            msgid: one.msgid,
        };
        (one.id, outcome)
    };
    deliveries.into_iter().map(outcome).collect()
}
