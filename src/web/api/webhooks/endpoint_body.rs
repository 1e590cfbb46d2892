//! What is given of an endpoint, to add or to change it.

use actix_web::web::Data;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::bridge::limits::{ENDPOINT_LIST_MAX, NAME_MAX};
use crate::bridge::webhooks::{EVERYTHING, EventKind};
use crate::ids::ProjectId;
use crate::models::webhook::EndpointSettings;
use crate::web::api::State;
use crate::web::api::check;
use crate::web::api::person::Accounts;
use crate::web::error::{Code, Problem};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct EndpointBody {
    url: String,
    events: Vec<String>,
    #[serde(default)]
    app_ids: Option<Vec<String>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl EndpointBody {
    /// Checks all of it. Returns what to store, and whether it shall be enabled.
    pub(super) async fn check(
        self,
        state: &Data<State>,
        project: ProjectId,
    ) -> Result<(EndpointSettings, bool), Problem> {
        let url = state.bridge.webhooks.poster().read_url(&self.url);
        let url = url.map_err(|error| {
            Problem::new(Code::InvalidField, format!("url {error}.")).field("url")
        })?;
        check_events("events", &self.events)?;
        check::maybe_text("description", self.description.as_ref(), NAME_MAX)?;
        if let Some(app_ids) = &self.app_ids {
            check_app_ids(state, project, app_ids.clone()).await?;
        }
        let json = |list: &Vec<String>| {
            serde_json::to_string(list).map_err(|error| Problem::internal(&error))
        };
        let settings = EndpointSettings {
            url: url.into(),
            events: json(&self.events)?,
            app_ids: self.app_ids.as_ref().map(json).transpose()?,
            description: self.description,
        };
        Ok((settings, self.enabled))
    }
}

/// At least one type, each known; or `*`.
pub(super) fn check_events(field: &str, events: &[String]) -> Result<(), Problem> {
    let known = |word: &&String| *word == EVERYTHING || word.parse::<EventKind>().is_ok();
    let unknown = events.iter().find(|word| !known(word));
    if unknown.is_none() && !events.is_empty() && events.len() <= ENDPOINT_LIST_MAX {
        return Ok(());
    }
    let words: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let detail = format!(
        "{field} must be a list of at least one of: {EVERYTHING}, {}.",
        words.join(", ")
    );
    Err(Problem::new(Code::InvalidField, detail).field(field))
}

async fn check_app_ids(
    state: &Data<State>,
    project: ProjectId,
    app_ids: Vec<String>,
) -> Result<(), Problem> {
    if app_ids.is_empty() || app_ids.len() > ENDPOINT_LIST_MAX {
        let detail = format!(
            "app_ids must have 1 to {ENDPOINT_LIST_MAX} app ids; leave it out for every account."
        );
        let problem = Problem::new(Code::InvalidField, detail).field("app_ids");
        return Err(problem.limit(ENDPOINT_LIST_MAX));
    }
    let checked = state.bridge.db.snapshot(move |conn| {
        let accounts = Accounts::of(conn, project)?;
        let unknown = app_ids
            .iter()
            .find(|app_id| accounts.with_app_id(app_id).is_none());
        match unknown {
            None => Ok(()),
            Some(app_id) => {
                let detail = format!(
                    "The project has no account with the app id {}.",
                    app_id.escape_debug()
                );
                Err(Problem::new(Code::UnknownAppId, detail).field("app_ids"))
            }
        }
    });
    checked.await
}
