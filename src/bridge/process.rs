//! From stored events to their effects: who follows, whose profile to fetch, which messages
//! arrived, what people allow, and for how long they may be answered. A batch is one transaction; effects are idempotent and do not depend on order.

mod consent;
mod erased;
mod fold;
pub(super) mod ledgers;
mod numbers;
mod replay;
mod singly;
mod unionid;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDateTime;
use thiserror::Error;

use super::people::moved::{self, Moved};
use super::signals::Signals;
use super::webhooks::outbox::{self, Batch, Pushes};
use super::{Bridge, Step, invitations};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Cause, Conn, Db, DbError, QueryResult};
use crate::ids::{AccountId, EventId, ProjectId};
use crate::metrics;
use crate::models::account::Scope;
use crate::models::delivery::receipt;
use crate::models::event::{self, Processed, Waiting, Which};
use crate::models::identity::{self, windows};
use crate::models::{account, credit, project};
use crate::vault::Vault;
use erased::Sifted;
use fold::Effects;
use numbers::{counted, stats_day};
pub use replay::Replayed;
pub use singly::SteppedOver;

/// Why events could not be processed. They keep waiting.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct ProcessError {
    /// What the database said.
    error: DbError,
    /// The first event of the batch, once it was claimed.
    first: Option<EventId>,
}

impl From<DbError> for ProcessError {
    fn from(error: DbError) -> Self {
        Self { error, first: None }
    }
}

impl ProcessError {
    /// Whether others may be processed without the event at fault. What the database lacks, all lack.
    fn may_be_of_one_event(&self) -> bool {
        matches!(
            self.error.cause(),
            Cause::Data | Cause::Busy | Cause::Unclear
        )
    }
}

/// What a batch did, and so which step to wake.
#[derive(Debug, Default)]
struct Done {
    events: usize,
    sightings: usize,
    receipts: usize,
    /// Deliveries that waited for consent.
    awaited: usize,
    published: usize,
    /// Accounts that are found to have moved.
    moved: Vec<Moved>,
    erasures: usize,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.sightings += other.sightings;
        self.receipts += other.receipts;
        self.awaited += other.awaited;
        self.published += other.published;
        self.moved.extend(other.moved);
        self.erasures += other.erasures;
    }
}

/// Processes stored events.
pub struct EventProcessor {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    vault: Vault,
    signals: Arc<Signals>,
    stepped_over: Arc<SteppedOver>,
}

impl EventProcessor {
    pub(super) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, vault, signals, stepped_over })
    }

    /// Processes one batch of waiting events.
    ///
    /// # Errors
    /// If the database fails; the events keep waiting.
    pub async fn step(&self) -> Result<Step, ProcessError> {
        let batch = self.config.process.batch_rows;
        let but = self.stepped_over.now(self.clock.now());
        let (done, ended) = match self.process(Which::Oldest(batch, but)).await {
            Err(failed) if failed.may_be_of_one_event() => {
                tracing::warn!(error = %failed, "batch of events failed, processing one by one");
                self.process_singly(batch).await
            }
            done => (done?, Ok(())),
        };
        metrics::events("processed", done.events);
        moved::warn(&done.moved);
        if done.sightings > 0 {
            self.signals.profiles.notify_one();
        }
        if done.receipts > 0 {
            self.signals.receipts.notify_one();
        }
        if done.awaited > 0 {
            self.signals.wake_delivery();
        }
        if done.published > 0 {
            self.signals.webhooks.notify_one();
        }
        if done.erasures > 0 {
            self.signals.erasures.notify_one();
        }
        ended?;
        Ok(match done.events {
            0 => Step::Idle,
            _ => Step::Worked,
        })
    }

    async fn process(&self, which: Which) -> Result<Done, ProcessError> {
        let (now, vault) = (self.clock.now(), self.vault.clone());
        self.db
            .write(move |conn| {
                let mut waiting = event::claim_waiting(conn, &which)?;
                let first = waiting.first().map(|event| event.id);
                let done = account::scopes(conn).and_then(|accounts| {
                    let sifted = Sifted::of(conn, &vault, &mut waiting, &accounts)?;
                    let effects = Effects::of(&waiting, &accounts, now);
                    let batch = Sorted {
                        waiting: &waiting,
                        effects: &effects,
                        sifted: &sifted,
                        accounts: &accounts,
                    };
                    apply(conn, &vault, &batch, now)
                });
                done.map_err(|error| ProcessError { error, first })
            })
            .await
    }
}

/// A batch, and what it amounts to.
struct Sorted<'a> {
    waiting: &'a [Waiting],
    effects: &'a Effects,
    sifted: &'a Sifted,
    accounts: &'a HashMap<AccountId, Scope>,
}

fn apply(
    conn: &mut Conn,
    vault: &Vault,
    sorted: &Sorted<'_>,
    now: NaiveDateTime,
) -> QueryResult<Done> {
    let Sorted {
        waiting,
        effects,
        sifted,
        accounts,
    } = *sorted;
    if waiting.is_empty() {
        return Ok(Done::default());
    }
    // Before any identity is locked, in the order of whoever else binds.
    let mut projects: BTreeSet<ProjectId> = invitations::projects(&effects.invitations).collect();
    projects.extend(unionid::projects(conn, &effects.unionids, accounts)?);
    for id in projects {
        project::lock(conn, id)?;
    }
    let news = Pushes::before(conn, &effects.sightings)?;
    identity::record_sightings(conn, &effects.sightings)?;
    identity::confirm(conn, &effects.of_mini_programs())?;
    let receipts = receipt::insert_many(conn, &effects.receipts)?;
    counted(sorted, &receipts).write(conn)?;
    let found = identity::ids_of(conn, &effects.spots())?;
    let ids: HashMap<(AccountId, &str), _> = found
        .iter()
        .map(|found| ((found.account_id, found.openid.as_str()), found.id))
        .collect();
    windows::open(conn, &effects.acted.openings(&ids))?;
    identity::ask_about(conn, &effects.revenants(&found), now)?;
    identity::ask_unbound(conn, &effects.unbound(&found), now)?;
    let awaited = credit::record(conn, &consent::said(&effects.consents, &ids), now)?;
    invitations::redeem_presented(conn, &effects.invitations, &ids, now)?;
    let processed: Vec<Processed> = waiting
        .iter()
        .map(|event| Processed {
            id: event.id,
            stats_day: stats_day(event, accounts),
            identity_id: event
                .openid
                .as_deref()
                .and_then(|openid| ids.get(&(event.account_id, openid)).copied()),
        })
        .collect();
    event::finish(conn, &processed)?;
    let batch = Batch {
        waiting,
        sightings: &effects.sightings,
        ids: &ids,
        accounts,
        silent: &sifted.silent,
    };
    let published = news.after(conn, &batch, now)?
        + outbox::verification(conn, &effects.verified, accounts, now)?;
    let learnt = unionid::learn(conn, &effects.unionids, &ids, now)?;
    let erasures = sifted.settle(conn, vault, accounts, now)?;
    Ok(Done {
        events: waiting.len(),
        sightings: effects.sightings.len(),
        receipts: receipts.len(),
        awaited,
        published: published + learnt.published,
        moved: learnt.moved,
        erasures,
    })
}
