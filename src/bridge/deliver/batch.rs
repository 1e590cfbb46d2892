//! Claiming a batch: in one transaction the deliveries are leased, what they need is read, and
//! their calls are counted against the account's budget.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::budget::{Allowances, Short, used_up};
use super::lane::{Mode, Slot};
use super::outcome::REMEMBERED;
use super::pause::{Pause, tell_set};
use super::reconsider::reconsider;
use super::renewal::next_midnight;
use super::send::ended;
use super::{DeliverError, seconds};
use crate::bridge::Bridge;
use crate::bridge::prepared::Editions;
use crate::bridge::retry::jitter;
use crate::bridge::route::{Channel, Repeat};
use crate::config;
use crate::db::{Conn, DbError};
use crate::ids::{AccountId, DeliveryId};
use crate::models::account_pause::{self, AccountPause, Named, NewPause, PauseKind, PauseReason};
use crate::models::budget::{self, Used, Uses};
use crate::models::delivery::{self, Claim, Due, Ended, Postponed};

/// How long the other deliveries of a call wait that is tried with one; they are made due when it
/// works.
const WAIT_FOR_TRY: TimeDelta = TimeDelta::minutes(10);
/// How long what seems to go beyond a budget of the day waits while others give back what they do not need
/// of it.
const FOR_OTHERS: TimeDelta = TimeDelta::seconds(1);
/// What waited for midnight comes back over this long, not all at once.
const AFTER_MIDNIGHT_MS: f64 = 290_000.0;

/// Deliveries that were claimed, with what they need.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) due: Vec<Due>,
    pub(super) notifications: Editions,
    /// Those that are not to be tried, and why.
    pub(super) held: HashMap<DeliveryId, Pause>,
    /// What was counted for them.
    pub(super) counted: Vec<Uses>,
    /// How many were claimed, with those given back at once.
    pub(super) claimed: usize,
    /// Whether some of them go another way, and are due there.
    pub(super) is_replanned: bool,
    /// When the next may be claimed, where a rate is used up.
    rests_until: Option<NaiveDateTime>,
    /// A budget that was used up by this.
    used_up: Option<UsedUp>,
}

#[derive(Debug)]
struct UsedUp {
    set: Vec<NewPause>,
    begun: Vec<Named>,
    now_paused: Vec<AccountPause>,
}

impl Batch {
    /// The name of the call that a delivery takes; empty if it cannot be made.
    pub(super) fn call(&self, due: &Due) -> &'static str {
        call(due, &self.notifications)
    }
}

fn call(due: &Due, notifications: &Editions) -> &'static str {
    channel(due, notifications).map_or("", |channel| channel.traits().call)
}

fn repeat(due: &Due, notifications: &Editions) -> Option<Repeat> {
    channel(due, notifications).map(|channel| channel.traits().repeat)
}

fn channel(due: &Due, notifications: &Editions) -> Option<Channel> {
    let prepared = notifications.get(&due.edition())?.prepared.as_ref().ok()?;
    let number = usize::try_from(due.route).ok()?;
    prepared.routes().get(number).map(|route| route.channel)
}

/// What a slot asks for.
fn claim(slot: &Slot, settings: &config::Deliver, now: NaiveDateTime) -> Claim {
    Claim {
        lane: slot.lane,
        priority: slot.priority,
        now,
        lease: seconds(settings.lease_seconds),
        limit: slot.limit,
        ended: matches!(slot.mode, Mode::Search(_)).then(|| Ended {
            begun_before: now - seconds(settings.max_age_seconds),
            unsettled_before: now - REMEMBERED,
        }),
    }
}

impl Bridge {
    /// Claims what a slot allows.
    pub(super) async fn claim(
        &self,
        slot: &Slot,
        app_id: Option<&str>,
        now: NaiveDateTime,
    ) -> Result<Batch, DeliverError> {
        let settings = &self.config.deliver;
        let claim = claim(slot, settings, now);
        let order = Order {
            now,
            lane: slot.lane,
            mode: slot.mode.clone(),
            pauses: self.lanes.pauses_of(slot.lane),
            allowances: Allowances::new(self.config.budgets.of(app_id)),
        };
        let ready = Arc::clone(&self.notifications);
        let wait = settings.consent_wait();
        let claimed = self
            .db
            .write_then(
                move |conn| {
                    let mut due = delivery::claim_due(conn, &claim)?;
                    let claimed = due.len();
                    let notifications = ready.gather(conn, due.iter().map(Due::edition))?;
                    for due in &mut due {
                        if repeat(due, &notifications) == Some(Repeat::Never) {
                            due.forget_lost_claims(now);
                        }
                    }
                    let reconsidered = reconsider(conn, &mut due, &notifications, wait, now)?;
                    let (mut batch, wanted) = order.admit(due, notifications);
                    batch.claimed = claimed;
                    batch.is_replanned = reconsidered.replanned > 0;
                    Ok::<_, DeliverError>((batch, wanted, order, reconsidered))
                },
                // Whoever counts holds up all who send from this account, so nothing else is held
                // meanwhile, and it is over with the statement.
                |conn, (batch, wanted, order, reconsidered)| {
                    let used = budget::reserve(conn, &wanted).map_err(DbError::from);
                    Ok((batch, wanted, order, reconsidered, used))
                },
            )
            .await?;
        let (mut batch, wanted, order, reconsidered, used) = claimed;
        self.tell_reconsidered(reconsidered);
        match used {
            Ok(used) if !wanted.is_empty() => {
                batch = self.keep_to_budget(order, batch, wanted, used).await?;
            }
            Ok(_) => {}
            Err(error) => {
                self.give_back(batch, now).await?;
                return Err(error.into());
            }
        }
        if let Some(until) = batch.rests_until {
            slot.rests(until);
        }
        if let Some(used_up) = &batch.used_up {
            tell_set(app_id.unwrap_or_default(), &used_up.begun, &used_up.set);
            slot.learn_pauses(used_up.now_paused.clone());
        }
        Ok(batch)
    }

