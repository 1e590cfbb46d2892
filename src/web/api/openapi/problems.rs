//! The problems of an operation: those that its handler names (`x-codes`), and those that every request of its kind
//! may meet. Answers are sorted by status, as the document has them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use utoipa::ToSchema as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::operations::operations;
use crate::web::auth::Need;
use crate::web::error::{Code, Shown};

/// Under this name a handler names its codes; they stay in the document.
const CODES: &str = "x-codes";
/// The type of a problem (RFC 9457).
pub(super) const PROBLEM: &str = "application/problem+json";

/// What decides which problems a request may meet before its handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Who may use it.
    pub(super) need: Need,
    /// Its path names something.
    pub(super) has_parts: bool,
    /// It reads a query string.
    pub(super) has_query: bool,
    /// It has pages.
    pub(super) has_cursor: bool,
    /// It has a body.
    pub(super) has_body: bool,
    /// It changes nothing.
    pub(super) is_safe: bool,
}

impl Kind {
    fn codes(self) -> Vec<Code> {
        let mut codes = match self.need {
            Need::Nobody => vec![Code::CrossSite],
            Need::User | Need::Owner => vec![
                Code::Unauthorized,
                Code::UserNeeded,
                Code::MissingRole,
                Code::CrossSite,
            ],
            // A user names the project in a header.
            _ => vec![
                Code::Unauthorized,
                Code::MissingScope,
                Code::MissingRole,
                Code::CrossSite,
                Code::UnknownProject,
                Code::InvalidHeader,
            ],
        };
        codes.extend([
            // A query string, or a part of the path, that no operation takes.
            Code::InvalidQuery,
            Code::Internal,
            Code::Unavailable,
            Code::TooSlow,
        ]);
        if self.has_parts {
            codes.extend([Code::InvalidPath, Code::ControlCharacter]);
        }
        if self.has_query {
            codes.push(Code::ControlCharacter);
        }
        if self.has_cursor {
            codes.push(Code::InvalidCursor);
        }
        if self.has_body {
            codes.extend([
                Code::InvalidJson,
                Code::BrokenBody,
                Code::ControlCharacter,
                Code::SlowBody,
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::InvalidBody,
                Code::UnknownField,
                Code::MissingField,
                Code::InvalidField,
                Code::TooLong,
                Code::Busy,
            ]);
        }
        if !self.is_safe {
            codes.push(Code::NotWritable);
        }
        codes
    }
}

/// Adds the answers that are problems.
pub(super) fn add(operation: &mut Operation, kind: Kind) {
    let own = operation.extensions.clone().unwrap_or_default();
    let own = own.get(CODES).and_then(Value::as_array);
    // A test looks whether all words are codes.
    let own = own.into_iter().flatten().filter_map(Value::as_str);
    let own = own.filter_map(|word| Code::ALL.iter().find(|code| code.word() == word));
    let mut by_status: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    for code in own.copied().chain(kind.codes()) {
        let words = by_status.entry(code.status().as_u16()).or_default();
        words.insert(code.word());
    }
    for (status, words) in by_status {
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_string(), response(&words).into());
    }
}

fn response(words: &BTreeSet<&'static str>) -> Response {
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied()));
    let narrowed = ObjectBuilder::new().property("code", code);
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(Shown::name()))
        .item(narrowed);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let described: Vec<&str> = words.iter().copied().collect();
    ResponseBuilder::new()
        .description(described.join(", "))
        .content(PROBLEM, content)
        .build()
}

/// Gives answers that several operations have a name, and lets these refer to it.
pub(super) fn share(document: &mut OpenApi) {
    let mut uses: BTreeMap<(String, String), usize> = BTreeMap::new();
    each(document, |status, answer| {
        if let RefOr::T(response) = answer {
            let key = (status.to_owned(), response.description.clone());
            *uses.entry(key).or_default() += 1;
        }
    });
    let mut names: BTreeMap<(String, String), String> = BTreeMap::new();
    for (status, words) in uses
        .into_iter()
        .filter(|(_, uses)| *uses > 1)
        .map(|(key, _)| key)
    {
        let same = names.keys().filter(|(other, _)| *other == status).count();
        let name = format!("Problem{status}.{}", same + 1);
        names.insert((status, words), name);
    }
    let mut shared: BTreeMap<String, RefOr<Response>> = BTreeMap::new();
    each(document, |status, answer| {
        let RefOr::T(response) = &*answer else { return };
        let key = (status.to_owned(), response.description.clone());
        let Some(name) = names.get(&key) else { return };
        let refer = RefOr::Ref(Ref::from_response_name(name));
        shared.insert(name.clone(), std::mem::replace(answer, refer));
    });
    let components = document.components.get_or_insert_with(Components::new);
    components.responses.extend(shared);
}

/// Each answer that is a problem, with its status.
fn each(document: &mut OpenApi, mut see: impl FnMut(&str, &mut RefOr<Response>)) {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            for (status, answer) in &mut operation.responses.responses {
                let is_problem = |response: &Response| response.content.contains_key(PROBLEM);
                if matches!(answer, RefOr::T(response) if is_problem(response)) {
                    see(status, answer);
                }
            }
        }
    }
}
