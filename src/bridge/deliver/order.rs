//! Which of the claimed deliveries are tried now: not what waits for a pause, for the next second or minute
//! of a rate, or for another day's budget.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::batch::{Batch, call, channel};
use super::lane::{Lanes, Mode, Probing};
use super::send::ended;
use crate::bridge::availability::budget::{Allowances, Short, used_up};
use crate::bridge::availability::pause::{self, Pause, tried_again};
use crate::bridge::availability::rate::Rate;
use crate::bridge::availability::renewal::next_midnight;
use crate::bridge::planning::prepared::Editions;
use crate::bridge::retry::jitter;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, DeliveryId};
use crate::models::account::budget::{self, Used, Uses};
use crate::models::account::pause::{AccountPause, Named, NewPause, PauseKind, PauseReason};
use crate::models::delivery::{Due, Postponed};
use crate::models::notification::Priority;

/// How long the other deliveries of a call wait that is tried with one; they are made due when it
/// works.
const WAIT_FOR_TRY: TimeDelta = TimeDelta::minutes(10);
/// How long what seems to go beyond a budget of the day waits while others give back what they do not need
/// of it.
const FOR_OTHERS: TimeDelta = TimeDelta::seconds(1);
/// What waited for midnight comes back over this long, not all at once.
const AFTER_MIDNIGHT_MS: f64 = 290_000.0;

/// What goes beyond a budget.
pub(super) struct Over {
    /// Calls that were counted and are not made.
    pub(super) unused: Vec<Uses>,
    /// Deliveries that may not be sent now, and when they may be claimed again.
    pub(super) back: Vec<(DeliveryId, NaiveDateTime)>,
    /// What goes beyond the day's budget.
    pub(super) short: Vec<Beyond>,
}

/// Deliveries that go beyond a budget of the day.
pub(super) struct Beyond {
    call: &'static str,
    day: i64,
    ids: Vec<DeliveryId>,
}

/// Calls whose budget of the day seems to be used up.
pub(super) struct Stop {
    now: NaiveDateTime,
    /// What goes beyond, how many calls may be made, and the pause.
    calls: Vec<(Beyond, i64, NewPause)>,
}

/// What became of it.
#[derive(Default)]
pub(super) struct Stopped {
    pub(super) set: Vec<NewPause>,
    pub(super) begun: Vec<Named>,
    /// Deliveries that wait for midnight.
    pub(super) held: Vec<(DeliveryId, Pause)>,
    /// Those that wait until others have given back what they had only wished for.
    pub(super) not_yet: Vec<(DeliveryId, NaiveDateTime)>,
}

impl Stop {
    /// Stops the calls whose budget is used up without what others had only wished for, as that is known
    /// while their rows are held.
    pub(super) fn set(self, conn: &mut Conn) -> QueryResult<Stopped> {
        let mut stopped = Stopped::default();
        for (beyond, most, row) in self.calls {
            let Beyond { call, day, ids } = beyond;
            if budget::hold(conn, row.account_id, call, day)? < most {
                let again = self.now + FOR_OTHERS;
                stopped
                    .not_yet
                    .extend(ids.into_iter().map(|id| (id, again)));
                continue;
            }
            let held = |id| {
                let held = Pause {
                    until: row.until + after_midnight(),
                    reason: row.reason.into(),
                    detail: row.detail.clone(),
                    far: Some((row.call.to_owned(), row.reason)),
                };
                (id, held)
            };
            stopped.held.extend(ids.into_iter().map(held));
            stopped.set.push(row);
        }
        stopped.begun = pause::set(conn, &stopped.set, self.now)?;
        Ok(stopped)
    }
}

/// What decides which of the claimed deliveries are tried.
pub(super) struct Order {
    pub(super) now: NaiveDateTime,
    pub(super) lane: AccountId,
    pub(super) priority: Priority,
    /// How many may be tried.
    pub(super) most: i64,
    pub(super) mode: Mode,
    pub(super) pauses: Vec<AccountPause>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) allowances: Allowances,
}

