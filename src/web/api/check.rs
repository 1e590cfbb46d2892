//! Texts from outside, checked before they reach the database.

use actix_web::HttpRequest;
use secrecy::{ExposeSecret as _, SecretString};

use crate::bridge::limits::{self, ID_MAX, IDEMPOTENCY_KEY_MAX, LOGIN_CODE_MAX};
use crate::ids::text::{TextId, TextIdError};
use crate::web::error::{Code, Problem};

/// The header that makes a repeated request the same one.
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The Idempotency-Key header: one, of visible ASCII characters.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut given = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let is_key = limits::is_idempotency_key(value.as_bytes());
    match value.to_str() {
        Ok(key) if is_key && given.next().is_none() => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!(
                "{IDEMPOTENCY_KEY} must be one header of 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII \
                 characters."
            );
            Err(Problem::new(Code::InvalidHeader, detail)
                .field(IDEMPOTENCY_KEY)
                .limit(IDEMPOTENCY_KEY_MAX))
        }
    }
}

/// A text that is not empty, not too long, and free of control characters.
pub(super) fn text(field: &str, value: &str, max: usize) -> Result<(), Problem> {
    limits::text(value, max).map_err(|error| {
        let problem = |code, what: &str| Problem::new(code, format!("{field} {what}")).field(field);
        match error.length {
            0 => problem(Code::InvalidField, "must not be empty."),
            _ if error.has_control => problem(
                Code::ControlCharacter,
                "contains a control character; send it without.",
            ),
            _ => {
                let what = format!("may have at most {max} characters.");
                problem(Code::TooLong, &what).limit(max)
            }
        }
    })
}

/// [`text`], where it is given.
pub(super) fn maybe_text(field: &str, value: Option<&String>, max: usize) -> Result<(), Problem> {
    value.map_or(Ok(()), |value| text(field, value, max))
}

/// An openid, unionid or staff id.
pub(super) fn id(field: &str, kind: TextId, value: &str) -> Result<(), Problem> {
    kind.check(value).map_err(|error| {
        let problem = |code| Problem::new(code, format!("{field} {error}.")).field(field);
        match error {
            TextIdError::Empty | TextIdError::Misused(_) => problem(Code::InvalidField),
            TextIdError::Control => problem(Code::ControlCharacter),
            TextIdError::TooLong(_) => problem(Code::TooLong).limit(ID_MAX),
        }
    })
}

/// [`id`], where it is given.
pub(super) fn maybe_id(field: &str, kind: TextId, value: Option<&String>) -> Result<(), Problem> {
    value.map_or(Ok(()), |value| id(field, kind, value))
}

/// A word of a query string that is one of few.
pub(super) fn word<T>(field: &str, value: Option<&String>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err = String>,
{
    value
        .map(|value| value.parse())
        .transpose()
        .map_err(|rule| Problem::new(Code::InvalidQuery, format!("{field} {rule}.")).field(field))
}

/// How many things one request in bulk is to look at; all that it may, unless it says otherwise.
pub(super) fn bulk_limit(given: Option<i64>, most: i64) -> Result<i64, Problem> {
    let limit = given.unwrap_or(most);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit must be a whole number from 1 to {most}; go on with next_cursor.");
    Err(Problem::new(Code::InvalidField, detail)
        .field("limit")
        .limit(usize::try_from(most).unwrap_or_default()))
}

/// A login code, before WeChat is asked.
pub(super) fn login_code(code: &str) -> Result<(), Problem> {
    text("code", code, LOGIN_CODE_MAX)
}

/// A password that is compared with the stored one: it is not empty and not too long, and is in no answer.
pub(super) fn secret(field: &str, value: &SecretString, max: usize) -> Result<(), Problem> {
    let length = value.expose_secret().chars().count();
    match length {
        0 => {
            let detail = format!("{field} must not be empty.");
            Err(Problem::new(Code::InvalidField, detail).field(field))
        }
        _ if length > max => {
            let detail = format!("{field} may have at most {max} characters.");
            Err(Problem::new(Code::TooLong, detail).field(field).limit(max))
        }
        _ => Ok(()),
    }
}
