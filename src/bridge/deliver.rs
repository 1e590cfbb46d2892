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
pub(crate) mod endpoint;
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

use chrono::NaiveDateTime;
use futures_util::future::join_all;
use thiserror::Error;

use super::accounts::problem;
use super::accounts::{AccountError, Accounts, ById};
use super::availability::resume::Resumer;
use super::health::ends::Ends;
use super::notify::awaited::Awaited;
use super::planning::prepared::Notifications;
use super::routes::{Channel, Route};
use super::signals::Signals;
use super::token::{TokenError, Tokens};
use super::webhooks::Webhooks;
use super::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError};
use crate::ids::AccountId;
use crate::models::delivery::Due;
use crate::vault::Vault;
use crate::wechat::client::Client;
use crate::wechat::error::FOR_NOBODY;

pub use endpoint::Rests;
pub use kept::Unrecorded;
pub use lane::Lanes;
pub use permits::Turns;

pub use restricted::Restricted;

use account_health::AccountHealth;
use batch::Batch;
use batch_result::BatchResult;
use claim::Next;
use endpoint::{Endpoint, Endpoints};
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

/// Claims batches: looks up which account is next, and leases what is due there.
struct Claimer {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    notifications: Arc<Notifications>,
    lanes: Arc<Lanes>,
    signals: Arc<Signals>,
    awaited: Arc<Awaited>,
    ends: Arc<Ends>,
    resumer: Resumer,
}

impl Claimer {
    fn of(bridge: &Bridge) -> Self {
        let resumer = Resumer::of(bridge);
        wire!(bridge => Self {
            db, clock, config, accounts, notifications, lanes, signals, awaited, ends; resumer
        })
    }
}

/// Makes the tries of a batch, and holds no connection meanwhile.
struct Attempter {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    vault: Vault,
    wechat: Client,
    tokens: Arc<Tokens>,
    turns: Arc<Turns>,
    rests: Arc<Rests>,
    webhooks: Arc<Webhooks>,
}

impl Attempter {
    fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, vault, wechat, tokens, turns, rests, webhooks })
    }
}

/// Records what came of batches, and wakes who goes on with it.
struct Recorder {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    notifications: Arc<Notifications>,
    lanes: Arc<Lanes>,
    unrecorded: Arc<Unrecorded>,
    signals: Arc<Signals>,
    awaited: Arc<Awaited>,
    ends: Arc<Ends>,
    resumer: Resumer,
}

impl Recorder {
    fn of(bridge: &Bridge) -> Self {
        let resumer = Resumer::of(bridge);
        wire!(bridge => Self {
            db, clock, config, notifications, lanes, unrecorded, signals, awaited, ends; resumer
        })
    }
}

/// Looks whether something has grown due by time, or came through another process, and wakes
/// those who send. It never sends itself, so that no slow send keeps it from looking.
pub struct Scheduler {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    lanes: Arc<Lanes>,
    rests: Arc<Rests>,
    signals: Arc<Signals>,
    claimer: Claimer,
}

impl Scheduler {
    pub(super) fn of(bridge: &Bridge) -> Self {
        let claimer = Claimer::of(bridge);
        wire!(bridge => Self { db, clock, config, lanes, rests, signals; claimer })
    }

    /// Looks once.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn step(&self) -> Result<Step, DeliverError> {
        let now = self.clock.now();
        self.mind_the_clock(now).await?;
        if self.claimer.is_stale() {
            self.claimer.look(now).await?;
        }
        if self.lanes.has_next(now) {
            self.signals.deliveries.notify_one();
        }
        Ok(Step::Idle)
    }
}

/// Sends deliveries: claims a batch, makes its tries, records what came of them.
pub struct Sender {
    db: Db,
    clock: Clock,
    lanes: Arc<Lanes>,
    restricted: Arc<Restricted>,
    claimer: Claimer,
    attempter: Attempter,
    recorder: Recorder,
}

impl Sender {
    pub(super) fn of(bridge: &Bridge) -> Self {
        let claimer = Claimer::of(bridge);
        let attempter = Attempter::of(bridge);
        let recorder = Recorder::of(bridge);
        wire!(bridge => Self { db, clock, lanes, restricted; claimer, attempter, recorder })
    }

