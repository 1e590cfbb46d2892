//! Takes a body in and has it parsed. Large ones are bounded in all, and parsed beside the threads that serve HTTP, on
//! which callbacks wait.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BodyLimit, strict, words};
use crate::config::Api;
use crate::web::State;
use crate::web::error::{Code, Problem};

/// Bytes of a body that is no large one.
const SMALL_BODY_BYTES: usize = 256 << 10;
/// Seconds after which large bodies that are being read now have probably been.
const RETRY_AFTER_SECONDS: u64 = 2;

/// Where large bodies are read, for all threads.
#[derive(Debug)]
pub(in crate::web) struct LargeBodies {
    /// Bytes that may still come.
    bytes: Arc<Semaphore>,
    /// Parses that may still begin.
    parses: Arc<Semaphore>,
}

impl LargeBodies {
    pub(in crate::web) fn new(settings: &Api) -> Self {
        let bytes = settings.large_body_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(bytes)),
            parses: Arc::new(Semaphore::new(settings.large_bodies_at_once)),
        }
    }

    fn of(request: &HttpRequest) -> Result<&web::Data<Self>, Problem> {
        let large = request.app_data::<web::Data<Self>>();
        large.ok_or_else(|| Problem::internal(&"the server has no budget for large bodies"))
    }
}

/// A body that has arrived, and its part of the budget.
#[derive(Debug, Default)]
pub(super) struct ReceivedBody {
    bytes: Vec<u8>,
    budget: Option<OwnedSemaphorePermit>,
}

impl ReceivedBody {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes room for so many bytes more.
    fn reserve(&mut self, more: usize, limit: usize, large: &LargeBodies) -> Result<(), Problem> {
        let length = self.bytes.len() + more;
        if length > SMALL_BODY_BYTES {
            self.pay(length, large)?;
        }
        if length > self.bytes.capacity() {
            // Doubled, but never more than the limit: a body of that length is not held twice.
            let room = length.max(self.bytes.capacity() * 2).min(limit);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        Ok(())
    }

    /// Takes of the budget what these bytes cost, as they come: who only announces them holds nothing.
    fn pay(&mut self, length: usize, large: &LargeBodies) -> Result<(), Problem> {
        let paid = self
            .budget
            .as_ref()
            .map_or(0, |budget| budget.num_permits());
        let Some(owed) = length.checked_sub(paid).filter(|owed| *owed > 0) else {
            return Ok(());
        };
        let owed = u32::try_from(owed.next_multiple_of(SMALL_BODY_BYTES)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&large.bytes).try_acquire_many_owned(owed);
        let taken = taken.map_err(|_| {
            let detail = "Other large requests are being read. Try again in a moment, or send less \
                          in one request.";
            Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS)
        })?;
        match &mut self.budget {
            Some(budget) => budget.merge(taken),
            None => self.budget = Some(taken),
        }
        Ok(())
    }
}

/// The body, if it is not too large and comes in time.
pub(super) async fn receive(
    request: &HttpRequest,
    payload: Payload,
) -> Result<ReceivedBody, Problem> {
    let state = request.app_data::<web::Data<State>>();
    let state = state.ok_or_else(|| Problem::internal(&"the server has no state"))?;
    let patience = Duration::from_secs(state.bridge.config.server.body_seconds);
    let received = tokio::time::timeout(patience, read_payload(request, payload)).await;
    received.map_err(|_| {
        let detail = format!("The body did not arrive within {} s.", patience.as_secs());
        Problem::new(Code::SlowBody, detail)
    })?
}

async fn read_payload(
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<ReceivedBody, Problem> {
    let limit = limit(request).bytes;
    let too_large = || {
        let detail = format!("The body may have at most {limit} bytes.");
        Problem::new(Code::BodyTooLarge, detail).limit(limit)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let large = LargeBodies::of(request)?;
    let payload = web::Payload::from_request(request, &mut payload).await;
    let mut payload = payload.map_err(|error| Problem::internal(&error))?;
    let mut body = ReceivedBody::default();
    // Memory that is announced and not written to costs none.
    body.bytes.reserve_exact(length.unwrap_or_default());
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| match error {
            PayloadError::Overflow => too_large(),
            error => {
                let detail = format!("The body did not arrive whole: {error}.");
                Problem::new(Code::BrokenBody, detail)
            }
        })?;
        if body.bytes.len() + piece.len() > limit {
            return Err(too_large());
        }
        body.reserve(piece.len(), limit, large)?;
        body.bytes.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Reads it as JSON. The bytes are gone when what they say is there.
pub(super) async fn parse<T: DeserializeOwned + Send + 'static>(
    request: &HttpRequest,
    body: ReceivedBody,
) -> Result<T, Problem> {
    let entries = limit(request).entries;
    let is_small = body.bytes.len() <= SMALL_BODY_BYTES;
    let read = move || {
        let read = strict::from_slice(&body.bytes, entries);
        drop(body);
        read.map_err(|error| words::problem(&error))
    };
    if is_small {
        return read();
    }
    let parses = Arc::clone(&LargeBodies::of(request)?.parses);
    // Those who wait are few: each has paid for its bytes.
    let turn = parses.acquire_owned().await;
    let turn = turn.map_err(|error| Problem::internal(&error))?;
    let parsed = tokio::task::spawn_blocking(move || {
        let parsed = read();
        drop(turn);
        parsed
    });
    parsed.await.map_err(|error| Problem::internal(&error))?
}

fn limit(request: &HttpRequest) -> BodyLimit {
    request.app_data::<BodyLimit>().copied().unwrap_or_default()
}
