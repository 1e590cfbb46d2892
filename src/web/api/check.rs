//! Texts from outside, checked before they reach the database.

use std::fmt;

use actix_web::HttpRequest;
use chrono::{DateTime, Datelike as _, NaiveDateTime, Utc};
use serde::de::{self, Deserializer, Visitor};

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

/// A time of a query string: RFC 3339, or seconds since 1970. In seconds.
pub(super) fn time(field: &str, value: Option<&String>) -> Result<Option<i64>, Problem> {
    let Some(value) = value else {
        return Ok(None);
    };
    let seconds = value.parse().ok().or_else(|| {
        let time = DateTime::parse_from_rfc3339(value).ok()?;
        // The first whole second that is not before it, since CreateTime has whole ones.
        Some(time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0))
    });
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => {
            let detail = format!(
                "{field} must be a time such as 2026-01-01T00:00:00Z (a + in it is written %2B), \
                 or seconds since 1970."
            );
            Err(Problem::new(Code::InvalidQuery, detail).field(field))
        }
    }
}

/// A time of a body, for [`time`] and [`instant`]: what a query string has as text, which is a number where it
/// is seconds since 1970.
pub(super) fn time_of_body<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct Time;
    impl<'de> Visitor<'de> for Time {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as 2026-01-01T00:00:00Z, or seconds since 1970")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
            Ok(Some(seconds.to_string()))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
            Ok(Some(seconds.to_string()))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            inner.deserialize_any(self)
        }
    }
    deserializer.deserialize_any(Time)
}

/// A time of a query string: RFC 3339, or seconds since 1970.
pub(super) fn instant(
    field: &str,
    value: Option<&String>,
) -> Result<Option<NaiveDateTime>, Problem> {
    let exact = value.and_then(|value| DateTime::parse_from_rfc3339(value).ok());
    if let Some(exact) = exact {
        return Ok(Some(exact.naive_utc()));
    }
    let Some(seconds) = time(field, value)? else {
        return Ok(None);
    };
    match DateTime::from_timestamp(seconds, 0).filter(|time| (1970..=9999).contains(&time.year())) {
        Some(time) => Ok(Some(time.naive_utc())),
        None => {
            let detail = format!("{field} must be between the years 1970 and 9999.");
            Err(Problem::new(Code::InvalidQuery, detail).field(field))
        }
    }
}

/// WeChat's seconds since 1970 as a time; 0 and 1 stand for no time.
pub(super) fn wechat_time(seconds: i64) -> Option<DateTime<Utc>> {
    match seconds {
        0 | 1 => None,
        seconds => DateTime::from_timestamp(seconds, 0),
    }
}

/// A login code, before WeChat is asked.
pub(super) fn login_code(code: &str) -> Result<(), Problem> {
    text("code", code, LOGIN_CODE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        time("since", Some(&text.to_owned())).ok().flatten()
    }

    #[test]
    fn a_time_is_rfc_3339_or_seconds() {
        assert_eq!(seconds("1767225600"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T08:00:00+08:00"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T00:00:00.5Z"), Some(1_767_225_601));
        for bad in ["", "today", "2026-01-01", "1e9", "99999999999999999999"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
