//! What fills a message in: a JSON object whose numbers stay as they were written. Most JSON libraries make a
//! `double` of a number, so that an order number of 23 digits loses the last seven, and 100.00 its cents; a person
//! would read the rest. Here a number is its text, in the request, in the table and in a template.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::{Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use super::FieldError;
use super::numbers;
use crate::bridge::limits::{PARAM_DEPTH_MAX, PARAM_DIGITS_MAX};

/// An object of such values, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, Param>);

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Param {
    Null,
    Bool(bool),
    /// As it was written.
    Number(Box<str>),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Params {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// If the text is not one.
    pub fn read(json: &str) -> serde_json::Result<Self> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
        members_of(members, 1).map(Self)
    }

    /// The JSON to store.
    ///
    /// # Errors
    /// If it cannot be written, which JSON of these types always can.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Whether every number is one that may be.
    ///
    /// # Errors
    /// Names the number that is too long.
    pub fn check(&self) -> Result<(), FieldError> {
        let mut members = self.0.iter();
        members.try_for_each(|(name, member)| member.check(&format!("params.{name}")))
    }

    /// As a template sees them.
    pub fn value(&self) -> Value {
        object(&self.0)
    }
}

fn members_of(
    members: BTreeMap<String, &RawValue>,
    depth: usize,
) -> serde_json::Result<BTreeMap<String, Param>> {
    let members = members.into_iter();
    let members = members.map(|(name, raw)| Ok((name, Param::read(raw.get(), depth)?)));
    members.collect()
}

fn object(members: &BTreeMap<String, Param>) -> Value {
    let members = members.iter();
    let members = members.map(|(name, member)| (Value::from(name.as_str()), member.value()));
    Value::from(members.collect::<BTreeMap<Value, Value>>())
}

impl Param {
    /// Reads what is JSON.
    fn read(json: &str, depth: usize) -> serde_json::Result<Self> {
        if depth > PARAM_DEPTH_MAX {
            let problem =
                format!("has more than {PARAM_DEPTH_MAX} lists and objects inside of each other");
            return Err(de::Error::custom(problem));
        }
        match json.bytes().next() {
            Some(b'{') => members_of(serde_json::from_str(json)?, depth + 1).map(Self::Object),
            Some(b'[') => {
                let entries: Vec<&RawValue> = serde_json::from_str(json)?;
                let entries = entries
                    .into_iter()
                    .map(|raw| Self::read(raw.get(), depth + 1));
                entries.collect::<serde_json::Result<_>>().map(Self::List)
            }
            Some(b'"') => serde_json::from_str(json).map(Self::Text),
            Some(b't' | b'f') => serde_json::from_str(json).map(Self::Bool),
            Some(b'n') => Ok(Self::Null),
            _ => Ok(Self::Number(json.into())),
        }
    }

    fn check(&self, field: &str) -> Result<(), FieldError> {
        match self {
            Self::Number(digits) if digits.len() > PARAM_DIGITS_MAX => {
                let length = digits.len();
                let problem = format!(
                    "is a number of {length} characters: give at most {PARAM_DIGITS_MAX}, or a text, in \
                     quotation marks"
                );
                Err(FieldError::new(field, problem))
            }
            Self::List(entries) => {
                let mut places = entries.iter().enumerate();
                places.try_for_each(|(at, entry)| entry.check(&format!("{field}[{at}]")))
            }
            Self::Object(members) => {
                let mut members = members.iter();
                members.try_for_each(|(name, member)| member.check(&format!("{field}.{name}")))
            }
            _ => Ok(()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Null => Value::from(()),
            Self::Bool(truth) => Value::from(*truth),
            Self::Number(written) => numbers::value(written),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(entries) => Value::from_iter(entries.iter().map(Self::value)),
            Self::Object(members) => object(members),
        }
    }
}

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Number(written) => {
                let raw = RawValue::from_string(written.as_ref().to_owned());
                raw.map_err(ser::Error::custom)?.serialize(to)
            }
            Self::Text(text) => to.serialize_str(text),
            Self::List(entries) => to.collect_seq(entries),
            Self::Object(members) => to.collect_map(members),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        for number in [
            "0",
            "-0",
            "7",
            "100.00",
            "1.10",
            "99999999999999999.99",
            "12345678901234567890123",
            "18446744073709551616",
            "-170141183460469231731687303715884105728",
            "1e3",
            "1E+400",
            "0.1234567890123456789",
            "5.0",
            "340282366920938463463374607431768211456",
        ] {
            let json = format!(r#"{{"a":[{number},{{"b":{number}}}],"n":{number}}}"#);
            let params = Params::read(&json).unwrap();
            assert_eq!(params.to_json().unwrap(), json);
            assert_eq!(params.value().get_attr("n").unwrap().to_string(), number);
            assert!(params.check().is_ok());
        }
        let same =
            |one: &str, other: &str| Params::read(one).unwrap() == Params::read(other).unwrap();
        assert!(same(r#"{"a": 1.0, "b": 2}"#, r#" {"b":2,"a":1.0}"#));
        assert!(
            !same(r#"{"a": 100.00}"#, r#"{"a": 100.0}"#),
            "written otherwise"
        );
    }

    #[test]
    fn what_is_no_object_or_too_much_is_refused_in_words() {
        for broken in [
            "[]",
            "7",
            "{",
            r#"{"a": 01}"#,
            r#"{"a": .5}"#,
            r#"{"a": 1.}"#,
            r#"{"a": NaN}"#,
        ] {
            assert!(Params::read(broken).is_err(), "{broken}");
        }
        let long = format!(r#"{{"a": [1, {{"b": {}}}]}}"#, "9".repeat(10_000));
        let error = Params::read(&long).unwrap().check().unwrap_err();
        assert_eq!(error.field, "params.a[1].b");
        assert!(
            error.problem.contains("10000 characters: give at most 128"),
            "{error}"
        );
        let deep = |levels| format!(r#"{{"a": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(Params::read(&deep(100)).is_ok());
        let error = Params::read(&deep(50_000)).unwrap_err();
        assert!(error.to_string().contains("more than 128"), "{error}");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,3}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_else_is_read_and_written_as_serde_json_does(json in any_json()) {
            let text = format!(r#"{{"a":{json}}}"#);
            let params = Params::read(&text).unwrap();
            prop_assert_eq!(params.to_json().unwrap(), text);
        }
    }
}
