//! Erasing people: because they deleted their WeChat account, or because the business asks for it.
//!
//! A request is stored with the hashes of the openids, by which later pushes of the past are known.
//! In a transaction after that the identities go, so that nothing new is sent; then the tables are
//! walked, one batch in one transaction, each of which goes on where the last one ended.

mod ask;
mod person;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use thiserror::Error;

use crate::bridge::health::ends::Ends;
use crate::bridge::signals::Signals;
use crate::bridge::webhooks::EventKind;
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, QueryResult};
use crate::ids::{DeliveryId, ErasureId, IdentityId, ProjectId};
use crate::models::actor::Actor;
use crate::models::delivery;
use crate::models::erasure::{self, Cause, Erasure, ErasureState, Phase, Subject};
use crate::models::identity;
use crate::vault::Vault;

pub(in crate::bridge) use ask::{Asked, ask, gone, hashed, is_remembered, subject_of};

/// Events emptied in one transaction.
const EVENTS: i64 = 1_000;
/// Rows looked at in one transaction.
const ROWS: i64 = 5_000;
/// When what was being written during the first look has long been.
const SECOND_LOOK: TimeDelta = TimeDelta::minutes(10);
/// How long one waits that could not go on.
const PAUSE: TimeDelta = TimeDelta::seconds(30);
/// How long a caller waits for the end before hearing that it goes on.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Why somebody was not erased.
#[derive(Debug, Error)]
pub enum EraseError {
    /// The project has no such identity, and never had.
    #[error("there is no such identity in this project")]
    UnknownIdentity,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Erases the person whom an identity belongs to. Repeated, it returns what came of it the first
    /// time. What is not done within a moment goes on by itself.
    ///
    /// # Errors
    /// If there is no such identity, or the database fails: then it goes on by itself, or nothing
    /// has happened.
    pub async fn erase(
        &self,
        project: ProjectId,
        identity: IdentityId,
        by: Actor,
    ) -> Result<Erasure, EraseError> {
        let (now, vault) = (self.clock.now(), self.vault.clone());
        let asked = self.db.write(move |conn| {
            let earlier = erasure::of_identity(conn, project, identity)?;
            let Some(found) = identity::by_id(conn, project, identity)? else {
                return earlier.ok_or(EraseError::UnknownIdentity);
            };
            if let Some(earlier) = earlier.filter(|one| one.state == ErasureState::Running) {
                return Ok(earlier);
            }
            let seed = subject_of(found.account_id, Some(found.openid), found.unionid);
            let asked = Asked {
                project_id: project,
                cause: Cause::Request,
                by: &by,
                identity_id: Some(identity),
                app_id: None,
                erased_time: now.and_utc().timestamp(),
            };
            Ok(ask(conn, &vault, &asked, seed, now)?)
        });
        let asked = asked.await?;
        self.signals.erasures.notify_one();
        let (eraser, until) = (Eraser::of(self), Instant::now() + AT_ONCE);
        while Instant::now() < until {
            if eraser.step(Some(asked.id)).await? != Step::Worked {
                break;
            }
        }
        let read = self
            .db
            .read(move |conn| erasure::by_id(conn, project, asked.id));
        read.await?.ok_or(EraseError::UnknownIdentity)
    }
}

/// Erases people, a batch of rows at a time.
pub struct Eraser {
    db: Db,
    clock: Clock,
    vault: Vault,
    signals: Arc<Signals>,
    ends: Arc<Ends>,
}

impl Eraser {
    /// With what the bridge has.
    pub fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, vault, signals, ends })
    }

    /// Does one batch of an erasure that is due (of that one only, if one is named).
    ///
    /// # Errors
    /// If the database fails; the batch is done later.
    pub async fn step(&self, only: Option<ErasureId>) -> Result<Step, EraseError> {
        let now = self.clock.now();
        let due = self.db.read(move |conn| erasure::due(conn, only, now));
        let Some(id) = due.await? else {
            return Ok(Step::Idle);
        };
        let vault = self.vault.clone();
        let done = self.db.write(move |conn| -> Result<_, EraseError> {
            let Some(mut erasure) = erasure::claim(conn, id, now)? else {
                return Ok(None);
            };
            let phase = erasure.phase;
            let (published, ended) = match phase {
                Phase::Person => (person::erase(conn, &vault, &mut erasure, now)?, Vec::new()),
                _ => (0, work(conn, &mut erasure, now)?),
            };
            erasure::save(conn, &erasure)?;
            let ends = delivery::ends(conn, &ended)?;
            Ok(Some((phase, published, ends, erasure)))
        });
        match done.await {
            Ok(None) => Ok(Step::Idle),
            Ok(Some((phase, published, ends, erasure))) => {
                self.ends.count(ends, self.clock.now(), &self.signals);
                if published > 0 {
                    self.signals.webhooks.notify_one();
                }
                if phase == Phase::Texts && erasure.state == ErasureState::Done {
                    log_end(&erasure);
                }
                Ok(Step::Worked)
            }
            Err(error) => {
                // The others are not held up by it.
                let put_off = self
                    .db
                    .write(move |conn| erasure::put_off(conn, id, now + PAUSE));
                put_off.await?;
                Err(error)
            }
        }
    }
}

