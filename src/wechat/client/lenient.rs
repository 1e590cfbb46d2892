//! Field readers that shrug: one field of an unexpected type must not cost the whole answer.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A whole number, also when written as a string.
pub(in crate::wechat) fn as_i64(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A whole number, also when written as a string; anything else is `None`.
pub(in crate::wechat) fn int<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Value::deserialize(from).map(|value| as_i64(&value))
}

/// A non-empty string, unchanged (never trimmed); anything else is `None`.
pub(in crate::wechat) fn text<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// The whole numbers of a list; anything else is an empty list.
pub(in crate::wechat) fn ints<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(values) => values.iter().filter_map(as_i64).collect(),
        _ => Vec::new(),
    })
}
