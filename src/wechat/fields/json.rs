//! Reads the JSON of a push into [`Fields`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Fields, FieldsError, MAX_DEPTH, MAX_FIELDS, Value, complaint};

/// The name that the items of an array inside an array get.
const ITEM: &str = "item";

/// Reads one JSON object.
pub(super) fn parse(text: &str) -> Result<Fields<'_>, FieldsError> {
    let mut budget = MAX_FIELDS;
    object(text, 1, &mut budget)
}

fn object<'a>(text: &'a str, depth: usize, budget: &mut usize) -> Result<Fields<'a>, FieldsError> {
    if depth > MAX_DEPTH {
        return Err(FieldsError::TooDeep);
    }
    let Object(members) = serde_json::from_str(text).map_err(broken)?;
    let mut fields = Fields::new();
    for (Text(name), raw) in members {
        let raw = raw.get();
        if raw.starts_with('[') {
            let Array(items) = serde_json::from_str(raw).map_err(broken)?;
            for item in items {
                fields.push(name.clone(), value(item.get(), depth, budget)?);
            }
        } else {
            fields.push(name, value(raw, depth, budget)?);
        }
    }
    Ok(fields)
}

fn value<'a>(raw: &'a str, depth: usize, budget: &mut usize) -> Result<Value<'a>, FieldsError> {
    *budget = budget.checked_sub(1).ok_or(FieldsError::TooMany)?;
    match raw.as_bytes().first() {
        Some(b'{') => object(raw, depth + 1, budget).map(Value::Fields),
        Some(b'[') if depth == MAX_DEPTH => Err(FieldsError::TooDeep),
        Some(b'[') => {
            let Array(items) = serde_json::from_str(raw).map_err(broken)?;
            let mut fields = Fields::new();
            for item in items {
                fields.push(ITEM, value(item.get(), depth + 1, budget)?);
            }
            Ok(Value::Fields(fields))
        }
        Some(b'"') => {
            let Text(text) = serde_json::from_str(raw).map_err(broken)?;
            Ok(Value::Text(text))
        }
        _ if raw == "null" => Ok(Value::Text(Cow::Borrowed(""))),
        _ => Ok(Value::Literal(Cow::Borrowed(raw))),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "used as map_err's function")]
fn broken(error: serde_json::Error) -> FieldsError {
    FieldsError::Json(complaint(&error))
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An object's members in order, the values still as they were written.
struct Object<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// An array's items, as they were written.
struct Array<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Array<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArrayVisitor;
        impl<'de> Visitor<'de> for ArrayVisitor {
            type Value = Array<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Array(items))
            }
        }
        deserializer.deserialize_seq(ArrayVisitor)
    }
}
