//! Sending what is due: claim with a lease, send with no connection held, record in one
//! transaction. Each account is a lane of its own, with its share of the slots, so that one in
//! trouble is in nobody's way.
//!
//! A crash between sending and recording leaves the lease to run out; the next try carries the
//! same `client_msg_id`, so WeChat does not send twice. Where WeChat may have forgotten the id, or
//! the channel has none, there is no next try: the delivery ends as `unknown`.
//!
//! A failure that is final for its route and person moves the delivery on to the next route, in the
//! transaction that records it.

mod account_health;
mod attempt;
mod batch;
mod batch_result;
mod claim;
mod clock;
mod credits;
mod endpoint;
pub(super) mod ends;
mod failure;
mod kept;
mod lane;
mod marks;
mod message;
mod order;
mod outcome;
mod permits;
pub mod receipts;
mod reconsider;
mod record;
mod restricted;
mod second_look;
mod send;
mod slots;

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use futures_util::future::join_all;
use thiserror::Error;

use super::accounts::problem;
use super::accounts::{AccountError, ById};
use super::availability::budget::Allowances;
use super::retry::Backoff;
use super::routes::{Channel, Route};
use super::token::TokenError;
use super::{Bridge, Step};
use crate::db::DbError;
use crate::ids::AccountId;
use crate::models::account::budget::Uses;
use crate::models::account::{pause as account_pause, resumption};
use crate::models::delivery::{self, Due, NO_ACCOUNT, Postponed};
use crate::wechat::error::FOR_NOBODY;

pub use endpoint::Rests;
pub use kept::Unrecorded;
pub use lane::Lanes;
pub use permits::Turns;

pub use restricted::Restricted;

use account_health::AccountHealth;
use batch::Batch;
use batch_result::BatchResult;
use endpoint::{Endpoint, Endpoints};
use lane::Slot;
use outcome::Limits;
use permits::{Permit, Permits};
use second_look::Looks;

/// Why deliveries could not be sent.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The accounts cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// How long after a pause all come back that wait for it.
const JUST_AFTER: TimeDelta = TimeDelta::minutes(10);

/// What a step is to do next.
enum Next {
    /// To send these.
    Batch(Box<(Slot, BatchContext)>),
    /// To look again: what was due goes beyond a rate, and was put off.
    PutOff,
    /// Nothing is due.
    Nothing,
}

/// What the tries of a batch share.
struct BatchContext {
    accounts: Arc<ById>,
    batch: Batch,
    endpoints: Endpoints,
    limits: Limits,
    /// What became of them while they waited.
    looks: Looks,
    /// Why no try can begin that is marked when it does.
    no_token: Option<Arc<TokenError>>,
}

impl BatchContext {
    /// The route of a delivery, and those after it; none where they cannot be read any more.
    fn routes_from(&self, due: &Due) -> &[Route] {
        let ready = self.batch.notifications.get(&due.edition());
        let prepared = ready.and_then(|ready| ready.prepared.as_ref().ok());
        let from = usize::try_from(due.route).unwrap_or(usize::MAX);
        prepared
            .and_then(|prepared| prepared.routes().get(from..))
            .unwrap_or_default()
    }

    /// When the notification of a delivery expires.
    fn end_of(&self, due: &Due) -> Option<NaiveDateTime> {
        let ready = self.batch.notifications.get(&due.edition())?;
        ready.expires_at
    }

    /// The endpoint that a delivery is posted to, if it is and there is one.
    fn endpoint_of(&self, due: &Due) -> Option<&Endpoint> {
        let ready = self.batch.notifications.get(&due.edition())?;
        let route = self.routes_from(due).first()?;
        // Most deliveries have none, and need no words for that.
        route.endpoint?;
        self.endpoints.of(ready.project_id, route).ok()
    }

    fn channel_of(&self, due: &Due) -> Channel {
        let route = self.routes_from(due).first();
        route.map(|route| route.channel).unwrap_or_default()
    }
}

impl Bridge {
    /// Something was enqueued: wakes those who send.
    pub(super) fn wake_delivery(&self) {
        self.lanes.look_again();
        self.signals.deliveries.notify_one();
    }

