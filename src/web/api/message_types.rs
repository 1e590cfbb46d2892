//! Message types: the named notifications of the business, with their routes.

pub(super) mod preview;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::check;
use super::cursor::{List, Page, PageQuery};
use super::{Caller, State};
use crate::bridge::limits::{self, FieldError, MESSAGE_TYPE_NAME_MAX, NAME_MAX};
use crate::bridge::routes::Route;
use crate::bridge::templates::message_types::{MessageTypeDraft, MessageTypeError, Target};
use crate::bridge::templates::{Library, RouteProblem};
use crate::ids::MessageTypeId;
use crate::models::notification::message_type::{self, MessageType};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTypeBody {
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// How to send it, in the order in which the routes are tried.
    routes: Vec<Route>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageTypeView {
    name: String,
    description: Option<String>,
    #[schema(value_type = Option<Vec<Route>>)]
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
#[utoipa::path(
    put,
    path = "/message-types/{name}",
    tag = "message-types",
    request_body = MessageTypeBody,
    responses((status = 200, description = "The message type was changed", body = MessageTypeView), (status = 201, description = "The message type was made", body = MessageTypeView)),
    extensions(("x-codes" = json!(["unknown_app_id", "wrong_account_kind"]))),
)]
pub(super) async fn put(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    body: Body<MessageTypeBody>,
) -> Result<(Json<MessageTypeView>, StatusCode), Problem> {
    check_name(&name)?;
    check::maybe_text("description", body.description.as_ref(), NAME_MAX)?;
    let body = body.into_inner();
    let draft = MessageTypeDraft {
        name: name.into_inner(),
        description: body.description,
        routes: body.routes,
    };
    let put = state.bridge.put_message_type(caller.project_id, draft);
    let stored = put.await?;
    let view = MessageTypeView {
        warnings: Some(stored.warnings),
        ..show(stored.message_type)
    };
    let status = if stored.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((Json(view), status))
}

fn check_name(name: &str) -> Result<(), Problem> {
    if limits::is_message_type_name(name) {
        return Ok(());
    }
    let detail = format!(
        "A name begins with a lower-case letter, then has lower-case letters, digits and \
         underscores, at most {MESSAGE_TYPE_NAME_MAX} in all."
    );
    Err(Problem::new(Code::InvalidField, detail)
        .field("name")
        .limit(MESSAGE_TYPE_NAME_MAX))
}

impl From<MessageTypeError> for Problem {
    fn from(error: MessageTypeError) -> Self {
        match error {
            MessageTypeError::Invalid(error) => error.into(),
            MessageTypeError::Targets { first, errors } => wrong_targets(first, errors),
            MessageTypeError::Json(error) => Self::internal(&error),
            MessageTypeError::Db(error) => error.into(),
        }
    }
}

/// The first error is the problem; all of them are listed in it.
fn wrong_targets(first: Target, errors: Vec<FieldError>) -> Problem {
    let code = match first {
        Target::Account => Code::UnknownAppId,
        Target::Endpoint => Code::InvalidField,
    };
    let problem = match errors.first() {
        Some(error) => Problem::new(code, format!("{error}.")).field(&error.field),
        None => Problem::new(code, "A route names what the project does not have."),
    };
    problem.errors(errors)
}

/// `GET /message-types`: all of them, newest first.
#[utoipa::path(
    get,
    path = "/message-types",
    tag = "message-types",
    params(PageQuery),
    responses((status = 200, description = "A page of message types", body = Page<MessageTypeView>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<MessageTypeView>>, Problem> {
    let paging = query.paging(List::MessageTypes)?;
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

/// `GET /message-types/{name}`: a message type with its routes.
#[utoipa::path(
    get,
    path = "/message-types/{name}",
    tag = "message-types",
    responses((status = 200, description = "The message type", body = MessageTypeView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
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
#[utoipa::path(
    delete,
    path = "/message-types/{name}",
    tag = "message-types",
    responses((status = 204, description = "The message type was removed")),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn delete(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let deleted = state
        .bridge
        .delete_message_type(caller.project_id, name.into_inner());
    match deleted.await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found("message type")),
    }
}
