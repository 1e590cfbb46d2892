//! When a batch of events fails for one of them: each is processed alone.
//!
//! An event is put aside, with the reason, only where the fault is shown to be its own: it fails alone,
//! and more than once, with an error that may be about what it says, and right after that made-up
//! followers go the same way through the same tables. A full disk fails them too, so it never costs an
//! event. What another transaction holds is stepped over for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};

use super::erased::Sifted;
use super::fold::Effects;
use super::{Done, EventProcessor, ProcessError, Sorted, apply};
use crate::db::{Cause, DbError};
use crate::ids::EventId;
use crate::metrics;
use crate::models::account;
use crate::models::event::{self, Waiting, Which};
use crate::wechat::fields::Format;
use crate::wechat::push;

/// How often an event that fails alone is tried before it is put aside.
const TRIES: u32 = 3;
/// Events that fail in one round at the most; the others have to wait for what becomes of these.
const FAILING: usize = 16;
/// How long an event is left alone whose rows another transaction holds.
const LATER: TimeDelta = TimeDelta::seconds(5);
/// Events in one round that wait for locks, at the most: each costs as long as a lock may be waited for.
const BUSY: usize = 16;
/// Made-up followers: their rows do not fit on one page of any table, so that there has to be room for
/// more than what happens to be free.
const FOLLOWERS: i64 = 100;

/// Events whose rows another transaction held, and until when they are left alone.
#[derive(Debug, Default)]
pub struct SteppedOver(Mutex<Vec<(EventId, NaiveDateTime)>>);

impl SteppedOver {
    /// Those that are to be left alone now.
    pub(super) fn now(&self, now: NaiveDateTime) -> Vec<EventId> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // After a step back of the clock, no longer than was meant.
        all.retain(|(_, until)| *until > now && *until <= now + LATER);
        all.iter().map(|(id, _)| *id).collect()
    }

    fn add(&self, id: EventId, until: NaiveDateTime) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((id, until));
    }
}

/// An event that failed alone.
struct Failing {
    id: EventId,
    error: ProcessError,
}

impl EventProcessor {
    /// One event whose effects cannot be applied must not hold up the others.
    /// What was done counts, whatever ends it.
    pub(super) async fn process_singly(&self, limit: i64) -> (Done, Result<(), ProcessError>) {
        let mut total = Done::default();
        let mut failing: Vec<Failing> = Vec::new();
        // In this round each is waited for once, or two of them would take turns.
        let mut busy: Vec<EventId> = Vec::new();
        for _ in 0..limit {
            let mut but = self.stepped_over.now(self.clock.now());
            but.extend(&busy);
            but.extend(failing.iter().map(|failing| failing.id));
            match self.process_one(Which::Oldest(1, but)).await {
                Ok(done) if done.events == 0 => break,
                Ok(done) => total.add(done),
                Err((error, cause)) => match (cause, error.first) {
                    (Cause::Busy, Some(id)) => {
                        tracing::warn!(event.id = %id, %error, "event waits for a lock, others go on");
                        self.stepped_over.add(id, self.clock.now() + LATER);
                        busy.push(id);
                        if busy.len() >= BUSY {
                            break;
                        }
                    }
                    (Cause::Data | Cause::Unclear, Some(id)) if failing.len() < FAILING => {
                        failing.push(Failing { id, error });
                    }
                    (Cause::Data | Cause::Unclear, Some(_)) => break,
                    _ => return (total, Err(error)),
                },
            }
        }
        for failing in failing {
            match self.try_again(failing).await {
                Ok(done) => total.add(done),
                Err(error) => return (total, Err(error)),
            }
        }
        (total, Ok(()))
    }

    /// Processes the oldest event of those wanted. An error comes with its cause: whatever took as long
    /// as a lock may be waited for is taken for a wait, in whichever language the server speaks.
    async fn process_one(&self, which: Which) -> Result<Done, (ProcessError, Cause)> {
        let begun = Instant::now();
        let most = Duration::from_millis(self.config.database.lock_timeout_ms);
        self.process(which).await.map_err(|error| {
            let cause = match error.error.cause() {
                Cause::Unclear if begun.elapsed() >= most => Cause::Busy,
                cause => cause,
            };
            (error, cause)
        })
    }

    async fn try_again(&self, failing: Failing) -> Result<Done, ProcessError> {
        let id = failing.id;
        let mut last = failing.error;
        for _ in 1..TRIES {
            match self.process_one(Which::One(id)).await {
                Ok(done) => return Ok(done),
                Err((error, Cause::Data | Cause::Unclear)) => last = error,
                Err((error, _)) => return Err(error),
            }
        }
        if let Err(error) = self.others_can_follow().await {
            tracing::error!(event.id = %id, %error, "no event can be processed now, none is put aside");
            return Err(error.into());
        }
        self.set_aside(id, last.to_string()).await?;
        Ok(Done::default())
    }

    /// Whether people who follow are stored just now: some who do not exist are, and nothing is
    /// kept of it.
    async fn others_can_follow(&self) -> Result<(), DbError> {
        let (now, vault) = (self.clock.now(), self.vault.clone());
        let tried = self.db.write(move |conn| {
            let accounts = account::scopes(conn)?;
            let Some(&account_id) = accounts.keys().min() else {
                return Err(Tried::Works);
            };
            let waiting: Vec<Waiting> = (0..FOLLOWERS)
                .map(|number| follower(account_id, number, now))
                .collect();
            let effects = Effects::of(&waiting, &accounts, now);
            let sorted = Sorted {
                waiting: &waiting,
                effects: &effects,
                sifted: &Sifted::default(),
                accounts: &accounts,
            };
            apply(conn, &vault, &sorted, now)?;
            // An error, so that all is undone.
            Err::<(), _>(Tried::Works)
        });
        match tried.await {
            Ok(()) | Err(Tried::Works) => Ok(()),
            Err(Tried::Failed(error)) => Err(error),
        }
    }

    async fn set_aside(&self, id: EventId, problem: String) -> Result<(), ProcessError> {
        tracing::error!(event.id = %id, problem, "event put aside");
        metrics::events("failed", 1);
        self.db
            .write(move |conn| Ok(event::fail(conn, id, &problem)?))
            .await
    }
}

/// What came of made-up followers.
enum Tried {
    Works,
    Failed(DbError),
}

impl From<DbError> for Tried {
    fn from(error: DbError) -> Self {
        Self::Failed(error)
    }
}

/// The follow of somebody who does not exist.
fn follower(account_id: crate::ids::AccountId, number: i64, now: NaiveDateTime) -> Waiting {
    let openid = format!("queqiao-tries-itself-{number}-{:x}", rand::random::<u64>());
    let create_time = now.and_utc().timestamp();
    let fields = push::event("", &openid, create_time, "subscribe");
    let body = push::render(&fields, Format::Xml).into_bytes();
    Waiting {
        // No event has such an id.
        id: EventId(-1 - number),
        account_id,
        create_time,
        received_at: now,
        kind: "event.subscribe".to_owned(),
        openid: Some(openid),
        body,
        problem: None,
        stats_day: None,
    }
}
