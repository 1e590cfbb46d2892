//! Message types: the named notifications of the business, with their routes.

pub(super) mod preview;

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::check::{self, NAME_MAX};
use super::cursor::{List, Page, Paging};
use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::routes::{self, FieldError, Route};
use crate::bridge::templates::{Library, RouteProblem};
use crate::db::Conn;
use crate::ids::{AccountId, MessageTypeId, ProjectId};
use crate::models::account::template_sync;
use crate::models::notification::message_type::{self, MessageType};
use crate::models::webhook;
use crate::web::body::Body;
use crate::web::error::{Code, FieldError as Wrong, Problem};

const TYPE_NAME_MAX: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// The ways to send it, in the order in which they are tried.
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MessageTypeView {
    name: String,
    description: Option<String>,
    routes: Option<Box<RawValue>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// What is wrong with the routes, as far as the accounts' templates are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<RouteProblem>>,
    /// The same, for whoever has just put it.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<RouteProblem>>,
}

fn show(stored: MessageType) -> MessageTypeView {
    MessageTypeView {
        name: stored.name,
        description: stored.description,
        routes: RawValue::from_string(stored.routes).ok(),
        created_at: stored.created_at.and_utc(),
        updated_at: stored.updated_at.and_utc(),
        problems: None,
        warnings: None,
    }
}

fn show_with_problems(stored: MessageType, library: &Library) -> MessageTypeView {
    let problems = Some(library.problems_of_json(&stored.routes));
    MessageTypeView {
        problems,
        ..show(stored)
    }
}

/// `PUT /message-types/{name}`: adds or replaces; what is on its way keeps its old routes.
pub(super) async fn put(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    body: Body<Put>,
) -> Result<(Json<MessageTypeView>, StatusCode), Problem> {
    check_name(&name)?;
    check::maybe_text("description", body.description.as_ref(), NAME_MAX)?;
    routes::check(&body.routes)?;
    let json = routes::to_json(&body.routes).map_err(|error| Problem::internal(&error))?;
    let (name, body) = (name.into_inner(), body.into_inner());
    let (project, now) = (caller.project_id, state.bridge.clock.now());
    let put = state.bridge.db.write(move |conn| -> Result<_, Problem> {
        let accounts = check_accounts(conn, project, &body.routes)?;
        let description = body.description.as_deref();
        let (stored, is_new) = message_type::put(conn, project, &name, description, &json, now)?;
        // What is known may be old: it warns and does not refuse, and is soon renewed.
        let warnings = Some(Library::of(conn, project)?.problems(&body.routes));
        for account in accounts {
            template_sync::want(conn, account, now)?;
        }
        let view = MessageTypeView {
            warnings,
            ..show(stored)
        };
        Ok((view, is_new))
    });
    let (view, is_new) = put.await?;
    state.bridge.signals.templates.notify_one();
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((Json(view), status))
}

/// A letter, then letters, digits and underscores, all lower case.
fn check_name(name: &str) -> Result<(), Problem> {
    let mut chars = name.chars();
    let is_name = chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= TYPE_NAME_MAX;
    if is_name {
        return Ok(());
    }
    let detail = "A name begins with a lower-case letter, then has lower-case letters, digits and \
                  underscores, at most 64 in all.";
    Err(Problem::new(Code::InvalidField, detail)
        .field("name")
        .limit(TYPE_NAME_MAX))
}

/// Each route names an account of the project that can send on its channel. Returns those of which a
/// template is named, each once.
fn check_accounts(
    conn: &mut Conn,
    project: ProjectId,
    routes: &[Route],
) -> Result<BTreeSet<AccountId>, Problem> {
    let accounts = Accounts::of(conn, project)?;
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let found = route.account.as_deref();
        let found = found.and_then(|app_id| accounts.labelled(app_id));
        let problem = route.channel.account_problem(found.map(|label| label.kind));
        wrong.extend(problem.map(|detail| Wrong {
            field: format!("routes[{at}].account"),
            detail,
        }));
        let has_template = route.channel.traits().has_template;
        wrong.extend(endpoint_problem(conn, project, at, route)?);
        named.extend(found.filter(|_| has_template).map(|label| label.id));
    }
    match wrong.first() {
        None => Ok(named),
        Some(first) => {
            let detail = format!("{} {}.", first.field, first.detail);
            let field = first.field.clone();
            let code = match first.field.ends_with("endpoint") {
                true => Code::InvalidField,
                false => Code::UnknownAppId,
            };
            Err(Problem::new(code, detail).field(field).errors(wrong))
        }
    }
}

/// What is wrong with the endpoint that a route posts to.
fn endpoint_problem(
    conn: &mut Conn,
    project: ProjectId,
    at: usize,
    route: &Route,
) -> Result<Option<Wrong>, Problem> {
    let Some(id) = route.endpoint else {
        return Ok(None);
    };
    if webhook::find(conn, project, id)?.is_some() {
        return Ok(None);
    }
    let detail = format!(
        "({id}) is no endpoint of the project: add it with POST /webhooks, or correct the id"
    );
    let field = format!("routes[{at}].endpoint");
    Ok(Some(Wrong { field, detail }))
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::new(Code::InvalidField, format!("{error}.")).field(error.field)
    }
}

/// `GET /message-types`: all of them, newest first.
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<Json<Page<MessageTypeView>>, Problem> {
    let (limit, cursor) = (query.limit.as_deref(), query.cursor.as_deref());
    let paging = Paging::read(List::MessageTypes, limit, cursor)?;
    let project = caller.project_id;
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let before = paging.after.map(MessageTypeId);
        let mut found = message_type::list(conn, project, before, paging.rows())?;
        let next = paging.cut(&mut found, |row| row.id.0);
        let library = Library::of(conn, project)?;
        let shown = found
            .into_iter()
            .map(|stored| show_with_problems(stored, &library));
        Ok(Page::new(shown.collect(), next))
    });
    Ok(Json(found.await?))
}

/// `GET /message-types/{name}`.
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<Json<MessageTypeView>, Problem> {
    let (name, project) = (name.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let found = message_type::find(conn, project, &name)?;
        let found = found.ok_or_else(|| Problem::not_found("message type"))?;
        let library = Library::of(conn, project)?;
        Ok(show_with_problems(found, &library))
    });
    Ok(Json(found.await?))
}

/// `DELETE /message-types/{name}`: notifications already accepted are still sent.
pub(super) async fn delete(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (name, project) = (name.into_inner(), caller.project_id);
    let delete = state
        .bridge
        .db
        .write(move |conn| message_type::delete(conn, project, &name));
    match delete.await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found("message type")),
    }
}
