//! Tables that a business sends as JSON: each row is taken apart by itself, so that one that cannot be read is
//! refused alone.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::bridge::limits::TABLE_ROWS_MAX;
use crate::bridge::people::table::{Counts, Fault};
use crate::web::body::limits;
use crate::web::error::{Code, Problem};

/// Bytes of one row: some times what the longest ids, tags and consents need.
const ROW_BYTES_MAX: usize = 32 << 10;
/// About how many bytes a row takes in the answer.
pub(super) const ROW_VIEW_BYTES: usize = 128;
/// The word for a row that does not have the expected shape.
pub(super) const INVALID: &str = "invalid_field";

/// What a row is read into.
pub(super) trait FromRow: Sized {
    fn from_row(row: Value) -> Result<Self, Fault>;
}

/// A row, or why it is none. It is taken apart as soon as it is read, so that no more is kept of it
/// than counts.
#[derive(Debug)]
pub(super) struct Given<R>(pub(super) Result<R, Fault>);

impl<'de, R: FromRow> Deserialize<'de> for Given<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let row = <&RawValue>::deserialize(from)?.get();
        if row.len() > ROW_BYTES_MAX {
            let detail = format!(
                "The row has {} bytes: give at most {ROW_BYTES_MAX}.",
                row.len()
            );
            return Ok(Self(Err(shapeless(detail))));
        }
        let row = serde_json::from_str(row).map_err(|error| limits::inner(&error))?;
        Ok(Self(R::from_row(row)))
    }
}

/// The refusal of a row of which no column can be named.
pub(super) fn shapeless(detail: impl Into<String>) -> Fault {
    Fault {
        code: INVALID,
        field: None,
        detail: detail.into(),
    }
}

/// The refusal of a member that a row may not have.
pub(super) fn unknown(name: &str, members: &str) -> Fault {
    let detail = format!("A row may have {members}, not {name:.40?}.");
    let name: String = name.chars().take(40).collect();
    Fault::new("unknown_field", &name, detail)
}

/// A text, or nothing.
pub(super) fn text(name: &str, value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => {
            let detail = format!("{name} must be a text: write it with quotation marks.");
            Err(Fault::new(INVALID, name, detail))
        }
    }
}

/// Refuses a table without rows, or with too many.
pub(super) fn check_length(rows: usize) -> Result<(), Problem> {
    if (1..=TABLE_ROWS_MAX).contains(&rows) {
        return Ok(());
    }
    let detail = format!(
        "rows has {rows} entries: give 1 to {TABLE_ROWS_MAX}, and more in further requests."
    );
    let problem = Problem::new(Code::InvalidField, detail).field("rows");
    Err(problem.limit(TABLE_ROWS_MAX))
}

/// How many rows came to what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountsView {
    created: usize,
    updated: usize,
    unchanged: usize,
    refused: usize,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            created: counts.created,
            updated: counts.updated,
            unchanged: counts.unchanged,
            refused: counts.refused,
        }
    }
}
