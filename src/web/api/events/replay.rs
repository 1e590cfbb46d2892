//! Processing once more, in bulk, what was put aside.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use serde::{Deserialize, Serialize};

use crate::bridge::process::MAX_REPLAYED;
use crate::ids::EventId;
use crate::ids::text::TextId;
use crate::models::event::Filter;
use crate::web::api::check::{self, ID_MAX};
use crate::web::api::cursor::{self, List};
use crate::web::api::person::Accounts;
use crate::web::api::{Caller, State};
use crate::web::body::MaybeBody;
use crate::web::error::{Code, Problem};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct Many {
    app_id: Option<String>,
    kind: Option<String>,
    openid: Option<String>,
    state: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// What became of a replay in bulk.
#[derive(Debug, Serialize)]
pub(in crate::web::api) struct Answer {
    /// How many are processed once more.
    taken: usize,
    /// Where to go on; null when all were looked at.
    next_cursor: Option<String>,
}

/// The one state that events are found by.
pub(super) fn only_failed(state: &str, code: Code) -> Result<bool, Problem> {
    if state == "failed" {
        return Ok(true);
    }
    let detail = "state can only be failed: an event whose effects could not be applied.";
    Err(Problem::new(code, detail).field("state"))
}

/// `POST /events/replay`: 202 with how many of the failed events that match wait again.
pub(in crate::web::api) async fn many(
    state: Data<State>,
    caller: Caller,
    body: MaybeBody<Many>,
) -> Result<(Json<Answer>, StatusCode), Problem> {
    let body = body.into_inner();
    let limit = limit(body.limit)?;
    if let Some(state) = &body.state {
        only_failed(state, Code::InvalidField)?;
    }
    check::maybe_text("kind", body.kind.as_ref(), ID_MAX)?;
    check::maybe_id("openid", TextId::Openid, body.openid.as_ref())?;
    let filter = Filter {
        kind: body.kind,
        openid: body.openid,
        since: check::time("since", body.since.as_ref())?,
        until: check::time("until", body.until.as_ref())?,
        failed: true,
        before: cursor::read(List::Events, body.cursor.as_deref())?.map(EventId),
    };
    let (app_id, project) = (body.app_id, caller.project_id);
    let accounts = state.bridge.db.snapshot(move |conn| {
        let accounts = Accounts::of(conn, project)?;
        Ok::<_, Problem>(match &app_id {
            None => accounts.ids(),
            Some(app_id) => {
                let account = accounts.with_app_id(app_id);
                vec![account.ok_or_else(|| no_such_account(app_id))?]
            }
        })
    });
    let accounts = accounts.await?;
    let replayed = state.bridge.replay_events(accounts, filter, limit).await?;
    let answer = Answer {
        taken: replayed.taken,
        next_cursor: replayed.next.map(|next| cursor::encode(List::Events, next)),
    };
    Ok((Json(answer), StatusCode::ACCEPTED))
}

fn no_such_account(app_id: &str) -> Problem {
    let detail = format!("The project has no account with the app id {app_id}.");
    Problem::new(Code::UnknownAppId, detail).field("app_id")
}

fn limit(given: Option<i64>) -> Result<i64, Problem> {
    let limit = given.unwrap_or(MAX_REPLAYED);
    if (1..=MAX_REPLAYED).contains(&limit) {
        return Ok(limit);
    }
    let detail =
        format!("limit must be a whole number from 1 to {MAX_REPLAYED}; go on with next_cursor.");
    Err(Problem::new(Code::InvalidField, detail)
        .field("limit")
        .limit(usize::try_from(MAX_REPLAYED).unwrap_or_default()))
}