    /// Holds or gives back what a budget does not allow.
    async fn keep_to_budget(
        &self,
        order: Order,
        mut batch: Batch,
        wanted: Vec<Uses>,
        used: Vec<Used>,
    ) -> Result<Batch, DeliverError> {
        let over = order.share_out(&mut batch, wanted, &used);
        if over.unused.is_empty() {
            return Ok(batch);
        }
        let claimed: Vec<Postponed> = batch
            .due
            .iter()
            .map(|due| Postponed::new(due, order.now, order.now))
            .collect();
        let counted = batch.counted.clone();
        let kept = self.keep_over(order, batch, over).await;
        if kept.is_err() {
            self.release(claimed, counted).await?;
        }
        kept
    }

    async fn keep_over(
        &self,
        order: Order,
        mut batch: Batch,
        over: Over,
    ) -> Result<Batch, DeliverError> {
        let Over {
            unused,
            mut back,
            short,
        } = over;
        // Until this is done, others count with it: they may find a limit reached that is not.
        self.uncount(order.lane, &order.allowances, unused).await;
        if !short.is_empty() {
            let (stopped, order_of) = (order.stop(short), order.lane);
            let stopped = self.db.write_once(move |conn| {
                let stopped = stopped.set(conn)?;
                let now_paused = account_pause::of_account(conn, order_of)?;
                Ok::<_, DeliverError>((stopped, now_paused))
            });
            let (stopped, now_paused) = stopped.await?;
            batch.held.extend(stopped.held);
            back.extend(stopped.not_yet);
            if !stopped.set.is_empty() {
                batch.used_up = Some(UsedUp {
                    set: stopped.set,
                    begun: stopped.begun,
                    now_paused,
                });
            }
        }
        if back.is_empty() {
            return Ok(batch);
        }
        let rows = order.given_back(&mut batch, &back);
        let released = self
            .db
            .write(move |conn| Ok::<_, DeliverError>(delivery::release(conn, &rows)?));
        released.await?;
        Ok(batch)
    }

    /// Takes back calls that were counted and are not made, and lets go on what waited for that. Others
    /// wait for whoever counts, so it is done beside everything else.
    pub(super) async fn uncount(
        &self,
        lane: AccountId,
        allowances: &Allowances,
        unused: Vec<Uses>,
    ) {
        let allowances = allowances.clone();
        let given = self.db.write_then(
            |_| Ok::<_, DbError>(()),
            move |conn, ()| Ok(allowances.give_back(conn, &unused)?),
        );
        match given.await {
            Ok(lifted) => self.resume_lifted(lane, &lifted),
            Err(error) => tracing::warn!(%error, "calls that are not made stay counted"),
        }
    }
}

/// What goes beyond a budget.
struct Over {
    /// Calls that were counted and are not made.
    unused: Vec<Uses>,
    /// Deliveries that may not be sent now, and when they may be claimed again.
    back: Vec<(DeliveryId, NaiveDateTime)>,
    /// What goes beyond the day's budget.
    short: Vec<Beyond>,
}

/// Deliveries that go beyond a budget of the day.
struct Beyond {
    call: &'static str,
    day: i64,
    ids: Vec<DeliveryId>,
}

/// Calls whose budget of the day seems to be used up.
struct Stop {
    now: NaiveDateTime,
    /// What goes beyond, how many calls may be made, and the pause.
    calls: Vec<(Beyond, i64, NewPause)>,
}

/// What became of it.
#[derive(Default)]
struct Stopped {
    set: Vec<NewPause>,
    begun: Vec<Named>,
    /// Deliveries that wait for midnight.
    held: Vec<(DeliveryId, Pause)>,
    /// Those that wait until others have given back what they had only wished for.
    not_yet: Vec<(DeliveryId, NaiveDateTime)>,
}

