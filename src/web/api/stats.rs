//! Numbers by day, as a chart takes them.

use actix_web::web::{Data, Json, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::people::unknown_app_id;
use super::{Caller, State};
use crate::bridge::stats::series::{Stats, StatsError, StatsRequest};
use crate::clock::Day;
use crate::web::error::{Code, Problem};

/// What can be told apart.
const GROUPS: [&str; 3] = ["channel", "reason", "account"];

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    /// The first day, in the time zone of the project; without it 30 days are shown.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day; without it today. At most 400 days are shown.
    #[param(format = Date, example = "2026-11-30")]
    to: Option<String>,
    app_id: Option<String>,
    /// What to tell apart: `channel`, `reason`, `account`, or several of them with commas.
    #[param(example = "channel,reason")]
    group: Option<String>,
}

/// `GET /stats`: a series for each number, with a count for every day.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "stats",
    params(StatsQuery),
    responses((status = 200, description = "A series for each number, with every day", body = Stats)),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    query: Query<StatsQuery>,
) -> Result<Json<Stats>, Problem> {
    let query = query.into_inner();
    let group = query.group.as_deref().map(groups).transpose()?;
    let is_apart = |word: &str| group.iter().flatten().any(|one| *one == word);
    let request = StatsRequest {
        from: day("from", query.from.as_deref())?,
        to: day("to", query.to.as_deref())?,
        by_channel: is_apart("channel"),
        by_reason: is_apart("reason"),
        by_account: is_apart("account"),
        app_id: query.app_id,
    };
    let found = state.bridge.stats(caller.project_id, request).await;
    found.map(Json).map_err(refused)
}

fn day(field: &str, value: Option<&str>) -> Result<Option<Day>, Problem> {
    let day = value.map(str::parse).transpose();
    day.map_err(|rule| {
        let detail = format!("{field} {rule}, in the time zone of the project.");
        Problem::new(Code::InvalidQuery, detail).field(field)
    })
}

fn groups(text: &str) -> Result<Vec<&str>, Problem> {
    let words: Vec<&str> = text.split(',').collect();
    match words.iter().all(|word| GROUPS.contains(word)) {
        true => Ok(words),
        false => {
            let detail = format!(
                "group must be of these, several with commas: {}.",
                GROUPS.join(", ")
            );
            Err(Problem::new(Code::InvalidQuery, detail).field("group"))
        }
    }
}

fn refused(error: StatsError) -> Problem {
    let detail = format!("{error}.");
    match error {
        StatsError::Db(error) => error.into(),
        StatsError::UnknownAppId(app_id) => unknown_app_id(&app_id),
        StatsError::Backwards { .. } => Problem::new(Code::InvalidQuery, detail).field("from"),
        StatsError::TooLong { .. } => Problem::new(Code::InvalidQuery, detail).field("to"),
        StatsError::TooMany => Problem::new(Code::InvalidQuery, detail).field("group"),
    }
}
