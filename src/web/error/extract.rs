//! What the extractors of bodies, query strings and paths say when they refuse.

use actix_web::error::{JsonPayloadError, PathError, PayloadError, QueryPayloadError};
use actix_web::web::{JsonConfig, PathConfig, QueryConfig};
use serde_json::error::Category;

use super::{Code, Problem};

/// JSON bodies of at most so many bytes.
pub(in crate::web) fn json(limit: usize) -> JsonConfig {
    JsonConfig::default()
        .limit(limit)
        .error_handler(move |error, _| body_problem(&error, limit).into())
}

/// Query strings.
pub(in crate::web) fn query() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _| {
        let QueryPayloadError::Deserialize(error) = error else {
            return Problem::internal(&error).into();
        };
        shape(Code::InvalidQuery, &error.to_string(), |_| {
            Code::InvalidQuery
        })
        .into()
    })
}

/// Ids in paths.
pub(in crate::web) fn path() -> PathConfig {
    PathConfig::default().error_handler(|error, _| match error {
        PathError::Deserialize(_) => {
            let detail = "The id in the path must be a whole number, as the API gave it.";
            Problem::new(Code::InvalidPath, detail).into()
        }
        error => Problem::internal(&error).into(),
    })
}

fn body_problem(error: &JsonPayloadError, limit: usize) -> Problem {
    match error {
        JsonPayloadError::Overflow { .. }
        | JsonPayloadError::OverflowKnownLength { .. }
        | JsonPayloadError::Payload(PayloadError::Overflow) => {
            let detail = format!("The body may have at most {limit} bytes.");
            Problem::new(Code::BodyTooLarge, detail).limit(limit)
        }
        JsonPayloadError::ContentType => {
            let detail = "Send the body as JSON with the header Content-Type: application/json.";
            Problem::new(Code::UnsupportedMediaType, detail)
        }
        JsonPayloadError::Deserialize(error) => match error.classify() {
            Category::Data => shape(Code::InvalidBody, &error.to_string(), |word| match word {
                "unknown" => Code::UnknownField,
                "missing" => Code::MissingField,
                _ => Code::InvalidBody,
            }),
            _ => Problem::new(Code::InvalidJson, format!("The body is not JSON: {error}.")),
        },
        JsonPayloadError::Payload(error) => {
            let detail = format!("The body did not arrive whole: {error}.");
            Problem::new(Code::BrokenBody, detail)
        }
        error => Problem::internal(error),
    }
}

/// Serde's words for a shape that does not fit, with the field where they name one:
/// "unknown field `x`, expected …", "missing field `x`", "duplicate field `x`".
fn shape(general: Code, text: &str, code: impl Fn(&str) -> Code) -> Problem {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let named = text.split_once(" field `").and_then(|(word, rest)| {
        let (field, _) = rest.split_once('`')?;
        matches!(word, "unknown" | "missing" | "duplicate").then_some((word, field))
    });
    match named {
        Some((word, field)) => Problem::new(code(word), format!("{text}.")).field(field),
        None => Problem::new(general, format!("{text}.")),
    }
}
