//! Checks of texts that come from outside: each names the field, the limit and what to do.

use std::fmt::Display;

use crate::bridge::routes::FieldError;
use crate::ids::text::TextId;

/// An id that is a text.
pub(super) fn check_id(field: &dyn Display, kind: TextId, text: &str) -> Result<(), FieldError> {
    kind.check(text)
        .map_err(|error| FieldError::new(field.to_string(), error.to_string()))
}

/// A text of 1 to `most` characters without control characters.
pub(super) fn check_text(field: &dyn Display, text: &str, most: usize) -> Result<(), FieldError> {
    let length = text.chars().count();
    if (1..=most).contains(&length) && !text.contains(char::is_control) {
        return Ok(());
    }
    let problem = match length {
        0 => format!("is empty: give 1 to {most} characters"),
        _ if length > most => format!("has {length} characters: give at most {most}"),
        _ => "contains a control character: leave it out".to_owned(),
    };
    Err(FieldError::new(field.to_string(), problem))
}
