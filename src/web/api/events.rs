//! Events: what WeChat pushed, parsed and raw.

mod filter;
pub(super) mod replay;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::cursor::{List, Page, Paging};
use super::people::unknown_app_id;
use super::person::Accounts;
use super::{Caller, State};
use crate::clock::wechat_time;
use crate::ids::{EventId, IdentityId};
use crate::models::event::{self, Event, EventState};
use crate::web::error::{Code, Problem};
use crate::wechat::message::{self, Push};

use filter::EventFilters;
pub(super) use replay::many as replay_many;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    app_id: Option<String>,
    /// The kind of event, such as `text` or `event.subscribe`.
    #[param(max_length = 128, example = "event.subscribe")]
    kind: Option<String>,
    openid: Option<String>,
    /// Only `failed` ones can be asked for.
    #[param(example = "failed")]
    state: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// An event in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventSummary {
    id: EventId,
    app_id: Option<String>,
    /// `text`, `event.subscribe`, …
    kind: String,
    openid: Option<String>,
    /// The identity it concerns, once it is processed.
    identity_id: Option<IdentityId>,
    /// WeChat's CreateTime.
    create_time: Option<DateTime<Utc>>,
    received_at: DateTime<Utc>,
    /// `waiting`, `processed` or `failed`.
    state: EventState,
    /// Why it could not be parsed or processed.
    problem: Option<String>,
}

/// One event with its body, which is text where it is UTF-8 and base64 where it is not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventView {
    #[serde(flatten)]
    summary: EventSummary,
    /// The push, taken apart; null where it cannot be.
    #[schema(value_type = Option<Object>)]
    parsed: Option<Push>,
    raw: String,
    /// `text` or `base64`.
    raw_encoding: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuedEvent {
    id: EventId,
    state: EventState,
}

/// `GET /events`: newest first.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(ListQuery),
    responses((status = 200, description = "A page of events, newest first", body = Page<EventSummary>)),
    extensions(("x-codes" = json!(["invalid_field", "too_long"]))),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<Json<Page<EventSummary>>, Problem> {
    let query = query.into_inner();
    let paging = Paging::read(List::Events, &query.limit, &query.cursor)?;
    let is_failed = filter::only_failed(query.state.as_deref(), Code::InvalidQuery)?;
    let filters = EventFilters {
        app_id: query.app_id,
        kind: query.kind,
        openid: query.openid,
        since: query.since,
        until: query.until,
    };
    let (filter, account) = filters.check(is_failed, paging.after.map(EventId))?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = Accounts::of(conn, project)?;
        let ids = account.resolve(&accounts, unknown_app_id)?;
        let found = event::list(conn, &ids, &filter, paging.limit())?;
        Ok(paging.page(found, |event| show(event, &accounts)))
    });
    Ok(Json(page.await?))
}

/// `GET /events/{id}`: an event with its body.
#[utoipa::path(
    get,
    path = "/events/{id}",
    tag = "events",
    responses((status = 200, description = "The event", body = EventView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<EventId>,
) -> Result<Json<EventView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let whole = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = Accounts::of(conn, project)?;
        let found = event::by_id(conn, &accounts.ids(), id)?;
        let mut found = found.ok_or_else(|| Problem::not_found("event"))?;
        let parsed = message::parse(&found.body).ok();
        let (raw, raw_encoding) = match String::from_utf8(std::mem::take(&mut found.body)) {
            Ok(text) => (text, "text"),
            Err(error) => (STANDARD.encode(error.as_bytes()), "base64"),
        };
        Ok(EventView {
            summary: show(found, &accounts),
            parsed,
            raw,
            raw_encoding,
        })
    });
    Ok(Json(whole.await?))
}

fn show(event: Event, accounts: &Accounts) -> EventSummary {
    EventSummary {
        id: event.id,
        app_id: accounts.app_id(event.account_id),
        kind: event.kind,
        openid: event.openid,
        identity_id: event.identity_id,
        create_time: wechat_time(event::counted(event.create_time, event.received_at)),
        received_at: event.received_at.and_utc(),
        state: EventState::of(event.state),
        problem: event.problem,
    }
}

/// `POST /events/{id}/replay`: processes an event once more; effects that are there stay.
#[utoipa::path(
    post,
    path = "/events/{id}/replay",
    tag = "events",
    responses((status = 202, description = "It is processed again", body = QueuedEvent)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn replay(
    state: Data<State>,
    caller: Caller,
    id: Path<EventId>,
) -> Result<(Json<QueuedEvent>, StatusCode), Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let accounts = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = Accounts::of(conn, project)?;
        Ok(accounts.ids())
    });
    if !state.bridge.replay_event(accounts.await?, id).await? {
        return Err(Problem::not_found("event"));
    }
    let state = EventState::Waiting;
    Ok((Json(QueuedEvent { id, state }), StatusCode::ACCEPTED))
}
