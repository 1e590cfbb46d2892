//! What all tables of people have in common that a business brings in: what came of a row.

use thiserror::Error;

/// Why a row is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Fault {
    /// A stable word.
    pub code: &'static str,
    /// The column.
    pub field: Option<String>,
    /// In words, with what to do.
    pub detail: String,
}

impl Fault {
    /// Names the column and what is wrong with it.
    pub fn new(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self {
            code,
            field: Some(field.to_owned()),
            detail: detail.into(),
        }
    }
}

/// What came of a row that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// What the row is about was not known.
    Created,
    /// It was, and something is new of it.
    Updated,
    /// All of it was known.
    Unchanged,
}

impl Taken {
    /// The word that is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// How many rows came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows about something new.
    pub created: usize,
    /// Rows that say something new of what is known.
    pub updated: usize,
    /// Rows that say nothing new.
    pub unchanged: usize,
    /// Rows that were not taken.
    pub refused: usize,
}

impl Counts {
    /// Counts results.
    pub fn of<'a>(results: impl IntoIterator<Item = &'a Result<Taken, Fault>>) -> Self {
        let mut counts = Self::default();
        for result in results {
            *match result {
                Ok(Taken::Created) => &mut counts.created,
                Ok(Taken::Updated) => &mut counts.updated,
                Ok(Taken::Unchanged) => &mut counts.unchanged,
                Err(_) => &mut counts.refused,
            } += 1;
        }
        counts
    }
}
