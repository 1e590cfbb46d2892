//! What fills in a key of a template, and what becomes of a text that is too long for it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A template of ours, in one of two shapes of JSON: `"{{ params.title }}"`, or
/// `{"text": "{{ params.title }}", "on_too_long": "truncate"}`. Each is written as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Field {
    /// The template alone.
    Plain(String),
    /// The template with what was chosen for it.
    Chosen(Chosen),
}

/// A template with what was chosen for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The template.
    pub text: String,
    /// What becomes of a text that is too long.
    #[serde(default)]
    pub on_too_long: OnTooLong,
}

/// What becomes of a text that is too long for its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTooLong {
    /// The request is refused.
    #[default]
    Reject,
    /// The text is cut, with `…` at its end.
    Truncate,
}

impl Field {
    /// The template.
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Chosen(chosen) => &chosen.text,
        }
    }

    /// What becomes of a text that is too long.
    pub fn on_too_long(&self) -> OnTooLong {
        match self {
            Self::Plain(_) => OnTooLong::Reject,
            Self::Chosen(chosen) => chosen.on_too_long,
        }
    }
}

// By hand, since a derived one hides which field of the object is wrong.
impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl<'de> Visitor<'de> for Shapes {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template, or an object of `text` and `on_too_long`")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Plain(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
                Chosen::deserialize(MapAccessDeserializer::new(map)).map(Field::Chosen)
            }
        }

        from.deserialize_any(Shapes)
    }
}