impl Order {
    /// The batch, what is to be counted before it is sent, and what is given back.
    pub(super) fn admit(
        &self,
        due: Vec<Due>,
        notifications: Editions,
    ) -> (Batch, Vec<Uses>, Vec<Postponed>) {
        let held = self.held(&due, &notifications);
        let mut batch = Batch::new(due, notifications, held);
        let back = self.put_off(&mut batch);
        let mut counts = BTreeMap::new();
        for due in &batch.due {
            if self.counts(due, &batch) {
                *counts.entry(batch.call(due)).or_default() += 1;
            }
        }
        let wanted = self.allowances.wanted(self.lane, &counts, self.now);
        (batch, wanted, back)
    }

    /// Takes out of the batch what takes a call that rests, and then what there is too much of: where a
    /// call rests more are claimed than may be tried.
    fn put_off(&self, batch: &mut Batch) -> Vec<Postponed> {
        let resting = self.lanes.resting(self.lane, self.now);
        if resting.is_empty() {
            return Vec::new();
        }
        let mut back = Vec::new();
        let (mut is_put_off, mut tried) = (false, 0);
        for due in batch.due.iter().filter(|due| self.counts(due, batch)) {
            let call = batch.call(due);
            if let Some(&(call, rate)) = resting.iter().find(|(one, _)| *one == call) {
                is_put_off = true;
                back.push((due.id, self.later(due, batch, call, rate)));
            } else if tried < self.most {
                tried += 1;
            } else {
                back.push((due.id, self.now));
            }
        }
        batch.is_put_off = is_put_off;
        self.given_back(batch, &back)
    }

    /// When a delivery may be claimed again that goes beyond a rate.
    fn later(&self, due: &Due, batch: &Batch, call: &'static str, rate: Rate) -> NaiveDateTime {
        if due.is_unsettled(self.now) {
            // WeChat soon forgets that it may have it.
            return rate.until;
        }
        let ready = batch.notifications.get(&due.edition());
        let end = ready.and_then(|ready| ready.expires_at);
        let (lane, rank) = (self.lane, self.priority.rank());
        let again = self.lanes.put_off(lane, call, rank, rate, self.now);
        end.map_or(again, |end| again.min(end))
    }

    /// Whether a call is made for a delivery, as far as is known.
    fn counts(&self, due: &Due, batch: &Batch) -> bool {
        !batch.held.contains_key(&due.id) && !self.is_ended(due, &batch.notifications)
    }

    /// Whether it is too late for a delivery, or it was cancelled.
    fn is_ended(&self, due: &Due, notifications: &Editions) -> bool {
        let ready = notifications.get(&due.edition());
        let end = ready.and_then(|ready| ready.expires_at);
        let channel = channel(due, notifications).unwrap_or_default();
        ended(due, self.now, channel, end).is_some()
    }

    /// Those that wait for a pause, and the calls that are tried with one of the others.
    fn held(
        &self,
        due: &[Due],
        notifications: &Editions,
    ) -> (HashMap<DeliveryId, Pause>, Vec<Probing>) {
        if let Mode::Search(pause) = &self.mode {
            let held = due.iter().map(|due| (due.id, self.wait(pause)));
            return (held.collect(), Vec::new());
        }
        let (mut held, mut probing) = (HashMap::new(), Vec::new());
        for due in due {
            if self.is_ended(due, notifications) {
                // It is not tried, and so nothing to wait for.
                continue;
            }
            let call = call(due, notifications);
            let pause = self.pauses.iter().find(|pause| pause.call == call);
            let Some(pause) = pause.filter(|pause| !pause.call.is_empty()) else {
                continue;
            };
            if pause.probes(self.now) {
                // One is enough to see whether it works again.
                match self.lanes.probe(self.lane, call) {
                    Some(probe) => probing.push(probe),
                    None => drop(held.insert(due.id, self.wait(pause))),
                }
            } else if pause.holds(self.now) {
                held.insert(due.id, self.wait(pause));
            }
        }
        (held, probing)
    }

