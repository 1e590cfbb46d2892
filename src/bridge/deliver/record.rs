//! Recording a batch: what came of its deliveries, of its account and of its permissions, in one
//! transaction.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::account_health::{AccountHealth, HealthChange};
use super::batch_result::BatchResult;
use super::lane::Slot;
use super::{BatchContext, DeliverError, Recorder, marks};
use crate::bridge::accounts::OpenAccount;
use crate::bridge::availability::budget::Allowances;
use crate::bridge::availability::pause;
use crate::bridge::planning::fallback;
use crate::bridge::webhooks::outbox;
use crate::db::{Cause, Conn, DbError, QueryResult};
use crate::ids::{AccountId, NotificationId};
use crate::metrics;
use crate::models::account::budget::Uses;
use crate::models::account::pause::{AccountPause, Named, PauseReason};
use crate::models::account::{self, pause as account_pause, resumption};
use crate::models::delivery::{self, Claimed, End, NO_ACCOUNT, attempt, receipt, transitions};
use crate::models::identity;

/// How often a batch is recorded at most.
const RECORDINGS: u32 = 3;

/// All that is recorded of a batch.
#[derive(Debug)]
pub(super) struct Record {
    result: BatchResult,
    /// The claims of its deliveries.
    claims: Vec<Claimed>,
    /// The notifications of its deliveries.
    notifications: Vec<NotificationId>,
    /// What follows for the account.
    change: HealthChange,
    /// Calls that were counted and not made; below zero where more were made.
    unused: Vec<Uses>,
    lane: AccountId,
    account: Option<Arc<OpenAccount>>,
    /// Whether the account, or a call of it, was paused before.
    was_paused: bool,
}

impl Record {
    fn concerns_pauses(&self) -> bool {
        self.was_paused || !self.change.pauses.is_empty() || self.result.waits()
    }

    /// How many tries it is about.
    pub(super) fn tries(&self) -> usize {
        self.result.attempts.len()
    }

    /// Whether it is stored already: a commit may have been made whose answer was lost.
    fn is_stored(&self, conn: &mut Conn) -> QueryResult<bool> {
        match self.result.attempts.first() {
            Some(first) => attempt::is_stored(conn, first),
            // What was not tried leaves its claims: they are there until this is stored, or until
            // another process has them.
            None => Ok(!self.result.is_empty() && !delivery::are_ours(conn, &self.claims)?),
        }
    }
}

/// What follows from what was recorded.
#[derive(Default)]
pub(super) struct Recorded {
    /// Receipts that waited for this.
    receipts: usize,
    /// Deliveries that go on to another route.
    moved: usize,
    /// People whose profiles are to be fetched.
    asked: usize,
    /// Events for endpoints.
    published: usize,
    /// Templates and pages of which the owner is told.
    refused: marks::RefusalAlerts,
    /// Deliveries that came to their end.
    ends: Vec<End>,
    /// What became of the account's pauses, if anything may have.
    changed: Option<Changed>,
    /// Calls whose budget is not used up after all.
    roomy: Vec<Named>,
}

/// What became of an account's pauses.
struct Changed {
    begun: Vec<Named>,
    lifted: Vec<Named>,
    /// Reasons for which deliveries wait that are over.
    over: HashSet<PauseReason>,
    pauses: Vec<AccountPause>,
}

impl Recorder {
    pub(super) async fn record(
        &self,
        result: BatchResult,
        health: AccountHealth,
        context: &BatchContext,
        slot: &Slot,
        claimed_at: NaiveDateTime,
    ) -> Result<(), DeliverError> {
        let known = self.lanes.pauses_of(slot.lane);
        let unused = context.batch.counted.iter().map(|counted| Uses {
            count: counted.count - health.used(counted.call),
            ..counted.clone()
        });
        let unused = unused.filter(|uses| uses.count != 0).collect();
        let times = (claimed_at, self.clock.now());
        let record = Arc::new(Record {
            result,
            claims: context.batch.due.iter().map(Claimed::of).collect(),
            notifications: context
                .batch
                .due
                .iter()
                .map(|due| due.notification_id)
                .collect(),
            change: match slot.lane {
                // What needs no account has none that could be in trouble.
                NO_ACCOUNT => HealthChange::default(),
                lane => health.change(lane, &known, &self.config.deliver, times),
            },
            unused,
            lane: slot.lane,
            account: context.accounts.get(&slot.lane).cloned(),
            was_paused: !known.is_empty(),
        });
        match self.write_down(&record, false).await {
            Ok(recorded) => {
                self.follow_up(recorded, &record, Some(slot)).await;
                Ok(())
            }
            Err(error) => {
                self.keep_record(record, claimed_at + context.limits.lease);
                Err(error)
            }
        }
    }

    /// Tells what was recorded; the slot is there unless that was late.
    pub(super) async fn follow_up(&self, recorded: Recorded, record: &Record, slot: Option<&Slot>) {
        self.awaited.notify(record.notifications.iter().copied());
        self.resumer.lifted(record.lane, &recorded.roomy);
        if let Some(changed) = recorded.changed {
            let account = record.account.as_ref();
            let app_id = account.map_or("", |account| account.app_id.as_str());
            pause::log_set(app_id, &changed.begun, &record.change.pauses);
            pause::log_lifted(app_id, &changed.lifted);
            if let Some(slot) = slot {
                slot.learn_pauses(changed.pauses);
            }
            if !changed.lifted.is_empty() {
                self.signals.wake_delivery();
            }
            self.resumer.waiting(record.lane, changed.over);
        }
        for attempt in &record.result.attempts {
            metrics::attempt(attempt.outcome.as_str());
        }
        recorded.refused.log();
        self.ends
            .count(recorded.ends, self.clock.now(), &self.signals);
        if let Some(slot) = slot.filter(|_| record.change.pauses.is_empty()) {
            slot.went_well();
        }
        if recorded.published > 0 {
            self.signals.webhooks.notify_one();
        }
        if recorded.receipts > 0 {
            self.signals.receipts.notify_one();
        }
        if recorded.asked > 0 {
            self.signals.profiles.notify_one();
        }
        if recorded.moved > 0 {
            self.signals.wake_delivery();
        }
    }

