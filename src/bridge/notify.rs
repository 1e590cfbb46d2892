//! Taking a request to notify: whom it reaches and how is decided at once, and the request and its
//! deliveries are stored in one transaction.

mod again;
mod cancel;
mod enqueue;
mod preview;
mod recipients;
mod request;
mod times;

use chrono::NaiveDateTime;
use thiserror::Error;

use super::Bridge;
use super::prepared::Prepared;
use super::route::{self, FieldError};
use super::senders::{known_accounts, senders};
use crate::db::{Conn, DbError};
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::{self, DeliveryState};
use crate::models::message_type;
use crate::models::notification::{self, NewNotification};

pub use again::{MAX_RETRIED, RETRIABLE, Refused, Retried};
pub use preview::{PreviewRequest, PreviewStaff, RoutePreview};
pub use recipients::Recipients;
pub use request::{MAX_KEY, MAX_NAME, MAX_PARAMS, MAX_STAFF_ID, NotifyRequest};
pub use times::MAX_AHEAD_DAYS;

use enqueue::enqueue;
use recipients::Gone;
use request::Sound;

/// Staff resolved and stored at a time; bounds the memory that a large request takes.
const CHUNK: usize = 5_000;

/// A request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub notification_id: NotificationId,
    /// Whether it had been accepted before, under the same idempotency key.
    pub replayed: bool,
    /// One for each staff id, in the order of the request.
    pub verdicts: Vec<Verdict>,
}

/// What was decided for one staff member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The staff member, as the app named them.
    pub staff_id: String,
    /// The delivery, where what becomes of it can be looked up.
    pub delivery_id: DeliveryId,
    /// `queued` or `unreachable`.
    pub state: DeliveryState,
    /// Why they are unreachable, a stable word.
    pub reason: Option<String>,
    /// The same in a sentence, with what to do.
    pub detail: Option<String>,
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

impl From<diesel::result::Error> for NotifyError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
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
        let request = request.check(most)?;
        let now = self.clock.now();
        let nonce = rand::random();
        let accepted = self
            .db
            .write(move |conn| accept(conn, project, &request, most, nonce, now))
            .await?;
        if !accepted.replayed {
            tracing::info!(
                notification.id = %accepted.notification_id,
                notification.recipients = accepted.verdicts.len(),
                "notification accepted"
            );
            self.wake_delivery();
        }
        Ok(accepted)
    }
}

fn accept(
    conn: &mut Conn,
    project: ProjectId,
    request: &Sound,
    most: usize,
    nonce: i64,
    now: NaiveDateTime,
) -> Result<Accepted, NotifyError> {
    // First, since a repetition gets its answer even if the message type is gone meanwhile.
    if let Some(accepted) = replay(conn, project, request)? {
        return Ok(accepted);
    }
    request.times.check(now)?;
    let stored = message_type::find(conn, project, &request.message_type)?
        .ok_or_else(|| NotifyError::UnknownMessageType(request.message_type.clone()))?;
    let in_route = |source| NotifyError::Route {
        name: request.message_type.clone(),
        source,
    };
    let routes = route::parse(&stored.routes).map_err(in_route)?;
    let senders = senders(&known_accounts(conn, project)?, &routes).map_err(in_route)?;
    let prepared = Prepared::new(routes, &request.params).map_err(in_route)?;
    let new = NewNotification {
        project_id: project,
        message_type: &request.message_type,
        routes: &stored.routes,
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
    };
    let Some(notification) = notification::create(conn, &new)? else {
        // Another request with the same key was faster; it is committed by now.
        return replay(conn, project, request)?.ok_or(NotifyError::Db(DbError::Interrupted));
    };
    let limits = (CHUNK, most);
    recipients::in_chunks(conn, project, &request.recipients, limits, |conn, ids| {
        enqueue(conn, &notification, &prepared, &senders, ids).map_err(NotifyError::from)
    })?;
    Ok(Accepted {
        notification_id: notification.id,
        replayed: false,
        verdicts: verdicts(conn, notification.id)?,
    })
}

/// The first answer to a request that was accepted already.
fn replay(
    conn: &mut Conn,
    project: ProjectId,
    request: &Sound,
) -> Result<Option<Accepted>, NotifyError> {
    let Some(key) = &request.idempotency_key else {
        return Ok(None);
    };
    let Some(known) = notification::by_idempotency_key(conn, project, key)? else {
        return Ok(None);
    };
    if known.request_hash.as_deref() != Some(request.hash.as_slice()) {
        return Err(NotifyError::IdempotencyMismatch);
    }
    Ok(Some(Accepted {
        notification_id: known.id,
        replayed: true,
        verdicts: verdicts(conn, known.id)?,
    }))
}

/// The verdicts as they were given: what became of a delivery since then does not change them.
fn verdicts(conn: &mut Conn, id: NotificationId) -> Result<Vec<Verdict>, NotifyError> {
    let stored = delivery::verdicts(conn, id)?;
    let verdict = |row: delivery::Decided| match row.state {
        DeliveryState::Unreachable => Verdict {
            staff_id: row.staff_id,
            delivery_id: row.id,
            state: row.state,
            reason: row.reason,
            detail: row.detail,
        },
        _ => Verdict {
            staff_id: row.staff_id,
            delivery_id: row.id,
            state: DeliveryState::Queued,
            reason: None,
            detail: None,
        },
    };
    Ok(stored.into_iter().map(verdict).collect())
}
