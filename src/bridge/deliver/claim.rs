//! Claiming a batch: in one transaction the deliveries are leased, what they need is read, and
//! their calls are counted against the account's budget.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::batch::{Batch, UsedUp, channel};
use super::lane::{Mode, Slot};
use super::order::{Order, Over};
use super::outcome::REMEMBERED;
use super::reconsider::reconsider;
use super::{DeliverError, seconds};
use crate::bridge::Bridge;
use crate::bridge::availability::budget::Allowances;
use crate::bridge::availability::pause::tell_set;
use crate::bridge::planning::prepared::Editions;
use crate::bridge::routes::Repeat;
use crate::config;
use crate::db::QueryResult;
use crate::ids::AccountId;
use crate::models::account::budget::{self, Used, Uses};
use crate::models::account::pause::{self};
use crate::models::delivery::{self, Claim, Due, Ended, Postponed};

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
    pub(super) async fn uncount(
        &self,
        lane: AccountId,
        allowances: &Allowances,
        unused: Vec<Uses>,
    ) {
        let allowances = allowances.clone();
        let now = self.clock.now();
        let given = self.db.write_then(
            |_| -> QueryResult<_> { Ok(()) },
            move |conn, ()| allowances.give_back(conn, &unused, now),
        );
        match given.await {
            Ok(lifted) => self.resume_lifted(lane, &lifted),
            Err(error) => tracing::warn!(%error, "calls that are not made stay counted"),
        }
    }
}
