//! Errors of the API: problem details (RFC 9457) with a stable `code`, the field, the limit and
//! what to do. An unexpected failure says nothing but an id, which is in the log line too.

mod code;
mod extract;

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::bridge::accounts::AccountError;
use crate::bridge::limits::{Broken, FieldError};
use crate::db::{Cause, DbError};
use crate::logging;

pub(super) use code::Code;
pub(super) use extract::{path, query};

/// Every code, with its title.
pub fn problem_codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    Code::ALL.iter().map(|code| (code.word(), code.title()))
}

/// The longest detail; some quote the caller.
const DETAIL_MAX: usize = 500;

/// What a caller is answered when a request does not work.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    shown: Shown,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request does not work, as problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(in crate::web) struct Shown {
    /// The code as a URN.
    #[serde(rename = "type")]
    #[schema(example = "urn:queqiao:problem:not_found")]
    kind: String,
    /// What the code means, in a few words.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable word for what is wrong.
    code: &'static str,
    /// What is wrong, for people, with the limit and what to do.
    detail: String,
    /// The place in the body, or the parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The message type whose text is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<String>,
    /// The rule that the text of a message breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// How long that text is.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    /// The limit that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// What else is wrong, if several things are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Of an unexpected failure: the log line that states the cause has the same id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self(Box::new(Parts {
            code,
            shown: Shown {
                kind: format!("urn:queqiao:problem:{}", code.word()),
                title: code.title(),
                status: code.status().as_u16(),
                code: code.word(),
                detail: detail.chars().take(DETAIL_MAX).collect(),
                field: None,
                message_type: None,
                rule: None,
                length: None,
                limit: None,
                errors: Vec::new(),
                id: None,
            },
            headers: Vec::new(),
        }))
    }

    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.shown.field = Some(field.into());
        self
    }

    /// Its field as one of this part of the body.
    pub(super) fn within(self, parent: &str) -> Self {
        let field = match &self.0.shown.field {
            Some(field) => format!("{parent}.{field}"),
            None => parent.to_owned(),
        };
        self.field(field)
    }

    pub(super) fn limit(mut self, limit: usize) -> Self {
        self.0.shown.limit = Some(limit as u64);
        self
    }

    pub(super) fn message_type(mut self, name: String) -> Self {
        self.0.shown.message_type = Some(name);
        self
    }

    /// The rule that a field of a message breaks.
    pub(super) fn broken(mut self, broken: Option<Broken>) -> Self {
        let shown = &mut self.0.shown;
        shown.rule = broken.map(|broken| broken.rule);
        shown.length = broken.and_then(|broken| Some(broken.length? as u64));
        shown.limit = broken.and_then(|broken| Some(broken.limit? as u64));
        self
    }

    pub(super) fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.shown.errors = errors;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Nothing of that kind in the project; the same answer for what another project has.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            Code::NotFound,
            format!("There is no such {what} in this project."),
        )
    }

    /// What nobody expected: the caller gets an id, the log the cause.
    pub(super) fn internal(cause: &dyn fmt::Display) -> Self {
        Self::logged(
            Code::Internal,
            "The request failed for a reason inside Queqiao. Its log has more under this id.",
            cause,
        )
    }

    fn logged(code: Code, detail: &str, cause: &dyn fmt::Display) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        tracing::error!(error.id = %id, error.code = code.word(), error = %cause, "request failed");
        let mut problem = Self::new(code, detail);
        problem.0.shown.id = Some(id);
        problem
    }
}

impl Problem {
    /// What everybody meets who asks now: the log has it once a second, not for each of them.
    fn outage(code: Code, detail: &str, cause: &dyn fmt::Display) -> Self {
        if let Some(unsaid) = logging::now_and_then(code.word()) {
            tracing::error!(error.code = code.word(), error = %cause, unsaid, "requests fail");
        }
        Self::new(code, detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.shown.code, self.0.shown.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        for header in &self.0.headers {
            response.insert_header(header.clone());
        }
        let mut response = response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .body(serde_json::to_vec(&self.0.shown).unwrap_or_default());
        super::headers::seal(response.headers_mut());
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let (code, detail, seconds) = match error.cause() {
            Cause::Data | Cause::Unclear => return Self::internal(&error),
            Cause::Busy => (
                Code::Unavailable,
                "Somebody else is changing the same. Try again in a moment.",
                2,
            ),
            Cause::Away => (
                Code::Unavailable,
                "The database does not answer. Try again in a moment.",
                2,
            ),
            Cause::TooSlow => (
                Code::TooSlow,
                "The database needs longer for this than a request may wait, or too many requests \
                 wait for it. Ask for less at a time, or try again later.",
                10,
            ),
            Cause::Unwritable => (
                Code::NotWritable,
                "The database can store nothing now: its disk is full or fails, or it is \
                 read-only. The operator has to see to it.",
                30,
            ),
        };
        Self::outage(code, detail, &error).retry_after(seconds)
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::new(Code::InvalidField, format!("{error}.")).field(error.field)
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Db(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_failure_shows_its_id_and_not_its_cause() {
        let problem = Problem::internal(&"table identities is on fire");
        let shown = serde_json::to_value(&problem.0.shown).unwrap();
        assert_eq!(problem.status_code(), 500);
        assert_eq!(shown["code"], "internal");
        assert_eq!(shown["id"].as_str().unwrap().len(), 16);
        assert!(!shown.to_string().contains("fire"), "{shown}");
    }

    #[test]
    fn a_database_that_is_away_is_worth_another_try() {
        let problem = Problem::from(DbError::Unavailable("password of db".to_owned()));
        let response = problem.error_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
        assert!(!problem.to_string().contains("password"));
    }
}
