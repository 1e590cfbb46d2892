//! `params` of a body: any JSON object, measured before it is built.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::bridge::limits::PARAMS_MAX;
use crate::bridge::routes;
use crate::web::body::limits;

/// How many times as long a text may be written as it is: `\u4f1e` has six bytes, and the character three.
const ESCAPED_LENGTH: usize = 3;

/// What fills a message in.
#[derive(Debug, Default)]
pub(super) struct Params(pub(super) routes::Params);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?.get();
        // How long it is as it is stored is looked at later.
        if raw.len() > PARAMS_MAX * ESCAPED_LENGTH {
            return Err(limits::too_large(raw.len(), PARAMS_MAX));
        }
        let params = routes::Params::read(raw).map_err(|error| limits::inner(&error))?;
        Ok(Self(params))
    }
}