fn log_end(erasure: &Erasure) {
    tracing::info!(
        erasure.id = %erasure.id,
        erasure.cause = %erasure.cause,
        erasure.identities = erasure.identities,
        erasure.events = erasure.events,
        erasure.deliveries = erasure.deliveries,
        "person erased"
    );
}

/// One batch behind the identities. Returns the deliveries that it ended.
fn work(
    conn: &mut Conn,
    erasure: &mut Erasure,
    now: NaiveDateTime,
) -> QueryResult<Vec<DeliveryId>> {
    let subject = Subject::from_json(erasure.subject.as_deref());
    let project = erasure.project_id;
    let place = (erasure.position, ROWS);
    let spared = EventKind::Erased.as_str();
    let mut ended = Vec::new();
    erasure.due_at = Some(now);
    match erasure.phase {
        Phase::Events => {
            let emptied = erasure::wipe_events(conn, &subject.identity_ids(), EVENTS)?;
            erasure.events += count(emptied);
            if count(emptied) < EVENTS {
                let unnamed = count(erasure::wipe_unnamed_events(conn, &subject, EVENTS)?);
                erasure.events += unnamed;
                if unnamed < EVENTS {
                    go_on(erasure, Phase::Deliveries);
                }
            }
        }
        Phase::Deliveries => {
            let wiped = erasure::wipe_deliveries(conn, project, &subject, place, now)?;
            erasure.deliveries += count(wiped.deliveries);
            erasure.notifications += count(wiped.notifications);
            walk(erasure, wiped.upto, Phase::Notifications);
            ended = wiped.ended;
        }
        Phase::Notifications => {
            let wiped = erasure::wipe_notifications(conn, project, &subject, place)?;
            erasure.notifications += count(wiped.notifications);
            walk(erasure, wiped.upto, Phase::Messages);
        }
        Phase::Messages => {
            let (upto, deleted) = erasure::delete_messages(conn, project, &subject, spared, place)?;
            erasure.webhook_messages += count(deleted);
            walk(erasure, upto, Phase::Texts);
        }
        Phase::Texts if erasure::is_walked(conn, &subject)? => {
            erasure.due_at = Some(now + PAUSE);
        }
        Phase::Texts => {
            erasure::wipe_texts(conn, project, &subject)?;
            erasure.subject = None;
            erasure.state = ErasureState::Done;
            erasure.finished_at = Some(now);
            go_on(erasure, Phase::EventsAgain);
            erasure.due_at = Some(now + SECOND_LOOK);
        }
        Phase::EventsAgain | Phase::DeliveriesAgain | Phase::MessagesAgain => {
            ended = look_again(conn, erasure, now)?;
        }
        Phase::Person | Phase::Over => erasure.due_at = None,
    }
    Ok(ended)
}

/// One batch of the second look. Returns the deliveries that it ended.
fn look_again(
    conn: &mut Conn,
    erasure: &mut Erasure,
    now: NaiveDateTime,
) -> QueryResult<Vec<DeliveryId>> {
    let mut ended = Vec::new();
    let ids = erasure::identity_ids(conn, erasure.id)?;
    let project = erasure.project_id;
    let place = (erasure.position, ROWS);
    let spared = EventKind::Erased.as_str();
    match erasure.phase {
        _ if ids.is_empty() => go_on(erasure, Phase::Over),
        Phase::EventsAgain => {
            let emptied = erasure::wipe_events(conn, &ids, EVENTS)?;
            erasure.events += count(emptied);
            if count(emptied) < EVENTS {
                go_on(erasure, Phase::DeliveriesAgain);
            }
        }
        Phase::DeliveriesAgain => {
            let wiped = erasure::wipe_deliveries_of(conn, project, &ids, place, now)?;
            erasure.notifications += count(wiped.notifications);
            walk(erasure, wiped.upto, Phase::MessagesAgain);
            ended = wiped.ended;
        }
        _ => {
            let (upto, deleted) = erasure::delete_messages_to(conn, project, &ids, spared, place)?;
            erasure.webhook_messages += count(deleted);
            walk(erasure, upto, Phase::Over);
        }
    }
    if erasure.phase == Phase::Over {
        erasure.due_at = None;
    }
    Ok(ended)
}

/// The next batch of a walk, or the next phase where there is none.
fn walk(erasure: &mut Erasure, upto: Option<i64>, next: Phase) {
    match upto {
        Some(upto) => erasure.position = upto,
        None => go_on(erasure, next),
    }
}

fn go_on(erasure: &mut Erasure, next: Phase) {
    erasure.phase = next;
    erasure.position = 0;
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
