//! WeChat's side of the door: the check of the callback URL, and the callbacks.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::timeout;

use super::State;
use super::stray::Strays;
use crate::bridge::receive::{Answer, NotStored, ReceiveError};
use crate::metrics;
use crate::wechat::callback::Query;
use crate::wechat::reply::SUCCESS;

/// WeChat itself gives a push up after five seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /callback/{app_id}`: answers the check of the URL with its `echostr`.
pub(super) async fn verify(
    state: web::Data<State>,
    strays: web::Data<Strays>,
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
        Err(error) => refuse(&app_id, &error),
    }
}

/// `POST /callback/{app_id}`: answers HTTP 200 once the event is durable.
pub(super) async fn receive(
    state: web::Data<State>,
    strays: web::Data<Strays>,
    app_id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let since = Instant::now();
    let account = match state.bridge.account(&state.intake, &app_id).await {
        Ok(account) => account,
        Err(ReceiveError::UnknownAccount) => return unknown(&state, &strays, &request),
        Err(error) => return refuse(&app_id, &error),
    };
    let limit = state.bridge.config.intake.max_body_bytes;
    let body = match timeout(PATIENCE, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(error))) => {
            tracing::debug!(%error, "callback body broken off");
            return unread(&app_id, StatusCode::BAD_REQUEST, "broken_off");
        }
        Ok(Err(_)) => return unread(&app_id, StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Err(_) => return unread(&app_id, StatusCode::REQUEST_TIMEOUT, "too_slow"),
    };
    let query = Query::parse(request.query_string());
    let received = state
        .bridge
        .receive(&state.intake, &account, &query, &body, since)
        .await;
    match received {
        Ok(Answer::Success) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(SUCCESS),
        Ok(Answer::Reply(reply)) => HttpResponse::Ok()
            .content_type(ContentType::xml())
            .body(reply),
        Err(error) => refuse(&app_id, &error),
    }
}

fn unread(app_id: &str, status: StatusCode, cause: &'static str) -> HttpResponse {
    metrics::callback(cause);
    let said = cause.replace('_', " ");
    tracing::warn!(
        account.app_id = app_id,
        cause,
        "callback refused: body {said}"
    );
    // What is left of the body would be taken for the next request.
    HttpResponse::build(status).force_close().finish()
}

fn unknown(state: &State, strays: &Strays, request: &HttpRequest) -> HttpResponse {
    strays.unknown_account(state, request);
    HttpResponse::NotFound().finish()
}

/// One log line that names the cause; WeChat itself reads nothing but the status.
fn refuse(app_id: &str, error: &ReceiveError) -> HttpResponse {
    let (status, cause) = match error {
        ReceiveError::UnknownAccount => (StatusCode::NOT_FOUND, "unknown_account"),
        ReceiveError::Refused(refusal) => (StatusCode::FORBIDDEN, refusal.code()),
        ReceiveError::Account(_) => (StatusCode::SERVICE_UNAVAILABLE, "account_unavailable"),
        ReceiveError::NotStored(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_stored"),
    };
    metrics::callback(cause);
    if matches!(error, ReceiveError::NotStored(NotStored::Failed)) {
        // The writer has told it, once for all who waited for the same commit.
        tracing::debug!(account.app_id = app_id, cause, "callback not taken");
    } else if status.is_server_error() {
        tracing::error!(account.app_id = app_id, cause, %error, "callback not taken");
    } else {
        tracing::warn!(account.app_id = app_id, cause, %error, "callback refused");
    }
    HttpResponse::new(status)
}
