//! An optional URL as JSON: its text, or null.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

pub(super) fn serialize<S: Serializer>(url: &Option<Url>, to: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(Url::as_str).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| Url::parse(&text))
        .transpose()
        .map_err(serde::de::Error::custom)
}
