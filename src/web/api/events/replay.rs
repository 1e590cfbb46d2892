//! Processing once more, in bulk, what was put aside.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::{self, EventFilters};
use crate::bridge::limits::REPLAYED_MAX;
use crate::ids::EventId;
use crate::web::api::cursor::{self, List};
use crate::web::api::person::Accounts;
use crate::web::api::{Caller, State, check, times};
use crate::web::body::MaybeBody;
use crate::web::error::{Code, Problem};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ReplayEventsBody)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct ReplayBody {
    app_id: Option<String>,
    kind: Option<String>,
    openid: Option<String>,
    state: Option<String>,
    #[serde(default, deserialize_with = "times::filter_of_body")]
    since: Option<String>,
    #[serde(default, deserialize_with = "times::filter_of_body")]
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// What became of a replay in bulk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayedEventsView)]
pub(in crate::web::api) struct ReplayedView {
    /// How many are processed once more.
    taken: usize,
    /// Where to go on; null when all were looked at.
    next_cursor: Option<String>,
}

/// `POST /events/replay`: 202 with how many of the failed events that match wait again.
#[utoipa::path(
    post,
    path = "/events/replay",
    tag = "events",
    request_body = Option<ReplayBody>,
    responses((status = 202, description = "How many are processed again", body = ReplayedView)),
    extensions(("x-codes" = json!(["invalid_cursor", "unknown_app_id"]))),
)]
pub(in crate::web::api) async fn many(
    state: Data<State>,
    caller: Caller,
    body: MaybeBody<ReplayBody>,
) -> Result<(Json<ReplayedView>, StatusCode), Problem> {
    let body = body.into_inner();
    let limit = check::bulk_limit(body.limit, REPLAYED_MAX)?;
    // What is not failed needs no other try, whether that is said or not.
    filter::only_failed(body.state.as_deref(), Code::InvalidField)?;
    let before = cursor::read(List::Events, body.cursor.as_deref())?;
    let filters = EventFilters {
        app_id: body.app_id,
        kind: body.kind,
        openid: body.openid,
        since: body.since,
        until: body.until,
    };
    let (filter, account) = filters.check(true, before.map(EventId))?;
    let project = caller.project_id;
    let accounts = state.bridge.db.snapshot(move |conn| {
        let accounts = Accounts::of(conn, project)?;
        account.resolve(&accounts, no_such_account)
    });
    let accounts = accounts.await?;
    let replayed = state.bridge.replay_events(accounts, filter, limit).await?;
    let answer = ReplayedView {
        taken: replayed.taken,
        next_cursor: replayed.next.map(|next| cursor::encode(List::Events, next)),
    };
    Ok((Json(answer), StatusCode::ACCEPTED))
}

fn no_such_account(app_id: &str) -> Problem {
    let detail = format!("The project has no account with the app id {app_id}.");
    Problem::new(Code::UnknownAppId, detail).field("app_id")
}
