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
        let Over {
            unused,
            back,
            pauses,
        } = over;
        // Until this is done, others count with it: they may find a limit reached that is not.
        let given = self
            .db
            .write(move |conn| Ok::<_, DbError>(budget::give_back(conn, &unused)?));
        if let Err(error) = given.await {
            tracing::warn!(%error, "calls that are not made stay counted");
        }
        let claimed: Vec<Postponed> = batch
            .due
            .iter()
            .map(|due| Postponed::new(due, order.now, order.now))
            .collect();
        let counted = batch.counted.clone();
        let kept = self
            .db
            .write(move |conn| {
                order.release(conn, &mut batch, &back)?;
                if !pauses.is_empty() {
                    account_pause::set(conn, &pauses)?;
                    batch.used_up = Some(UsedUp {
                        begun: account_pause::alert(conn, &pauses)?,
                        now_paused: account_pause::of_account(conn, order.lane)?,
                        set: pauses,
                    });
                }
                Ok(batch)
            })
            .await;
        if kept.is_err() {
            self.release(claimed, counted).await?;
        }
        kept
    }
}

/// What goes beyond a budget.
struct Over {
    /// Calls that were counted and are not made.
    unused: Vec<Uses>,
    /// Deliveries that a rate does not allow now.
    back: Vec<DeliveryId>,
    /// Calls that are used up.
    pauses: Vec<NewPause>,
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
            if !batch.held.contains_key(&due.id) {
                *counts.entry(batch.call(due)).or_default() += 1;
            }
        }
        let wanted = self.allowances.wanted(self.lane, &counts, self.now);
        (batch, wanted)
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
        }
    }

    /// What of the calls that were counted may be made.
    fn share_out(&self, batch: &mut Batch, wanted: Vec<Uses>, used: &[Used]) -> Over {
        let (mut unused, mut back, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
        for mut wanted in wanted {
            let Some(used) = used.iter().find(|used| used.call == wanted.call) else {
                continue;
            };
            let (granted, short) = self.allowances.granted(&wanted, used, self.now);
            let over = usize::try_from(wanted.count - granted).unwrap_or_default();
            let going =
                batch.due.iter().rev().filter(|due| {
                    batch.call(due) == wanted.call && !batch.held.contains_key(&due.id)
                });
            let ids: Vec<DeliveryId> = going.take(over).map(|due| due.id).collect();
            match short {
                Some(Short::Day) => {
                    let pause = self.used_up(wanted.call);
                    let held = |id| {
                        let held = Pause {
                            until: pause.until + after_midnight(),
                            reason: pause.reason.as_str(),
                            detail: pause.detail.clone(),
                        };
                        (id, held)
                    };
                    batch.held.extend(ids.into_iter().map(held));
                    pauses.push(pause);
                }
                Some(Short::Rate(until)) => {
                    batch.rests_until = batch.rests_until.max(Some(until));
                    back.extend(ids);
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
            pauses,
        }
    }

    /// Gives back what a rate does not allow now.
    fn release(
        &self,
        conn: &mut Conn,
        batch: &mut Batch,
        back: &[DeliveryId],
    ) -> diesel::QueryResult<()> {
        let back: BTreeSet<DeliveryId> = back.iter().copied().collect();
        let rows: Vec<Postponed> = batch
            .due
            .extract_if(.., |due| back.contains(&due.id))
            .map(|due| Postponed::new(&due, self.now, self.now))
            .collect();
        delivery::release(conn, &rows)
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