    /// What is not recorded is sent again, or not known for ever, so a statement that failed, by a
    /// deadlock for one, is worth another try.
    pub(super) async fn write_down(
        &self,
        record: &Arc<Record>,
        again: bool,
    ) -> Result<Recorded, DeliverError> {
        for _ in 1..RECORDINGS {
            match self.write_down_once(Arc::clone(record), again).await {
                Err(DeliverError::Db(error)) if is_worth_another_try(&error) => {
                    tracing::warn!(%error, "deliveries not recorded, trying again");
                }
                recorded => return recorded,
            }
        }
        self.write_down_once(Arc::clone(record), again).await
    }

    async fn write_down_once(
        &self,
        record: Arc<Record>,
        again: bool,
    ) -> Result<Recorded, DeliverError> {
        let now = self.clock.now();
        let cache = Arc::clone(&self.notifications);
        let consent_wait = self.config.deliver.consent_wait();
        let counted = Arc::clone(&record);
        let allowances = self.allowances(&record);
        let write = move |conn: &mut Conn| {
            let result = &record.result;
            if again && record.is_stored(conn)? {
                result.credits.give_back(conn)?;
                return Ok(Recorded::default());
            }
            let refused: Vec<_> = result.unfollowed.iter().map(|one| one.identity).collect();
            let outcomes = match refused.is_empty() {
                true => Cow::Borrowed(result.outcomes.as_slice()),
                false => result.outcomes(&identity::thought_to_follow(conn, &refused)?, now),
            };
            // In the order of events and receipts, so that none waits for the other: people, what they
            // allow, notifications, deliveries.
            identity::hold(
                conn,
                refused.iter().copied().chain(result.credits.of_windows()),
            )?;
            // Whether they follow is for their profile to say: one refusal may be wrong.
            let asked = identity::ask_about(conn, &refused, now)?;
            result.credits.write(conn)?;
            let held = fallback::hold(conn, &result.failed_routes)?;
            transitions::record(conn, &outcomes)?;
            attempt::insert_missing(conn, &result.lost)?;
            attempt::insert_many(conn, &result.attempts)?;
            delivery::release(conn, &result.postponed)?;
            let moved = fallback::move_on(
                conn,
                &cache,
                &held,
                &result.failed_routes,
                (consent_wait, now),
            )?;
            // After moving on, as a delivery that goes on has not failed.
            let published = outbox::sends(conn, &outcomes, now)?;
            let refused = result.marks.write(conn, record.account.as_deref(), now)?;
            let ends = delivery::ends_of(conn, &outcomes)?;
            let changed = match record.concerns_pauses() {
                true => Some(pauses(conn, &record, now)?),
                false => None,
            };
            Ok(Recorded {
                receipts: 0,
                moved,
                asked,
                published: published + refused.published,
                refused,
                ends,
                changed,
                roomy: Vec::new(),
            })
        };
        // Beside it, as all who send from the account wait for whoever holds its budget.
        let give_back = move |conn: &mut Conn, mut recorded: Recorded| {
            match allowances.give_back(conn, &counted.unused, now) {
                Ok(roomy) => recorded.roomy = roomy,
                Err(error) => tracing::warn!(%error, "calls that were not made stay counted"),
            }
            recorded.receipts = wake_receipts(conn, &counted);
            Ok(recorded)
        };
        self.db.write_then(write, give_back).await
    }
}

impl Recorder {
    fn allowances(&self, record: &Record) -> Allowances {
        let account = record.account.as_ref();
        let app_id = account.map(|one| one.app_id.as_str());
        Allowances::new(self.config.budgets.of(app_id))
    }
}

fn is_worth_another_try(error: &DbError) -> bool {
    matches!(error.cause(), Cause::Data | Cause::Busy | Cause::Unclear)
}

/// Lets receipts be looked at that came before their messages were recorded: whoever looked found nothing.
fn wake_receipts(conn: &mut Conn, record: &Record) -> usize {
    match receipt::wake_receipts(conn, &record.result.outcomes) {
        Ok(receipts) => receipts,
        Err(error) => {
            tracing::warn!(%error, "receipts that came first wait for their time");
            0
        }
    }
}

/// What follows for the pauses of the account.
fn pauses(conn: &mut Conn, record: &Record, now: NaiveDateTime) -> QueryResult<Changed> {
    let change = &record.change;
    let mut over = HashSet::new();
    // Mostly there is neither, and others need not wait.
    if record.result.waits() || !change.pauses.is_empty() {
        // Until this is over nobody lifts what they wait for. What somebody has lifted already is over for
        // these as well.
        let held = account_pause::hold(conn, record.lane)?;
        over = record.result.waits_for(&held);
    }
    let begun = pause::set(conn, &change.pauses, now)?;
    let lifted = account_pause::lift(conn, &change.worked)?;
    let far = lifted.iter().filter(|pause| pause.is_far(now));
    over.extend(far.map(|pause| pause.reason));
    resumption::note(conn, record.lane, over.iter().copied(), now)?;
    if !lifted.is_empty() {
        let calls: Vec<&str> = change.worked.iter().map(|worked| worked.call).collect();
        account::clear_problem_of(conn, record.lane, &calls)?;
    }
    Ok(Changed {
        begun,
        lifted,
        over,
        pauses: account_pause::of_account(conn, record.lane)?,
    })
}
