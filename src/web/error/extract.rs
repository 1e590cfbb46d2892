//! What the extractors of query strings and paths say when they refuse.

use actix_web::error::{PathError, QueryPayloadError};
use actix_web::web::{PathConfig, QueryConfig};

use super::{Code, Problem};

/// Query strings.
pub(in crate::web) fn query() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _| {
        let QueryPayloadError::Deserialize(error) = error else {
            return Problem::internal(&error).into();
        };
        shape(&error.to_string()).into()
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

/// Serde's words for a shape that does not fit, with the field where they name one:
/// "unknown field `x`, expected …", "missing field `x`", "duplicate field `x`".
fn shape(text: &str) -> Problem {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let problem = Problem::new(Code::InvalidQuery, format!("{text}."));
    let field = text.split_once(" field `").and_then(|(word, rest)| {
        let (field, _) = rest.split_once('`')?;
        matches!(word, "unknown" | "missing" | "duplicate").then_some(field)
    });
    match field {
        Some(field) => problem.field(field),
        None => problem,
    }
}
