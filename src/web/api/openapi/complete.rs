//! What many operations have in common: their scopes, the parts of their paths, and the problems that any request of
//! their kind may meet.

use actix_web::http::Method;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, OpenApi, RefOr};

use super::super::auth::{Demand, Need, cookie};
use super::operations::operations;
use super::{parameters, problems};

/// The names of the two ways to say who asks.
const KEY: &str = "key";
const SESSION: &str = "session";
/// Where the table has the paths of this document.
const PREFIX: &str = "/v1";

/// Adds all that.
pub(super) fn complete(document: &mut OpenApi, demands: &[(&'static str, Method, Demand)]) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let demand = demands.iter().find(|(listed, has, _)| {
                listed.strip_prefix(PREFIX) == Some(path) && *has == method
            });
            // A test compares the document with the table.
            let Some((_, _, demand)) = demand else {
                continue;
            };
            describe(operation, path, &method, *demand);
        }
    }
    let key = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("qq_…")
        .description(Some(
            "A key of `queqiao keys add`. The scopes that an operation needs are listed with it; `admin` covers all.",
        ))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(KEY, SecurityScheme::Http(key));
    let session = ApiKeyValue::with_description(
        cookie::SESSION.name(),
        "The cookie of somebody who has signed in by `POST /session`; where Queqiao is reached by https, its name \
         begins with `__Host-`. What changes something must come from a page of Queqiao. The project is named by the \
         header `Queqiao-Project`, which may be left out by whoever has one project.",
    );
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)));
}

fn describe(operation: &mut Operation, path: &str, method: &Method, demand: Demand) {
    // The comment of a handler begins with what it answers.
    let begin = format!("`{method} {path}`: ");
    if let Some(summary) = &mut operation.summary
        && let Some(rest) = summary.strip_prefix(&begin)
    {
        let rest = rest.trim_end_matches('.');
        *summary = capitalized(rest);
    }
    if let Some(description) = &mut operation.description {
        *description = description.replacen(&begin, "", 1);
    }
    operation.operation_id = Some(id(method, path));
    operation.security = Some(securities(demand));
    let parts: Vec<Parameter> = parameters::of_path(path).collect();
    let kind = problems::Kind {
        need: demand.need,
        has_parts: !parts.is_empty(),
        has_query: demand.query,
        has_cursor: has_cursor(operation),
        has_body: operation.request_body.is_some(),
        is_safe: method.is_safe(),
    };
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameters::describe(parameter);
        }
    }
    let of_path = parts.into_iter().map(RefOr::T);
    operation
        .parameters
        .get_or_insert_default()
        .splice(0..0, of_path);
    problems::add(operation, kind);
}

/// Who may use it: the roles of a key are its scopes.
fn securities(demand: Demand) -> Vec<SecurityRequirement> {
    let scopes = [demand.need.scope(), demand.or].into_iter().flatten();
    let keys = scopes.map(|scope| SecurityRequirement::new(KEY, [scope.as_str()]));
    let role = match demand.need {
        Need::Read => Some("viewer"),
        Need::Notify | Need::Webhooks | Need::Admin => Some("operator"),
        Need::Owner => Some("owner"),
        Need::User => Some("user"),
        Need::Token | Need::Nobody => None,
    };
    let session = role.map(|role| SecurityRequirement::new(SESSION, [role]));
    keys.chain(session).collect()
}

fn has_cursor(operation: &Operation) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .any(|parameter| parameter.name == "cursor")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// A name for generated clients: `get_staff_by_staff_id`.
fn id(method: &Method, path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let words = parts.map(|part| match part.strip_prefix('{') {
        Some(name) => format!("by_{}", name.trim_end_matches('}')),
        None => part.replace('-', "_"),
    });
    let words: Vec<String> = words.collect();
    format!("{}_{}", method.as_str().to_lowercase(), words.join("_"))
}
