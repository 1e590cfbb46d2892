//! Times of requests: each is written as in RFC 3339; a filter may also be seconds since 1970.

use std::fmt;

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDateTime};
use serde::de::{self, Deserializer, Visitor};

use crate::web::error::{Code, Problem};

fn parse(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok()
}

/// An optional filter by WeChat's clock: RFC 3339, or seconds since 1970. In seconds.
pub(super) fn wechat_seconds(field: &str, value: Option<&String>) -> Result<Option<i64>, Problem> {
    let Some(value) = value else {
        return Ok(None);
    };
    let seconds = value.parse().ok().or_else(|| {
        let time = parse(value)?;
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

/// A filter of a body, for [`wechat_seconds`] and [`instant`]: what a query string has as text, which is a number
/// where it is seconds since 1970.
pub(super) fn filter_of_body<'de, D: Deserializer<'de>>(
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

/// An optional filter by our clock: RFC 3339, or seconds since 1970.
pub(super) fn instant(
    field: &str,
    value: Option<&String>,
) -> Result<Option<NaiveDateTime>, Problem> {
    let exact = value.and_then(|value| parse(value));
    if let Some(exact) = exact {
        return Ok(Some(exact.naive_utc()));
    }
    let Some(seconds) = wechat_seconds(field, value)? else {
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

/// A time that a body must have: RFC 3339.
pub(super) fn instant_of_body(field: &str, text: &str) -> Result<NaiveDateTime, Problem> {
    let time = parse(text).map(|time| time.naive_utc());
    time.ok_or_else(|| {
        let detail = format!("{field} must be a time such as 2026-01-01T00:00:00Z.");
        Problem::new(Code::InvalidField, detail).field(field)
    })
}

/// When a person answered, as an app reports it: RFC 3339. In seconds.
pub(super) fn reported_at(text: &str) -> Result<i64, Problem> {
    let time = parse(text).map(|time| time.timestamp());
    time.filter(|time| *time > 1).ok_or_else(|| {
        let detail = "reported_at must be a time such as 2026-01-01T00:00:00Z; JavaScript's \
                      toISOString() writes it so.";
        Problem::new(Code::InvalidField, detail).field("reported_at")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        wechat_seconds("since", Some(&text.to_owned()))
            .ok()
            .flatten()
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
