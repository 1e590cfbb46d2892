//! Endpoints of the business, to which what happens is posted.

mod endpoint_body;
pub(super) mod messages;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::check;
use super::cursor::{List, Page, PageQuery};
use super::{Caller, State};
use crate::bridge::webhooks::manage::ManageError;
use crate::db::Conn;
use crate::ids::WebhookId;
use crate::models::webhook::{self, Webhook, WebhookState};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use crate::web::rates::{Kind, Rates};
use endpoint_body::EndpointBody;

/// Waiting events of one endpoint are counted up to here.
const WAITING_MAX: i64 = 10_000;
/// Those of each endpoint of a list are counted up to here.
const LISTED_WAITING_MAX: i64 = 100;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookView {
    id: WebhookId,
    url: String,
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Box<RawValue>>,
    /// Null: of every account.
    #[schema(value_type = Option<Vec<String>>)]
    app_ids: Option<Box<RawValue>>,
    description: Option<String>,
    enabled: bool,
    state: WebhookState,
    /// Why it was disabled.
    state_reason: Option<String>,
    state_at: DateTime<Utc>,
    /// Turns in a row that brought nothing but failures.
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    /// Events that wait for it, counted up to 10,000, in a list up to 100.
    waiting: i64,
    old_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RotatedSecret {
    id: WebhookId,
    secret: String,
    /// Until when the one before signs too.
    old_secret_until: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PingedView {
    /// Its webhook-id.
    webhook_id: String,
}

fn show(stored: Webhook, waiting: i64) -> WebhookView {
    let json = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
    let utc = |time: Option<chrono::NaiveDateTime>| time.map(|time| time.and_utc());
    WebhookView {
        id: stored.id,
        url: stored.url,
        events: json(Some(stored.events)),
        app_ids: json(stored.app_ids),
        description: stored.description,
        enabled: stored.state == WebhookState::Enabled,
        state: stored.state,
        state_reason: stored.state_reason,
        state_at: stored.state_at.and_utc(),
        failures: stored.failures,
        failing_since: utc(stored.failing_since),
        paused_until: utc(stored.paused_until),
        last_success_at: utc(stored.last_success_at),
        waiting,
        old_secret_until: utc(stored.old_secret_until),
        created_at: stored.created_at.and_utc(),
        updated_at: stored.updated_at.and_utc(),
        secret: None,
    }
}

fn show_with_waiting(conn: &mut Conn, stored: Webhook) -> Result<WebhookView, Problem> {
    let waiting = webhook::waiting(conn, &[stored.id], WAITING_MAX)?;
    let waiting = waiting.get(&stored.id).copied().unwrap_or_default();
    Ok(show(stored, waiting))
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Unknown => Self::not_found("endpoint"),
            ManageError::UnknownMessage => Self::not_found("event of this endpoint"),
            ManageError::TooMany => Self::new(Code::TooMany, format!("{error}. Delete one first.")),
            ManageError::NotEnabled => {
                let detail = "The endpoint is not enabled. Enable it first with PUT.";
                Self::new(Code::WebhookNotEnabled, detail)
            }
            ManageError::Rotating(_) => {
                let detail = format!(
                    "The secret was rotated twice within a day: {error}. Rotate again after that, or \
                     add a new endpoint and delete this one."
                );
                Self::new(Code::TooMany, detail)
            }
            ManageError::Vault(error) => Self::internal(&error),
            ManageError::Db(error) => error.into(),
        }
    }
}

