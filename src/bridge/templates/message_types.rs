//! Message types are put and deleted: only here is it checked whether what their routes name is there.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Library, RouteProblem};
use crate::bridge::Bridge;
use crate::bridge::limits::FieldError;
use crate::bridge::routes::{self, Route};
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, ProjectId};
use crate::models::account::{self, Label, template_sync};
use crate::models::notification::message_type::{self, MessageType};
use crate::models::webhook;

/// What is to be stored under the name of a message type.
#[derive(Clone, Debug)]
pub struct MessageTypeDraft {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its routes, in the order in which they are tried.
    pub routes: Vec<Route>,
}

/// A message type as stored.
#[derive(Clone, Debug)]
pub struct StoredMessageType {
    /// The message type.
    pub message_type: MessageType,
    /// What is wrong with its routes, as far as the accounts' templates are known. That may be old: it warns
    /// and does not refuse, and is soon renewed.
    pub warnings: Vec<RouteProblem>,
    /// Whether there was none of this name before.
    pub is_new: bool,
}

/// Why a message type was not stored.
#[derive(Debug, Error)]
pub enum MessageTypeError {
    /// A route cannot be taken.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// Routes name accounts or endpoints that the project does not have, or accounts that cannot send on
    /// their channel.
    #[error("routes name what the project does not have")]
    Targets {
        /// What the first of the errors is about.
        first: Target,
        /// What is wrong, in the order of the routes; at least one.
        errors: Vec<FieldError>,
    },
    /// The routes cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a route sends through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An account.
    Account,
    /// An endpoint of the business.
    Endpoint,
}

impl Bridge {
    /// Adds or replaces a message type; what is on its way keeps its old routes.
    ///
    /// # Errors
    /// Names the routes that cannot be taken; or the database fails.
    pub async fn put_message_type(
        &self,
        project: ProjectId,
        draft: MessageTypeDraft,
    ) -> Result<StoredMessageType, MessageTypeError> {
        routes::check(&draft.routes)?;
        let json = routes::to_json(&draft.routes)?;
        let now = self.clock.now();
        let put = self.db.write(move |conn| -> Result<_, MessageTypeError> {
            let MessageTypeDraft {
                name,
                description,
                routes,
            } = &draft;
            let with_templates = check_targets(conn, project, routes)?;
            let description = description.as_deref();
            let (message_type, is_new) =
                message_type::put(conn, project, name, description, &json, now)?;
            let warnings = Library::of(conn, project)?.problems(routes);
            for account in with_templates {
                template_sync::want(conn, account, now)?;
            }
            Ok(StoredMessageType {
                message_type,
                warnings,
                is_new,
            })
        });
        let stored = put.await?;
        self.signals.templates.notify_one();
        Ok(stored)
    }

    /// Deletes a message type; notifications already accepted are still sent. Returns whether there was one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_message_type(
        &self,
        project: ProjectId,
        name: String,
    ) -> Result<bool, DbError> {
        self.db
            .write(move |conn| message_type::delete(conn, project, &name))
            .await
    }
}

/// Each route names an account of the project that can send on its channel, or an endpoint of the project.
/// Returns the accounts of which a template is named, each once.
fn check_targets(
    conn: &mut Conn,
    project: ProjectId,
    routes: &[Route],
) -> Result<BTreeSet<AccountId>, MessageTypeError> {
    let labels = account::labels(conn, project)?;
    let mut with_templates = BTreeSet::new();
    let mut found = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let account = account_of(route, &labels);
        let problem = route
            .channel
            .account_problem(account.map(|label| label.kind));
        found.extend(problem.map(|problem| {
            let error = FieldError::new(format!("routes[{at}].account"), problem);
            (Target::Account, error)
        }));
        let missing = missing_endpoint(conn, project, at, route)?;
        found.extend(missing.map(|error| (Target::Endpoint, error)));
        let has_template = route.channel.traits().has_template;
        with_templates.extend(account.filter(|_| has_template).map(|label| label.id));
    }
    match found.first().map(|(target, _)| *target) {
        None => Ok(with_templates),
        Some(first) => Err(MessageTypeError::Targets {
            first,
            errors: found.into_iter().map(|(_, error)| error).collect(),
        }),
    }
}

fn account_of<'a>(route: &Route, labels: &'a [Label]) -> Option<&'a Label> {
    let app_id = route.account.as_deref()?;
    labels.iter().find(|label| label.app_id == app_id)
}

/// Says that the endpoint that a route posts to is not there.
fn missing_endpoint(
    conn: &mut Conn,
    project: ProjectId,
    at: usize,
    route: &Route,
) -> QueryResult<Option<FieldError>> {
    let Some(id) = route.endpoint else {
        return Ok(None);
    };
    if webhook::find(conn, project, id)?.is_some() {
        return Ok(None);
    }
    let problem = format!(
        "({id}) is no endpoint of the project: add it with POST /webhooks, or correct the id"
    );
    Ok(Some(FieldError::new(
        format!("routes[{at}].endpoint"),
        problem,
    )))
}