    /// Looks whether something has grown due by time, or came through another process, and wakes
    /// those who send. It never sends itself, so that no slow send keeps it from looking.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn due_step(&self) -> Result<Step, DeliverError> {
        let now = self.clock.now();
        self.mind_the_clock(now).await?;
        if self.lanes.is_stale() {
            self.look(now).await?;
        }
        if self.lanes.has_next(now) {
            self.signals.deliveries.notify_one();
        }
        Ok(Step::Idle)
    }

    /// Sends one batch of deliveries that are due, of the account whose turn it is.
    ///
    /// # Errors
    /// If the database fails. What was claimed is given back or, if that fails too, due again when
    /// the lease runs out. What came of tries is kept, and recorded by a later step.
    pub async fn deliver_step(&self) -> Result<Step, DeliverError> {
        self.record_kept().await?;
        let now = self.clock.now();
        let (slot, mut gathered) = match self.next_batch(now).await? {
            Next::Batch(batch) => *batch,
            Next::PutOff => return Ok(Step::Worked),
            Next::Nothing => return Ok(Step::Idle),
        };
        let permits = match self.prepare(&mut gathered, now).await {
            Ok(permits) => permits,
            Err(error) => {
                self.give_back(gathered.batch, now).await?;
                return Err(error);
            }
        };
        let (book, tally) = self.try_all(&gathered, &permits, (slot.lane, now)).await;
        self.record(book, tally, &gathered, &slot, now).await?;
        Ok(Step::Worked)
    }

    /// What the tries of a batch need besides.
    async fn prepare(
        &self,
        gathered: &mut BatchContext,
        now: NaiveDateTime,
    ) -> Result<Permits, DeliverError> {
        self.find_endpoints(gathered, now).await?;
        gathered.no_token = self.wait_for_token(gathered, now).await;
        self.permits(&gathered.batch.due, now, gathered).await
    }

    /// Tries the deliveries of a batch, all at once but for those that need their turn.
    async fn try_all(
        &self,
        gathered: &BatchContext,
        permits: &Permits,
        (lane, claimed_at): (AccountId, NaiveDateTime),
    ) -> (BatchResult, AccountHealth) {
        let groups = permits.groups(&gathered.batch.due);
        let tries = groups.into_iter().map(async |group| {
            let mut done = Vec::with_capacity(group.len());
            for due in group {
                let permit = match permits.of(due) {
                    Permit::InTurn => self.permit_in_turn(due, claimed_at, gathered).await,
                    permit => Ok(permit),
                };
                let (permit, tried) = match permit {
                    Ok(permit) => {
                        let tried = self.attempt(due, claimed_at, gathered, permit).await;
                        (permit, tried)
                    }
                    Err(stopped) => (Permit::InTurn, stopped),
                };
                done.push((due, permit, tried));
            }
            done
        });
        let mut permitted = Vec::with_capacity(gathered.batch.due.len());
        let mut tried = Vec::with_capacity(gathered.batch.due.len());
        for (due, permit, done) in join_all(tries).await.into_iter().flatten() {
            permitted.push(permit);
            tried.push((due, done));
        }
        self.lay_on_the_account(gathered, lane, claimed_at, &mut tried)
            .await;
        let (mut book, mut tally) = (BatchResult::default(), AccountHealth::default());
        for (permit, (due, done)) in permitted.into_iter().zip(tried) {
            tally.add(gathered.batch.call(due), &done);
            let routes = gathered.routes_from(due);
            let template_id = routes.first().and_then(|own| own.template_id.as_deref());
            book.credits
                .enter(due, claimed_at, template_id, permit, &done);
            book.marks.enter(due, routes.first(), &done);
            book.enter(due, claimed_at, done, routes);
        }
        (book, tally)
    }

    /// Lays refusals that are said of people on the account where they turn out to concern it.
    async fn lay_on_the_account(
        &self,
        gathered: &BatchContext,
        lane: AccountId,
        claimed_at: NaiveDateTime,
        tried: &mut [(&Due, attempt::AttemptResult)],
    ) {
        let pauses = self.lanes.pauses_of(lane);
        let found = self
            .restricted
            .judge(lane, gathered, &pauses, claimed_at, tried);
        let account = gathered.accounts.get(&lane);
        if let (Some((call, error)), Some(account)) = (found, account) {
            let text = error.explain_on(FOR_NOBODY);
            problem::keep(&self.db, &self.clock, account, call, (&error, text)).await;
        }
    }

    async fn give_back(&self, batch: Batch, claimed_at: NaiveDateTime) -> Result<(), DeliverError> {
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

    /// Claims the batch that is next, with what its tries need.
    async fn next_batch(&self, now: NaiveDateTime) -> Result<Next, DeliverError> {
        let mut looked = false;
        loop {
            if !looked && self.lanes.is_stale() {
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
                let gathered = BatchContext {
                    accounts,
                    batch,
                    endpoints: Endpoints::default(),
                    limits,
                    looks: Looks::new(now),
                    no_token: None,
                };
                return Ok(Next::Batch(Box::new((slot, gathered))));
            }
            if batch.is_put_off {
                // There may be any number of them.
                return Ok(Next::PutOff);
            }
        }
    }

    /// Looks up what is due, and who is paused. Where a pause is to be tried before it is over, something
    /// that waits for it is made due first.
    async fn look(&self, now: NaiveDateTime) -> Result<(), DeliverError> {
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
            let (heads, pauses) = (delivery::heads(conn, now)?, account_pause::all(conn)?);
            Ok((heads, pauses, resumption::all(conn)?))
        });
        let (heads, pauses, noted) = found.await?;
        if !noted.is_empty() {
            for (account, words) in self.lanes.resumptions().left(noted, now) {
                self.resume_waiting(account, words);
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
}

fn seconds(seconds: u64) -> TimeDelta {
    // A hundred years is as good as for ever, and cannot overflow a timestamp.
    TimeDelta::seconds(seconds.min(3_153_600_000).cast_signed())
}
