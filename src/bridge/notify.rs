//! Taking a request to notify: whom it reaches and how is decided at once, and the request and its
//! deliveries are stored in one transaction.

mod answers;
pub mod awaited;
mod cancel;
mod deduplicator;
mod enqueue;
mod outcomes;
mod people;
mod preflight;
mod preview;
mod recipients;
mod replay;
mod request;
pub(in crate::bridge) mod retry;
mod times;

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use thiserror::Error;

use super::Bridge;
use super::limits::FieldError;
use super::people::login::LoginError;
use super::planning::planner::Sender;
use super::planning::prepared::Prepared;
use super::planning::senders::{KnownAccounts, known_accounts, senders};
use super::routes;
use crate::config::Config;
use crate::db::{Conn, DbError};
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::transitions::SharedByNotification;
use crate::models::delivery::{self, DeliveryState, End};
use crate::models::notification::message_type;
use crate::models::notification::{self, NewNotification};
use crate::models::project;

pub use outcomes::Outcome;
pub use preflight::{Forecast, Preflight, Warning};
pub use preview::{PreviewRequest, PreviewStaff, RoutePreview};
pub use recipients::Recipients;
pub use request::{Brought, NotifyRequest};
pub use retry::{Refused, Retried, Taken, WhyNotRetried, retriable};

use deduplicator::Deduplicator;
use enqueue::{enqueue, record_unseen};
use recipients::Gone;
use replay::{replay, results};
use request::ValidRequest;

/// Staff resolved and stored at a time; bounds the memory that a large request takes.
const CHUNK: usize = 2_000;

/// A request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub notification_id: NotificationId,
    /// Whether it had been accepted before, under the same idempotency key.
    pub replayed: bool,
    /// One for each recipient, in the order of the request.
    pub results: Vec<RecipientResult>,
}

/// What was decided for one recipient. There may be very many, so it is kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientResult {
    /// The staff member, as the app named them, or whom the person is bound to.
    pub staff_id: Option<Box<str>>,
    /// The person, where they were not asked for by staff id, as JSON.
    pub recipient: Option<Box<str>>,
    /// The delivery, where what becomes of it can be looked up.
    pub delivery_id: DeliveryId,
    /// `queued` or `unreachable`.
    pub state: DeliveryState,
    /// Why they are unreachable, or what is waited for: a stable word.
    pub reason: Option<Box<str>>,
    /// The same in a sentence, with what to do.
    pub detail: Option<Box<str>>,
}

/// Why a request was not accepted. Nothing of it is stored.
#[derive(Debug, Error)]
pub enum NotifyError {
    /// A field cannot be taken; says which, the limit and what to do.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such message type.
    #[error("message_type: the project has no message type {0:?}; add it first")]
    UnknownMessageType(String),
    /// A route of the message type cannot be used; says which field of it, and what to do.
    #[error("message type {name:?}: {source}")]
    Route {
        /// The message type.
        name: String,
        /// What is wrong with it.
        source: FieldError,
    },
    /// Somebody named by an account or a login code was not found.
    #[error("people[{at}]: {source}")]
    Login {
        /// Which of the people, from 0.
        at: usize,
        /// Why not.
        source: LoginError,
    },
    /// The idempotency key was used for another request.
    #[error(
        "the idempotency key was used for a different request; use a new key for each request, \
         and the same one only to repeat it unchanged"
    )]
    IdempotencyMismatch,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<Gone<Self>> for NotifyError {
    fn from(gone: Gone<Self>) -> Self {
        match gone {
            Gone::Invalid(error) => error.into(),
            Gone::Stopped(error) => error,
        }
    }
}

impl Bridge {
    /// Accepts a request to notify, and enqueues its deliveries.
    ///
    /// # Errors
    /// If the request cannot be taken, or the database fails; then nothing is stored.
    pub async fn notify(
        &self,
        project: ProjectId,
        request: NotifyRequest,
    ) -> Result<Accepted, NotifyError> {
        let most = self.config.deliver.max_recipients;
        let mut request = request.check(most)?;
        if people::has_codes(&request.recipients) {
            match self.log_in_people(project, request).await? {
                Resolution::Accepted(accepted) => return Ok(accepted),
                Resolution::Resolved(resolved) => request = *resolved,
            }
        }
        let names_people = matches!(request.recipients, Recipients::People { .. });
        let now = self.clock.now();
        let nonce = rand::random();
        let config = Arc::clone(&self.config);
        let accepted = self
            .db
            .write(move |conn| accept(conn, project, &request, &config, nonce, now))
            .await?;
        if !accepted.replayed {
            tracing::info!(
                notification.id = %accepted.notification_id,
                notification.recipients = accepted.results.len(),
                "notification accepted"
            );
            self.ends
                .count(unreachable(&accepted), self.clock.now(), &self.signals);
            self.signals.wake_delivery();
            if names_people {
                self.signals.profiles.notify_one();
            }
        }
        Ok(accepted)
    }