/// `POST /webhooks`: adds an endpoint, and shows its secret this once.
#[utoipa::path(
    post,
    path = "/webhooks",
    tag = "webhooks",
    request_body = EndpointBody,
    responses((status = 201, description = "The endpoint, with its secret, which is shown once", body = WebhookView)),
    extensions(("x-codes" = json!(["unknown_app_id", "too_many"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Body<EndpointBody>,
) -> Result<(Json<WebhookView>, StatusCode), Problem> {
    let (settings, enabled) = body.into_inner().check(&state, caller.project_id).await?;
    let added = state
        .bridge
        .add_webhook(caller.project_id, settings, enabled);
    let (stored, secret) = added.await?;
    caller.made(stored.id);
    let view = WebhookView {
        secret: Some(secret.expose_secret().to_owned()),
        ..show(stored, 0)
    };
    Ok((Json(view), StatusCode::CREATED))
}

/// `GET /webhooks`: newest first.
#[utoipa::path(
    get,
    path = "/webhooks",
    tag = "webhooks",
    params(PageQuery),
    responses((status = 200, description = "A page of endpoints", body = Page<WebhookView>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let paging = query.paging(List::Webhooks)?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let before = paging.after.map(WebhookId);
        let mut found = webhook::list(conn, project, before, paging.rows())?;
        let next = paging.cut(&mut found, |row| row.id.0);
        let ids: Vec<WebhookId> = found.iter().map(|stored| stored.id).collect();
        let waiting = webhook::waiting(conn, &ids, LISTED_WAITING_MAX)?;
        let items = found.into_iter().map(|stored| {
            let waiting = waiting.get(&stored.id).copied().unwrap_or_default();
            show(stored, waiting)
        });
        Ok(Page::new(items.collect(), next))
    });
    Ok(Json(page.await?))
}

/// `GET /webhooks/{id}`: an endpoint, without its secret.
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    tag = "webhooks",
    responses((status = 200, description = "The endpoint", body = WebhookView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| {
        let found = webhook::find(conn, project, id)?;
        let found = found.ok_or_else(|| Problem::not_found("endpoint"))?;
        show_with_waiting(conn, found)
    });
    Ok(Json(found.await?))
}

/// `PUT /webhooks/{id}`: replaces everything but the secret; enables what was disabled.
#[utoipa::path(
    put,
    path = "/webhooks/{id}",
    tag = "webhooks",
    request_body = EndpointBody,
    responses((status = 200, description = "The endpoint was changed", body = WebhookView)),
    extensions(("x-codes" = json!(["not_found", "unknown_app_id"]))),
)]
pub(super) async fn put(
    state: Data<State>,
    caller: Caller,
    id: Path<WebhookId>,
    body: Body<EndpointBody>,
) -> Result<Json<WebhookView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let (settings, enabled) = body.into_inner().check(&state, project).await?;
    let bridge = state.bridge.clone();
    // It comes to its end where the caller does not wait for it.
    let changed =
        tokio::spawn(async move { bridge.change_webhook(project, id, settings, enabled).await });
    let changed = changed.await.map_err(|error| Problem::internal(&error))??;
    let shown = state
        .bridge
        .db
        .snapshot(move |conn| show_with_waiting(conn, changed));
    Ok(Json(shown.await?))
}

/// `DELETE /webhooks/{id}`: with all that waits for it.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    tag = "webhooks",
    responses((status = 204, description = "The endpoint was removed")),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<HttpResponse, Problem> {
    let deleted = state
        .bridge
        .delete_webhook(caller.project_id, id.into_inner());
    deleted.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /webhooks/{id}/rotate-secret`: a new secret; the one before signs too for a day.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    responses((status = 200, description = "The new secret, shown once", body = RotatedSecret)),
    extensions(("x-codes" = json!(["not_found", "too_many"]))),
)]
pub(super) async fn rotate(
    state: Data<State>,
    caller: Caller,
    request: HttpRequest,
    id: Path<WebhookId>,
) -> Result<Json<RotatedSecret>, Problem> {
    let (id, key) = (id.into_inner(), check::idempotency_key(&request)?);
    let rotated = state.bridge.rotate_webhook(caller.project_id, id, key);
    let (secret, until) = rotated.await?;
    Ok(Json(RotatedSecret {
        id,
        secret: secret.expose_secret().to_owned(),
        old_secret_until: until.and_utc(),
    }))
}

/// `POST /webhooks/{id}/test`: sends a `ping`.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/test",
    tag = "webhooks",
    responses((status = 202, description = "A `ping` is on its way", body = PingedView)),
    extensions(("x-codes" = json!(["not_found", "webhook_not_enabled", "too_often"]))),
)]
pub(super) async fn test(
    state: Data<State>,
    caller: Caller,
    rates: Data<Rates>,
    id: Path<WebhookId>,
) -> Result<(Json<PingedView>, StatusCode), Problem> {
    rates.take(&state, &caller, Kind::WebhookTest)?;
    let pinged = state
        .bridge
        .ping_webhook(caller.project_id, id.into_inner());
    let webhook_id = pinged.await?;
    caller.made(&webhook_id);
    Ok((Json(PingedView { webhook_id }), StatusCode::ACCEPTED))
}
