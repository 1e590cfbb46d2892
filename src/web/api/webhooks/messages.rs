//! What was posted to an endpoint, and posting it again.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::endpoint_body::check_events;
use crate::bridge::limits::ID_MAX;
use crate::bridge::webhooks::EVERYTHING;
use crate::db::Conn;
use crate::ids::{ProjectId, WebhookId, WebhookMessageId};
use crate::models::webhook::{self, Filter, Message, MessageState, Webhook, WebhookState};
use crate::web::api::cursor::{List, Page, Paging};
use crate::web::api::{Caller, State, check, times};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct ListQuery {
    /// One state.
    state: Option<String>,
    /// One type of event.
    #[param(max_length = 128, example = "identity.followed")]
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct MessageView {
    id: WebhookMessageId,
    /// The same in every try and for every endpoint.
    webhook_id: String,
    #[serde(rename = "type")]
    kind: String,
    state: MessageState,
    /// Tries, since it was last put into the outbox.
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    last_answer: Option<AnswerView>,
    finished_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// As it is posted.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnswerView {
    /// Null: there was no answer, and `text` says why.
    status: Option<i32>,
    /// The first 500 bytes, as plain text.
    text: String,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let utc = |time: Option<NaiveDateTime>| time.map(|time| time.and_utc());
        Self {
            id: message.id,
            webhook_id: message.uid,
            kind: message.kind,
            state: message.state,
            attempts: message.attempts,
            next_attempt_at: utc(message.due_at),
            last_attempt_at: utc(message.last_attempt_at),
            last_answer: message.last_answer.map(|text| AnswerView {
                status: message.last_status,
                text,
            }),
            finished_at: utc(message.finished_at),
            created_at: message.created_at.and_utc(),
            payload: RawValue::from_string(message.body).ok(),
        }
    }
}

/// `GET /webhooks/{id}/deliveries`: newest first.
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries",
    tag = "webhooks",
    params(ListQuery),
    responses((status = 200, description = "A page of messages, newest first", body = Page<MessageView>)),
    extensions(("x-codes" = json!(["not_found", "invalid_field", "too_long"]))),
)]
pub(in crate::web::api) async fn list(
    state: Data<State>,
    caller: Caller,
    id: Path<WebhookId>,
    query: Query<ListQuery>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let paging = Paging::read(List::WebhookMessages, &query.limit, &query.cursor)?;
    check::maybe_text("type", query.kind.as_ref(), ID_MAX)?;
    let filter = Filter {
        state: check::word("state", query.state.as_ref())?,
        kind: query.kind.clone(),
        before: paging.after.map(WebhookMessageId),
    };
    let (id, project) = (id.into_inner(), caller.project_id);
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        find(conn, project, id)?;
        let found = webhook::page(conn, id, &filter, paging.limit())?;
        Ok(paging.page(found, Into::into))
    });
    Ok(Json(page.await?))
}

fn find(conn: &mut Conn, project: ProjectId, id: WebhookId) -> Result<Webhook, Problem> {
    webhook::find(conn, project, id)?.ok_or_else(|| Problem::not_found("endpoint"))
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct RetriedMessage {
    id: WebhookMessageId,
    state: MessageState,
    endpoint: EndpointStatus,
}

/// When an endpoint is posted to: what is in its outbox waits for that.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointStatus {
    /// Nothing is posted unless it is `enabled`.
    state: WebhookState,
    /// Nothing is posted before.
    paused_until: Option<DateTime<Utc>>,
}

impl From<Webhook> for EndpointStatus {
    fn from(webhook: Webhook) -> Self {
        Self {
            state: webhook.state,
            paused_until: webhook.paused_until.map(|until| until.and_utc()),
        }
    }
}

/// `POST /webhooks/{id}/deliveries/{message_id}/retry`: posts one again, as soon as its endpoint is
/// posted to.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/deliveries/{message_id}/retry",
    tag = "webhooks",
    responses((status = 202, description = "It is posted again", body = RetriedMessage)),
    extensions(("x-codes" = json!(["not_found", "webhook_not_enabled"]))),
)]
pub(in crate::web::api) async fn retry(
    state: Data<State>,
    caller: Caller,
    path: Path<(WebhookId, WebhookMessageId)>,
) -> Result<(Json<RetriedMessage>, StatusCode), Problem> {
    let (webhook, id) = path.into_inner();
    let retried = state
        .bridge
        .retry_webhook_message(caller.project_id, webhook, id);
    let endpoint = retried.await?.into();
    let retried = RetriedMessage {
        id,
        state: MessageState::Queued,
        endpoint,
    };
    Ok((Json(retried), StatusCode::ACCEPTED))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ReplayMessagesBody)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct ReplayBody {
    since: String,
    until: String,
    #[serde(default)]
    events: Option<Vec<String>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayedMessagesView)]
pub(in crate::web::api) struct ReplayedView {
    /// How many are posted again.
    enqueued: usize,
    endpoint: EndpointStatus,
}

/// `POST /webhooks/{id}/replay`: posts again what happened in that time.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/replay",
    tag = "webhooks",
    request_body = ReplayBody,
    responses((status = 202, description = "Those are done again", body = ReplayedView)),
    extensions(("x-codes" = json!(["not_found", "webhook_not_enabled"]))),
)]
pub(in crate::web::api) async fn replay(
    state: Data<State>,
    caller: Caller,
    id: Path<WebhookId>,
    body: Body<ReplayBody>,
) -> Result<(Json<ReplayedView>, StatusCode), Problem> {
    let body = body.into_inner();
    let since = times::instant_of_body("since", &body.since)?;
    let until = times::instant_of_body("until", &body.until)?;
    if until <= since {
        let detail = "until must be later than since.";
        return Err(Problem::new(Code::InvalidField, detail).field("until"));
    }
    let kinds = body.events;
    if let Some(kinds) = &kinds {
        check_events("events", kinds)?;
    }
    let kinds = kinds.filter(|kinds| kinds.iter().all(|kind| kind != EVERYTHING));
    let range = webhook::Range {
        since,
        until,
        kinds,
    };
    let (id, project, bridge) = (id.into_inner(), caller.project_id, state.bridge.clone());
    // It goes on where the caller does not wait for its end.
    let replayed = tokio::spawn(async move { bridge.replay_webhook(project, id, range).await });
    let (enqueued, endpoint) = replayed
        .await
        .map_err(|error| Problem::internal(&error))??;
    let replayed = ReplayedView {
        enqueued,
        endpoint: endpoint.into(),
    };
    Ok((Json(replayed), StatusCode::ACCEPTED))
}
