//! Claiming a batch: in one transaction the deliveries are leased, what they need is read, and
//! their calls are counted against the account's budget.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::batch::{Batch, UsedUp, channel};
use super::endpoint::Endpoints;
use super::lane::{Mode, Slot};
use super::order::{Order, Over};
use super::outcome::{Limits, REMEMBERED};
use super::reconsider::reconsider;
use super::second_look::Looks;
use super::{BatchContext, Claimer, DeliverError};
use crate::bridge::availability::budget::Allowances;
use crate::bridge::availability::pause::log_set;
use crate::bridge::planning::prepared::Editions;
use crate::bridge::retry::{Backoff, seconds};
use crate::bridge::routes::Repeat;
use crate::config;
use crate::db::QueryResult;
use crate::ids::AccountId;
use crate::models::account::budget::{self, Used, Uses};
use crate::models::account::{pause, resumption};
use crate::models::delivery::{self, Claim, Due, Ended, NO_ACCOUNT, Postponed};

fn repeat(due: &Due, notifications: &Editions) -> Option<Repeat> {
    channel(due, notifications).map(|channel| channel.traits().repeat)
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

/// How long after a pause all come back that wait for it.
const JUST_AFTER: TimeDelta = TimeDelta::minutes(10);

/// What a step is to do next.
pub(super) enum Next {
    /// To send these.
    Batch(Box<(Slot, BatchContext)>),
    /// To look again: what was due goes beyond a rate, and was put off.
    PutOff,
    /// Nothing is due.
    Nothing,
}

impl Claimer {
    /// Claims the batch that is next, with what its tries need.
    pub(super) async fn next_batch(&self, now: NaiveDateTime) -> Result<Next, DeliverError> {
        let mut looked = false;
        loop {
            if !looked && self.is_stale() {
                self.look(now).await?;
                looked = true;
            }
            let Some(mut slot) = self.lanes.take(now) else {
                if looked {
                    return Ok(Next::Nothing);
                }
                self.look(now).await?;
                looked = true;
                continue;
            };
            if self.lanes.has_next(now) {
                self.signals.deliveries.notify_one();
            }
            // What this process cannot send is left to those that can: it may have another master key.
            if self.can_send_of(slot.lane).await? {
                slot.opened();
            } else if !slot.shut(now) {
                continue;
            }
            let accounts = self.accounts.all().await?;
            let app_id = accounts.get(&slot.lane).map(|one| one.app_id.as_str());
            let batch = self.claim(&slot, app_id, now).await?;
            if batch.is_replanned {
                // What was known of the lanes is not all any more.
                looked = false;
            }
            if i64::try_from(batch.claimed).is_ok_and(|count| count < slot.limit) {
                slot.exhausted(now);
            } else if self.lanes.has_next(now) {
                // There is probably more: for another loop.
                self.signals.deliveries.notify_one();
            }
            if !batch.due.is_empty() {
                let limits = self.limits();
                let context = BatchContext {
                    accounts,
                    batch,
                    endpoints: Endpoints::default(),
                    limits,
                    looks: Looks::new(now),
                    no_token: None,
                };
                return Ok(Next::Batch(Box::new((slot, context))));
            }
            if batch.is_put_off {
                // There may be any number of them.
                return Ok(Next::PutOff);
            }
        }
    }

    /// Whether to look into the database before choosing.
    pub(super) fn is_stale(&self) -> bool {
        if self.signals.take_enqueued() {
            self.lanes.look_again();
        }
        self.lanes.is_stale()
    }

    /// Looks up what is due, and who is paused. Where a pause is to be tried before it is over, something
    /// that waits for it is made due first.
    pub(super) async fn look(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
        self.read_lanes(now).await?;
        let rouse = self.lanes.to_rouse(now);
        if rouse.is_empty() {
            return Ok(());
        }
        let roused = self.db.write(move |conn| -> Result<_, DeliverError> {
            let mut roused = 0;
            for (pause, most) in &rouse {
                let lane = (pause.account_id, pause.reason.into());
                // What waits for it comes back then, and nothing else is read.
                let times = (pause.until, pause.until + JUST_AFTER);
                roused += delivery::rouse(conn, lane, times, now, *most)?;
            }
            Ok(roused)
        });
        match roused.await? {
            0 => Ok(()),
            _ => self.read_lanes(now).await,
        }
    }

    async fn read_lanes(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
        let found = self.db.read(move |conn| -> Result<_, DeliverError> {
            let (heads, pauses) = (delivery::heads(conn, now)?, pause::all(conn)?);
            Ok((heads, pauses, resumption::all(conn)?))
        });
        let (heads, pauses, noted) = found.await?;
        if !noted.is_empty() {
            for (account, words) in self.lanes.resumptions().left(noted, now) {
                self.resumer.waiting(account, words);
            }
        }
        if self.lanes.learn(heads, pauses) {
            // Probably the account was changed: what is known of it would be refused again.
            self.accounts.forget_all();
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let settings = &self.config.deliver;
        let (first, longest) = (settings.retry_first_seconds, settings.retry_longest_seconds);
        Limits {
            backoff: Backoff::seconds(first, longest),
            max_attempts: settings.max_attempts,
            max_age: seconds(settings.max_age_seconds),
            lease: seconds(settings.lease_seconds),
            consent_wait: settings.consent_wait(),
        }
    }

    /// Claims what a slot allows.
    async fn claim(
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
            priority: slot.priority,
            most: slot.most,
            mode: slot.mode.clone(),
            pauses: self.lanes.pauses_of(slot.lane),
            lanes: Arc::clone(&self.lanes),
            allowances: Allowances::new(self.config.budgets.of(app_id)),
        };
        let ready = Arc::clone(&self.notifications);
        let wait = settings.consent_wait();
        let claimed = self
            .db
            .write_then(
                move |conn| -> Result<_, DeliverError> {
                    let mut due = delivery::claim_due(conn, &claim)?;
                    let claimed = due.len();
                    let notifications = ready.gather(conn, due.iter().map(Due::edition))?;
                    for due in &mut due {
                        if repeat(due, &notifications) == Some(Repeat::Never) {
                            due.forget_lost_claims(now);
                        }
                    }
                    let reconsidered = reconsider(conn, &mut due, &notifications, wait, now)?;
                    let (mut batch, wanted, back) = order.admit(due, notifications);
                    if !back.is_empty() {
                        delivery::release(conn, &back)?;
                    }
                    batch.claimed = claimed;
                    batch.is_replanned = reconsidered.replanned > 0;
                    Ok((batch, wanted, order, reconsidered))
                },
                // Whoever counts holds up all who send from this account, so nothing else is held
                // meanwhile, and it is over with the statement.
                |conn, (batch, wanted, order, reconsidered)| {
                    let used = budget::reserve(conn, &wanted);
                    Ok((batch, wanted, order, reconsidered, used))
                },
            )
            .await?;
        let (mut batch, wanted, order, reconsidered, used) = claimed;
        self.follow_up_reconsidered(reconsidered);
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
        if let Some(used_up) = &batch.used_up {
            log_set(app_id.unwrap_or_default(), &used_up.begun, &used_up.set);
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
            let stopped = self.db.write_once(move |conn| -> Result<_, DeliverError> {
                let stopped = stopped.set(conn)?;
                let now_paused = pause::of_account(conn, order_of)?;
                Ok((stopped, now_paused))
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
        let released = self.db.write(move |conn| delivery::release(conn, &rows));
        released.await?;
        Ok(batch)
    }

    /// Takes back calls that were counted and are not made, and lets go on what waited for that. Others
    /// wait for whoever counts, so it is done beside everything else.
    async fn uncount(&self, lane: AccountId, allowances: &Allowances, unused: Vec<Uses>) {
        let allowances = allowances.clone();
        let now = self.clock.now();
        let given = self.db.write_then(
            |_| -> QueryResult<_> { Ok(()) },
            move |conn, ()| allowances.give_back(conn, &unused, now),
        );
        match given.await {
            Ok(lifted) => self.resumer.lifted(lane, &lifted),
            Err(error) => tracing::warn!(%error, "calls that are not made stay counted"),
        }
    }

    pub(super) async fn give_back(
        &self,
        batch: Batch,
        claimed_at: NaiveDateTime,
    ) -> Result<(), DeliverError> {
        let rows: Vec<Postponed> = batch
            .due
            .iter()
            .map(|due| Postponed::new(due, claimed_at, claimed_at))
            .collect();
        self.release(rows, batch.counted).await
    }

    /// Gives back claims and the calls that were counted for them.
    async fn release(&self, rows: Vec<Postponed>, counted: Vec<Uses>) -> Result<(), DeliverError> {
        let released = self.db.write(move |conn| delivery::release(conn, &rows));
        released.await?;
        let Some(lane) = counted.first().map(|uses| uses.account_id) else {
            return Ok(());
        };
        let accounts = self.accounts.all().await?;
        let app_id = accounts.get(&lane).map(|one| one.app_id.as_str());
        let allowances = Allowances::new(self.config.budgets.of(app_id));
        self.uncount(lane, &allowances, counted).await;
        Ok(())
    }

    async fn can_send_of(&self, lane: AccountId) -> Result<bool, DeliverError> {
        Ok(match lane {
            NO_ACCOUNT => !self.accounts.is_locked_out().await?,
            lane => self.accounts.by_id(lane).await?.is_some(),
        })
    }
}