    /// Sends one batch of deliveries that are due, of the account whose turn it is.
    ///
    /// # Errors
    /// If the database fails. What was claimed is given back or, if that fails too, due again when
    /// the lease runs out. What came of tries is kept, and recorded by a later step.
    pub async fn step(&self) -> Result<Step, DeliverError> {
        self.recorder.record_kept().await?;
        let now = self.clock.now();
        let (slot, mut context) = match self.claimer.next_batch(now).await? {
            Next::Batch(batch) => *batch,
            Next::PutOff => return Ok(Step::Worked),
            Next::Nothing => return Ok(Step::Idle),
        };
        let permits = match self.prepare(&mut context, now).await {
            Ok(permits) => permits,
            Err(error) => {
                self.claimer.give_back(context.batch, now).await?;
                return Err(error);
            }
        };
        let (result, health) = self.try_all(&context, &permits, (slot.lane, now)).await;
        self.recorder
            .record(result, health, &context, &slot, now)
            .await?;
        Ok(Step::Worked)
    }

    /// What the tries of a batch need besides.
    async fn prepare(
        &self,
        context: &mut BatchContext,
        now: NaiveDateTime,
    ) -> Result<Permits, DeliverError> {
        self.attempter.find_endpoints(context, now).await?;
        context.no_token = self.attempter.wait_for_token(context, now).await;
        self.attempter
            .permits(&context.batch.due, now, context)
            .await
    }

    /// Tries the deliveries of a batch, all at once but for those that need their turn.
    async fn try_all(
        &self,
        context: &BatchContext,
        permits: &Permits,
        (lane, claimed_at): (AccountId, NaiveDateTime),
    ) -> (BatchResult, AccountHealth) {
        let groups = permits.groups(&context.batch.due);
        let tries = groups.into_iter().map(async |group| {
            let mut done = Vec::with_capacity(group.len());
            for due in group {
                let permit = match permits.of(due) {
                    Permit::InTurn => {
                        self.attempter
                            .permit_in_turn(due, claimed_at, context)
                            .await
                    }
                    permit => Ok(permit),
                };
                let (permit, tried) = match permit {
                    Ok(permit) => {
                        let tried = self
                            .attempter
                            .attempt(due, claimed_at, context, permit)
                            .await;
                        (permit, tried)
                    }
                    Err(stopped) => (Permit::InTurn, stopped),
                };
                done.push((due, permit, tried));
            }
            done
        });
        let mut permitted = Vec::with_capacity(context.batch.due.len());
        let mut tried = Vec::with_capacity(context.batch.due.len());
        for (due, permit, done) in join_all(tries).await.into_iter().flatten() {
            permitted.push(permit);
            tried.push((due, done));
        }
        self.lay_on_the_account(context, lane, claimed_at, &mut tried)
            .await;
        let (mut result, mut health) = (BatchResult::default(), AccountHealth::default());
        for (permit, (due, done)) in permitted.into_iter().zip(tried) {
            health.add(context.batch.call(due), &done);
            let routes = context.routes_from(due);
            let template_id = routes.first().and_then(|own| own.template_id.as_deref());
            result
                .credits
                .enter(due, claimed_at, template_id, permit, &done);
            result.marks.enter(due, routes.first(), &done);
            result.enter(due, claimed_at, done, routes);
        }
        (result, health)
    }

    /// Records what is kept for the last time, at the end of the process.
    pub(super) async fn finish(&self) {
        self.recorder.record_last().await;
    }

    /// Lays refusals that are said of people on the account where they turn out to concern it.
    async fn lay_on_the_account(
        &self,
        context: &BatchContext,
        lane: AccountId,
        claimed_at: NaiveDateTime,
        tried: &mut [(&Due, attempt::AttemptResult)],
    ) {
        let pauses = self.lanes.pauses_of(lane);
        let found = self
            .restricted
            .judge(lane, context, &pauses, claimed_at, tried);
        let account = context.accounts.get(&lane);
        if let (Some((call, error)), Some(account)) = (found, account) {
            let text = error.explain_on(FOR_NOBODY);
            problem::keep(&self.db, &self.clock, account, call, (&error, text)).await;
        }
    }
}