impl Stop {
    /// Stops the calls whose budget is used up without what others had only wished for, as that is known
    /// while their rows are held.
    fn set(self, conn: &mut Conn) -> diesel::QueryResult<Stopped> {
        let mut stopped = Stopped::default();
        for (beyond, most, pause) in self.calls {
            let Beyond { call, day, ids } = beyond;
            if budget::hold(conn, pause.account_id, call, day)? < most {
                let again = self.now + FOR_OTHERS;
                stopped
                    .not_yet
                    .extend(ids.into_iter().map(|id| (id, again)));
                continue;
            }
            let held = |id| {
                let held = Pause {
                    until: pause.until + after_midnight(),
                    reason: pause.reason.as_str(),
                    detail: pause.detail.clone(),
                    call: Some(pause.call.to_owned()),
                };
                (id, held)
            };
            stopped.held.extend(ids.into_iter().map(held));
            stopped.set.push(pause);
        }
        account_pause::set(conn, &stopped.set)?;
        stopped.begun = account_pause::alert(conn, &stopped.set)?;
        Ok(stopped)
    }
}

/// What decides which of the claimed deliveries are tried.
struct Order {
    now: NaiveDateTime,
    lane: AccountId,
    mode: Mode,
    pauses: Vec<AccountPause>,
    allowances: Allowances,
}

impl Order {
    /// The batch, and what is to be counted before it is sent.
    fn admit(&self, due: Vec<Due>, notifications: Editions) -> (Batch, Vec<Uses>) {
        let held = self.held(&due, &notifications);
        let batch = Batch {
            claimed: due.len(),
            is_replanned: false,
            due,
            notifications,
            held,
            counted: Vec::new(),
            rests_until: None,
            used_up: None,
        };
        let mut counts = BTreeMap::new();
        for due in &batch.due {
            if self.counts(due, &batch) {
                *counts.entry(batch.call(due)).or_default() += 1;
            }
        }
        let wanted = self.allowances.wanted(self.lane, &counts, self.now);
        (batch, wanted)
    }

    /// Whether a call is made for a delivery, as far as is known.
    fn counts(&self, due: &Due, batch: &Batch) -> bool {
        let ready = batch.notifications.get(&due.edition());
        let end = ready.and_then(|ready| ready.expires_at);
        let channel = channel(due, &batch.notifications).unwrap_or_default();
        !batch.held.contains_key(&due.id) && ended(due, self.now, channel, end).is_none()
    }

    /// Those that wait for a pause.
    fn held(&self, due: &[Due], notifications: &Editions) -> HashMap<DeliveryId, Pause> {
        if let Mode::Search(pause) = &self.mode {
            return due.iter().map(|due| (due.id, self.wait(pause))).collect();
        }
        let mut held = HashMap::new();
        let mut tried = BTreeSet::new();
        for due in due {
            let call = call(due, notifications);
            let pause = self.pauses.iter().find(|pause| pause.call == call);
            let Some(pause) = pause.filter(|pause| !pause.call.is_empty()) else {
                continue;
            };
            // One is enough to see whether it works again.
            let tries = pause.probes(self.now) && tried.insert(call);
            if !tries && (pause.holds(self.now) || pause.probes(self.now)) {
                held.insert(due.id, self.wait(pause));
            }
        }
        held
    }

    fn wait(&self, pause: &AccountPause) -> Pause {
        let until = match pause.kind {
            PauseKind::UsedUp => pause.until + after_midnight(),
            PauseKind::Stopped => pause.until.max(self.now + WAIT_FOR_TRY),
            PauseKind::BackingOff => pause.until.max(self.now),
        };
        Pause {
            until,
            reason: pause.reason.as_str(),
            detail: pause.detail.clone(),
            // What passes by itself is not far.
            call: (pause.kind != PauseKind::BackingOff).then(|| pause.call.clone()),
        }
    }

    /// What of the calls that were counted may be made.
    fn share_out(&self, batch: &mut Batch, wanted: Vec<Uses>, used: &[Used]) -> Over {
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
            let ids: Vec<DeliveryId> = going.take(over).map(|due| due.id).collect();
            match short {
                Some(Short::Day) => short_of.push(Beyond {
                    call: wanted.call,
                    day: wanted.day,
                    ids,
                }),
                Some(Short::Rate(until)) => {
                    batch.rests_until = batch.rests_until.max(Some(until));
                    back.extend(ids.into_iter().map(|id| (id, self.now)));
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

    fn stop(&self, short: Vec<Beyond>) -> Stop {
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
    fn given_back(
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
        NewPause {
            account_id: self.lane,
            call,
            kind: PauseKind::UsedUp,
            reason: PauseReason::BudgetUsedUp,
            detail: used_up(call),
            until: next_midnight(self.now),
            started_at: self.now,
            now: self.now,
        }
    }
}

fn after_midnight() -> TimeDelta {
    TimeDelta::milliseconds((AFTER_MIDNIGHT_MS * jitter()) as i64)
}
