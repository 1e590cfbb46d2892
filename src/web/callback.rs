//! WeChat's side of the door: the check of the callback URL, and the callbacks. What the query says is checked before
//! anything of a body is read, and room for the body is taken before it is.

mod refusals;

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::State;
use super::stray::Strays;
use crate::bridge::intake::{Answer, NotStored, ReceiveError, Room};
use crate::metrics;
use crate::wechat::callback::{self, Query, Refusal};
use crate::wechat::reply::SUCCESS;

pub(super) use refusals::Refusals;
use refusals::RefusedCallback;

/// WeChat itself gives a push up after five seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of room that a body takes at a time.
const ROOM_STEP: usize = 16 << 10;

/// Why a callback is not taken in.
enum CallbackError {
    Receive(ReceiveError),
    TooLarge,
    BrokenOff,
    TooSlow,
}

impl From<ReceiveError> for CallbackError {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}

impl From<NotStored> for CallbackError {
    fn from(error: NotStored) -> Self {
        Self::Receive(error.into())
    }
}

/// `GET /callback/{app_id}`: answers the check of the URL with its `echostr`.
pub(super) async fn verify(
    state: web::Data<State>,
    strays: web::Data<Strays>,
    refusals: web::Data<Refusals>,
    app_id: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    let query = Query::parse(request.query_string());
    match state.bridge.echo(&state.intake, &app_id, &query).await {
        // No signature covers the text, so no browser may take it for a page.
        Ok(echo) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(echo),
        Err(ReceiveError::UnknownAccount) => unknown(&state, &strays, &request),
        Err(error) => refuse(&state, &refusals, &app_id, &error.into()),
    }
}

/// `POST /callback/{app_id}`: answers HTTP 200 once the event is durable.
pub(super) async fn receive(
    state: web::Data<State>,
    strays: web::Data<Strays>,
    refusals: web::Data<Refusals>,
    app_id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match take(&state, &app_id, &request, payload).await {
        Ok(Answer::Success) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(SUCCESS),
        Ok(Answer::Reply(reply)) => HttpResponse::Ok()
            .content_type(ContentType::xml())
            .body(reply),
        Err(CallbackError::Receive(ReceiveError::UnknownAccount)) => {
            unknown(&state, &strays, &request)
        }
        Err(refused) => refuse(&state, &refusals, &app_id, &refused),
    }
}

async fn take(
    state: &State,
    app_id: &str,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<Answer, CallbackError> {
    let since = Instant::now();
    let query = Query::parse(request.query_string());
    let account = state.bridge.account(&state.intake, app_id).await?;
    if query.is_unsigned() {
        return unsigned(state, request, payload).await;
    }
    let admitted = state.bridge.admit(&state.intake, account, &query).await?;
    let limit = state.bridge.config.intake.max_body_bytes;
    let length = length(request).unwrap_or_default();
    if length > limit {
        return Err(CallbackError::TooLarge);
    }
    let is_trusted = query.signature.is_some();
    // What is announced and does not come takes no room from others.
    let covered = length.min(ROOM_STEP);
    let mut room = state.intake.room(covered, is_trusted)?;
    let body = read(&mut payload, covered, limit, Some(&mut room)).await?;
    let received = state
        .bridge
        .receive(&state.intake, admitted, &query, body, (room, since));
    Ok(received.await?)
}

/// WeChat's cloud hosting asks whether somebody is there, unsigned and saying nothing.
async fn unsigned(
    state: &State,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<Answer, CallbackError> {
    let refused = || CallbackError::Receive(Refusal::Missing("signature").into());
    let length = length(request).unwrap_or_default();
    if length > callback::CONTAINER_CHECK_LENGTH {
        return Err(refused());
    }
    let limit = callback::CONTAINER_CHECK_LENGTH;
    let _room = state.intake.room(limit, false)?;
    match read(&mut payload, limit, limit, None).await {
        Ok(body) if callback::is_container_check(&body) => Ok(Answer::Success),
        Ok(_) | Err(CallbackError::TooLarge) => Err(refused()),
        Err(error) => Err(error),
    }
}

fn length(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads a body. What arrives beyond the bytes for which there is room already takes more of it first.
async fn read(
    payload: &mut web::Payload,
    mut covered: usize,
    limit: usize,
    mut room: Option<&mut Room>,
) -> Result<Vec<u8>, CallbackError> {
    let mut body = Vec::with_capacity(covered);
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "callback body broken off");
                CallbackError::BrokenOff
            })?;
            let together = body.len() + chunk.len();
            if together > limit {
                return Err(CallbackError::TooLarge);
            }
            if let Some(room) = &mut room
                && together > covered
            {
                let more = (together - covered).max(ROOM_STEP);
                if !room.grow(more) {
                    return Err(NotStored::Overloaded.into());
                }
                covered += more;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    };
    timeout(BODY_TIMEOUT, reading)
        .await
        .map_err(|_| CallbackError::TooSlow)??;
    Ok(body)
}

fn unknown(state: &State, strays: &Strays, request: &HttpRequest) -> HttpResponse {
    strays.unknown_account(state, request);
    HttpResponse::NotFound().finish()
}

/// Log lines that name the cause; WeChat itself reads nothing but the status.
fn refuse(
    state: &State,
    refusals: &Refusals,
    app_id: &str,
    refused: &CallbackError,
) -> HttpResponse {
    let (status, cause, error): (_, _, &dyn std::fmt::Display) = match refused {
        CallbackError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            &"body too large",
        ),
        CallbackError::BrokenOff => (StatusCode::BAD_REQUEST, "broken_off", &"body broken off"),
        CallbackError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", &"body too slow"),
        CallbackError::Receive(error) => {
            let (status, cause) = match error {
                ReceiveError::UnknownAccount => (StatusCode::NOT_FOUND, "unknown_account"),
                ReceiveError::Refused(refusal) => (StatusCode::FORBIDDEN, refusal.code()),
                ReceiveError::Account(_) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "account_unavailable")
                }
                ReceiveError::NotStored(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_stored"),
            };
            (status, cause, error)
        }
    };
    metrics::callback(cause);
    if matches!(
        refused,
        CallbackError::Receive(ReceiveError::NotStored(NotStored::Failed))
    ) {
        // The writer has logged it, once for all who waited for the same commit.
        tracing::debug!(account.app_id = app_id, cause, "callback not taken");
    } else {
        let refused = RefusedCallback {
            app_id,
            cause,
            status,
            error,
        };
        refusals.log(&refused, state.bridge.clock.unix_seconds());
    }
    let mut answer = HttpResponse::build(status);
    if status.is_client_error() {
        // What is left of the body would be taken for the next request.
        answer.force_close();
    }
    answer.finish()
}