    fn wait(&self, pause: &AccountPause) -> Pause {
        let until = match pause.kind {
            PauseKind::UsedUp => pause.until + after_midnight(),
            PauseKind::Stopped => pause.until.max(self.now + WAIT_FOR_TRY),
            PauseKind::BackingOff => pause.until.max(self.now),
        };
        Pause {
            until,
            reason: pause.reason.into(),
            detail: pause.detail.clone(),
            // What passes by itself is not far.
            far: (pause.kind != PauseKind::BackingOff).then(|| (pause.call.clone(), pause.reason)),
        }
    }

    /// What of the calls that were counted may be made.
    pub(super) fn share_out(&self, batch: &mut Batch, wanted: Vec<Uses>, used: &[Used]) -> Over {
        let (mut unused, mut back, mut short_of) = (Vec::new(), Vec::new(), Vec::new());
        for mut wanted in wanted {
            let Some(used) = used.iter().find(|used| used.call == wanted.call) else {
                continue;
            };
            let (granted, short) = self.allowances.granted(&wanted, used, self.now);
            let over = usize::try_from(wanted.count - granted).unwrap_or_default();
            let going = batch.due.iter().rev();
            let going =
                going.filter(|due| batch.call(due) == wanted.call && self.counts(due, batch));
            let mut beyond: Vec<&Due> = going.take(over).collect();
            beyond.reverse();
            match short {
                Some(Short::Day) => short_of.push(Beyond {
                    call: wanted.call,
                    day: wanted.day,
                    ids: beyond.into_iter().map(|due| due.id).collect(),
                }),
                Some(Short::Rate(rate)) => {
                    self.lanes.rest(self.lane, wanted.call, rate);
                    let later = |due: &Due| self.later(due, batch, wanted.call, rate);
                    back.extend(beyond.into_iter().map(|due| (due.id, later(due))));
                    batch.is_put_off = true;
                }
                None => {}
            }
            unused.push(Uses {
                count: wanted.count - granted,
                ..wanted.clone()
            });
            wanted.count = granted;
            batch.counted.push(wanted);
        }
        unused.retain(|uses| uses.count > 0);
        Over {
            unused,
            back,
            short: short_of,
        }
    }

    pub(super) fn stop(&self, short: Vec<Beyond>) -> Stop {
        let calls = short.into_iter().map(|beyond| {
            let most = self.allowances.per_day(beyond.call).unwrap_or_default();
            let pause = self.used_up(beyond.call);
            (beyond, most, pause)
        });
        Stop {
            now: self.now,
            calls: calls.collect(),
        }
    }

    /// Takes out of the batch what may not be sent now.
    pub(super) fn given_back(
        &self,
        batch: &mut Batch,
        back: &[(DeliveryId, NaiveDateTime)],
    ) -> Vec<Postponed> {
        let back: HashMap<DeliveryId, NaiveDateTime> = back.iter().copied().collect();
        batch
            .due
            .extract_if(.., |due| back.contains_key(&due.id))
            .map(|due| {
                let again = back.get(&due.id).copied().unwrap_or(self.now);
                Postponed::new(&due, self.now, again)
            })
            .collect()
    }

    fn used_up(&self, call: &'static str) -> NewPause {
        let known = self.pauses.iter().find(|pause| pause.call == call);
        let known =
            known.filter(|known| known.kind == PauseKind::UsedUp && !known.is_over(self.now));
        let failures = known.map_or(0, |known| known.failures);
        NewPause {
            account_id: self.lane,
            call,
            kind: PauseKind::UsedUp,
            reason: PauseReason::BudgetUsedUp,
            detail: used_up(call),
            until: next_midnight(self.now),
            // What we count ourselves is exact, but it may be given back, or the budget be set again.
            probe_at: tried_again(self.now, failures),
            started_at: self.now,
            now: self.now,
        }
    }
}

fn after_midnight() -> TimeDelta {
    TimeDelta::milliseconds((AFTER_MIDNIGHT_MS * jitter()) as i64)
}
