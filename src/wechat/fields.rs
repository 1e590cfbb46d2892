//! One small ordered tree for both formats of a push, XML and JSON, so that the rest reads only one.
//!
//! Repeated XML elements and JSON arrays are the same thing here: several fields of one name.
//! Texts borrow from the body wherever it holds them as they are.

mod json;
mod repair;
mod write;
mod xml;

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// How deep a push may be nested; real ones have five levels.
const MAX_DEPTH: usize = 16;

/// How many fields a push may have in all; real ones have a few dozen.
const MAX_FIELDS: usize = 4096;

/// How many characters of a parser's complaint are kept.
const MAX_COMPLAINT: usize = 200;

/// The fields of a push, or of one element in it, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text, never trimmed. XML knows only texts.
    Text(Cow<'a, str>),
    /// A JSON number or boolean, digit for digit: 64-bit ids survive. Written bare in both formats.
    Literal(Cow<'a, str>),
    /// Nested fields.
    Fields(Fields<'a>),
}

/// The data format of an account's pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Official accounts, and mini-programs by choice.
    Xml,
    /// Mini-programs by choice.
    Json,
}

/// Why a body is not a tree of fields.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldsError {
    /// Not UTF-8.
    #[error("the body is not UTF-8 (byte {0})")]
    NotUtf8(usize),
    /// Neither `<` nor `{` at the start.
    #[error("the body is neither XML nor JSON")]
    UnknownFormat,
    /// Ill-formed XML, as when WeChat inserts a user's text without escaping it.
    #[error("ill-formed XML: {0}")]
    Xml(String),
    /// A document type declaration, which no push has and which can make a parser expand entities.
    #[error("XML with a DOCTYPE is refused")]
    Doctype,
    /// Ill-formed JSON.
    #[error("ill-formed JSON: {0}")]
    Json(String),
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Too many fields.
    #[error("more than {MAX_FIELDS} fields")]
    TooMany,
}

impl<'a> Fields<'a> {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a body in the format it starts like. WeChat's console setting is not asked: documentation and
    /// practice disagree about who sends what.
    pub fn parse(body: &'a [u8]) -> Result<Self, FieldsError> {
        let text =
            std::str::from_utf8(body).map_err(|error| FieldsError::NotUtf8(error.valid_up_to()))?;
        let text = text.trim_start_matches('\u{feff}').trim_ascii();
        match text.as_bytes().first() {
            Some(b'<') => xml::parse(text),
            Some(b'{') => json::parse(text),
            _ => Err(FieldsError::UnknownFormat),
        }
    }

    /// Whether a text of this well-formed body has brought elements or sections of its own: then it is to be read as
    /// [`Fields::repaired`] has it.
    pub(in crate::wechat) fn is_suspect(&self, body: &[u8]) -> bool {
        repair::is_suspect(self) || std::str::from_utf8(body).is_ok_and(repair::has_false_section)
    }

    /// XML in which texts have broken out of their CDATA, put right: the most probable reading first, which need not be
    /// well-formed. Empty for any other body.
    pub(in crate::wechat) fn repaired(body: &[u8]) -> impl Iterator<Item = String> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let text = text.trim_start_matches('\u{feff}').trim_ascii();
        let is_xml = text.starts_with('<');
        let ends = [repair::End::Last, repair::End::First];
        let ends = ends.into_iter().filter(move |_| is_xml);
        ends.filter_map(|end| repair::repair(text, end))
    }

    /// Appends a field; a name may occur several times.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.entries.push((name.into(), value.into()));
    }

    /// [`Fields::push`] for building in one expression.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Self {
        self.push(name, value);
        self
    }

    /// The first field of that name, without regard to case or blanks around the name.
    ///
    /// The first one counts because the fields that identify a push stand before any text of a user.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.all(name).next()
    }

    /// All fields of that name, in order.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &Value<'a>> {
        self.entries
            .iter()
            .filter(move |(key, _)| is_named(key, name))
            .map(|(_, value)| value)
    }

    /// The text or literal of the first field of that name; nothing where it holds nested fields.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The nested fields of the first field of that name.
    pub fn fields(&self, name: &str) -> Option<&Fields<'a>> {
        self.get(name).and_then(Value::as_fields)
    }

    /// Every field in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
    }

    /// How many fields there are on this level.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same fields, borrowing nothing.
    pub fn into_owned(self) -> Fields<'static> {
        let own = |(name, value): (Cow<'a, str>, Value<'a>)| {
            (Cow::Owned(name.into_owned()), value.into_owned())
        };
        Fields {
            entries: self.entries.into_iter().map(own).collect(),
        }
    }

    /// The fields grouped by name, each name at its first place.
    fn grouped(&self) -> Vec<(&str, Vec<&Value<'a>>)> {
        let mut groups: Vec<(&str, Vec<&Value<'a>>)> = Vec::with_capacity(self.entries.len());
        for (name, value) in self.iter() {
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => groups.push((name, vec![value])),
            }
        }
        groups
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (Cow<'a, str>, Value<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> Value<'a> {
    /// The text or the literal.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Literal(text) => Some(text),
            Value::Fields(_) => None,
        }
    }

    /// The nested fields.
    pub fn as_fields(&self) -> Option<&Fields<'a>> {
        match self {
            Value::Fields(fields) => Some(fields),
            Value::Text(_) | Value::Literal(_) => None,
        }
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Literal(text) => Value::Literal(Cow::Owned(text.into_owned())),
            Value::Fields(fields) => Value::Fields(fields.into_owned()),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Literal(Cow::Owned(number.to_string()))
    }
}

impl<'a> From<Fields<'a>> for Value<'a> {
    fn from(fields: Fields<'a>) -> Self {
        Value::Fields(fields)
    }
}

/// For people and programs to read: texts and literals alike as strings, so that no 64-bit id is rounded.
impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.grouped();
        let mut map = serializer.serialize_map(Some(groups.len()))?;
        for (name, values) in groups {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                several => map.serialize_entry(name, several)?,
            }
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) | Value::Literal(text) => serializer.serialize_str(text),
            Value::Fields(fields) => fields.serialize(serializer),
        }
    }
}

/// Whether a field is meant, without regard to case or blanks around its name. Nearly no name has blanks, so
/// they are looked for last.
fn is_named(key: &str, name: &str) -> bool {
    if key.len() <= name.len() {
        return key.eq_ignore_ascii_case(name);
    }
    let is_bare = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = key.as_bytes();
    !(is_bare(bytes.first()) && is_bare(bytes.last())) && key.trim().eq_ignore_ascii_case(name)
}

/// A parser's complaint for a log: it can quote a stranger's text, so it is cut and loses its control characters.
fn complaint(error: &dyn std::fmt::Display) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    error
        .to_string()
        .chars()
        .take(MAX_COMPLAINT)
        .map(visible)
        .collect()
}

#[cfg(test)]
mod tests;