    /// Puts openids in the place of login codes. A code works once: it is not spent on a request
    /// that is refused for another reason, nor on a repetition.
    async fn log_in_people(
        &self,
        project: ProjectId,
        request: ValidRequest,
    ) -> Result<Resolution, NotifyError> {
        let now = self.clock.now();
        let config = Arc::clone(&self.config);
        let look = self.db.snapshot(move |conn| -> Result<_, NotifyError> {
            let earlier = replay(conn, project, &request)?;
            if earlier.is_none() {
                usable(conn, project, &request, &config, now)?;
            }
            Ok((earlier, request))
        });
        let (earlier, mut request) = look.await?;
        if let Some(accepted) = earlier {
            return Ok(Resolution::Accepted(accepted));
        }
        let Err(refused) = self.exchange(project, &mut request.recipients).await else {
            return Ok(Resolution::Resolved(Box::new(request)));
        };
        // A repetition at the same time may have used the codes, and be accepted by now.
        let look = self
            .db
            .snapshot(move |conn| replay(conn, project, &request));
        look.await?.map(Resolution::Accepted).ok_or(refused)
    }
}

/// Those whom no route leads to, by why.
fn unreachable(accepted: &Accepted) -> Vec<End> {
    let mut ends: Vec<End> = Vec::new();
    for verdict in &accepted.results {
        if verdict.state != DeliveryState::Unreachable {
            continue;
        }
        let reason = verdict.reason.as_deref();
        match ends.iter_mut().find(|end| end.reason.as_deref() == reason) {
            Some(end) => end.count += 1,
            None => ends.push(End {
                notification_id: accepted.notification_id,
                app_id: None,
                state: verdict.state,
                reason: reason.map(str::to_owned),
                detail: verdict.detail.clone().map(Into::into),
                count: 1,
            }),
        }
    }
    ends
}

/// A request whose login codes were looked at.
enum Resolution {
    /// It was accepted before.
    Accepted(Accepted),
    /// It can be taken.
    Resolved(Box<ValidRequest>),
}

/// What a request needs of what is stored.
struct ResolvedRequest {
    /// The routes to store with the notification, JSON.
    routes: String,
    accounts: KnownAccounts,
    senders: Vec<Sender>,
    prepared: Prepared,
    /// How long a delivery waits for consent that is all it lacks.
    consent_wait: TimeDelta,
}

/// Checks a request against what is stored.
fn usable(
    conn: &mut Conn,
    project: ProjectId,
    request: &ValidRequest,
    config: &Config,
    now: NaiveDateTime,
) -> Result<ResolvedRequest, NotifyError> {
    request.times.check(now)?;
    let stored = message_type::find(conn, project, &request.message_type)?
        .ok_or_else(|| NotifyError::UnknownMessageType(request.message_type.clone()))?;
    let in_route = |source| NotifyError::Route {
        name: request.message_type.clone(),
        source,
    };
    let stored_routes = request.manner.of_routes(stored.routes).map_err(in_route)?;
    let routes = routes::parse(&stored_routes).map_err(in_route)?;
    let accounts = known_accounts(conn, project)?;
    let senders = senders(&accounts, &routes).map_err(in_route)?;
    let prepared = Prepared::new(routes, &request.params, &config.customer).map_err(in_route)?;
    people::check_accounts(&request.recipients, &accounts)?;
    answers::check(request, &accounts, now)?;
    Ok(ResolvedRequest {
        routes: stored_routes,
        accounts,
        senders,
        prepared,
        consent_wait: config.deliver.consent_wait(),
    })
}

fn accept(
    conn: &mut Conn,
    project: ProjectId,
    request: &ValidRequest,
    config: &Config,
    nonce: i64,
    now: NaiveDateTime,
) -> Result<Accepted, NotifyError> {
    // First, since a repetition gets its answer even if the message type is gone meanwhile.
    if let Some(accepted) = replay(conn, project, request)? {
        return Ok(accepted);
    }
    let usable = usable(conn, project, request, config, now)?;
    let new = NewNotification {
        project_id: project,
        message_type: &request.message_type,
        routes: &usable.routes,
        params: &request.params_json,
        priority: request.priority,
        nonce,
        idempotency_key: request.idempotency_key.as_deref(),
        request_hash: request
            .idempotency_key
            .as_ref()
            .map(|_| request.hash.as_slice()),
        send_at: request.times.send_at,
        expires_at: request.times.expires_at,
        created_at: now,
        manner: request.manner.to_json(),
    };
    let Some(notification) = notification::create(conn, &new)? else {
        // Another request with the same key was faster; it is committed by now.
        return replay(conn, project, request)?.ok_or(NotifyError::Db(DbError::Interrupted));
    };
    let limits = (CHUNK, config.deliver.max_recipients);
    if !request.brought.is_empty() {
        // Whoever locks people and their permissions locks the people first.
        recipients::in_chunks(conn, project, &request.recipients, limits, |conn, whom| {
            record_unseen(conn, &notification, &usable, whom).map_err(NotifyError::from)
        })?;
        answers::record(conn, request, &usable.accounts, now)?;
    }
    let time_zone = project::time_zone(conn, project)?;
    let shared = SharedByNotification::of(&notification, time_zone);
    let new = (&notification, shared);
    let mut seen = Deduplicator::default();
    recipients::in_chunks(conn, project, &request.recipients, limits, |conn, whom| {
        enqueue(conn, new, &usable, &mut seen, whom).map_err(NotifyError::from)
    })?;
    let results = results(conn, notification.id)?;
    let states = results.iter().map(|verdict| verdict.state);
    delivery::begin_counting(conn, notification.id, states)?;
    Ok(Accepted {
        notification_id: notification.id,
        replayed: false,
        results,
    })
}
