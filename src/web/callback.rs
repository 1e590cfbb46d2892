//! WeChat's side of the door: the check of the callback URL, and the callbacks.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, web};

use super::State;
use crate::bridge::receive::{Answer, ReceiveError};
use crate::metrics;
use crate::wechat::callback::Query;
use crate::wechat::reply::SUCCESS;

/// `GET /callback/{app_id}`: answers the check of the URL with its `echostr`.
pub(super) async fn verify(
    state: web::Data<State>,
    app_id: web::Path<String>,
    query: web::Query<Query>,
) -> HttpResponse {
    match state.bridge.echo(&app_id, &query).await {
        // No signature covers the text, so no browser may take it for a page.
        Ok(echo) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(echo),
        Err(error) => refuse(&app_id, &error),
    }
}

/// `POST /callback/{app_id}`: answers HTTP 200 once the event is durable.
pub(super) async fn receive(
    state: web::Data<State>,
    app_id: web::Path<String>,
    query: web::Query<Query>,
    payload: web::Payload,
) -> HttpResponse {
    let limit = state.bridge.config.intake.max_body_bytes;
    let body = match payload.to_bytes_limited(limit).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            metrics::callback("broken_body");
            tracing::warn!(account.app_id = %app_id.escape_debug(), %error, "callback body not read");
            return HttpResponse::BadRequest().finish();
        }
        Err(_) => {
            metrics::callback("too_large");
            tracing::warn!(
                account.app_id = %app_id.escape_debug(),
                limit.bytes = limit,
                "callback refused: body too large"
            );
            return HttpResponse::PayloadTooLarge().finish();
        }
    };
    let received = state
        .bridge
        .receive(&state.intake, &app_id, &query, &body)
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

/// One log line that names the cause; WeChat itself reads nothing but the status.
fn refuse(app_id: &str, error: &ReceiveError) -> HttpResponse {
    let (status, cause) = match error {
        ReceiveError::UnknownAccount => (StatusCode::NOT_FOUND, "unknown_account"),
        ReceiveError::Refused(refusal) => (StatusCode::FORBIDDEN, refusal.code()),
        ReceiveError::Account(_) => (StatusCode::SERVICE_UNAVAILABLE, "account_unavailable"),
        ReceiveError::NotStored(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_stored"),
    };
    metrics::callback(cause);
    let app_id = app_id.escape_debug();
    if status.is_server_error() {
        tracing::error!(account.app_id = %app_id, cause, %error, "callback not taken");
    } else {
        tracing::warn!(account.app_id = %app_id, cause, %error, "callback refused");
    }
    HttpResponse::new(status)
}
