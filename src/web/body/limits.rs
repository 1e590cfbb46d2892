//! How much a body may be made of. A small piece of JSON takes many times its bytes once it is read, so what is too
//! much is refused while it is read, not after.

use std::cell::Cell;

use serde::de;

use crate::web::error::{Code, Problem};

/// Bytes of one text. No field but `params`, which are read by themselves, has so many.
const TEXT_MAX: usize = 65_536;
/// Bytes of the name of a member.
const NAME_MAX: usize = 1_024;
/// Entries and members of a whole body, however deep: some more than a body has in which each of as many people as
/// fit brings along what they answered.
const PIECES_MAX: usize = 600_000;
/// The same where an operator allows longer lists: for each entry.
const PIECES_OF_ENTRY: usize = 6;

// What the errors of these limits begin with, so that they are known among serde's.
const TOO_MANY: &str = "too many entries: ";
const TOO_LONG: &str = "too many bytes: ";
const NOT_JSON: &str = "not JSON: ";

/// What is left of a body's limits.
#[derive(Debug)]
pub(super) struct Limits {
    /// Entries of one list.
    entries: usize,
    pieces: Cell<usize>,
}

impl Limits {
    pub(super) fn new(entries: usize) -> Self {
        let pieces = entries.saturating_mul(PIECES_OF_ENTRY).max(PIECES_MAX);
        Self {
            entries,
            pieces: Cell::new(pieces),
        }
    }

    /// Entries of one list.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// One more entry or member.
    pub(super) fn piece<E: de::Error>(&self) -> Result<(), E> {
        let left = self.pieces.get();
        self.pieces.set(left.saturating_sub(1));
        match left {
            0 => Err(E::custom(format!("{TOO_LONG}has too many parts in all"))),
            _ => Ok(()),
        }
    }

    /// A list that goes on behind its limit.
    pub(super) fn too_many<E: de::Error>(&self) -> E {
        E::custom(format!("{TOO_MANY}{}", self.entries))
    }
}

/// A text of a length that a field may have.
pub(super) fn text<E: de::Error>(text: &str) -> Result<(), E> {
    at_most(text, "a text", TEXT_MAX)
}

/// The name of a member of a length that one may have.
pub(super) fn name<E: de::Error>(name: &str) -> Result<(), E> {
    at_most(name, "the name of a member", NAME_MAX)
}

fn at_most<E: de::Error>(text: &str, what: &str, most: usize) -> Result<(), E> {
    match text.len() {
        length if length > most => Err(E::custom(format!(
            "{TOO_LONG}has {what} of {length} bytes: give at most {most}"
        ))),
        _ => Ok(()),
    }
}

/// An error of a part that is read by itself, among those of the whole.
pub(in crate::web) fn inner<E: de::Error>(error: &serde_json::Error) -> E {
    match error.classify() {
        serde_json::error::Category::Data => E::custom(error),
        _ => E::custom(format!("{NOT_JSON}{error}")),
    }
}

/// A part that has too many bytes.
pub(in crate::web) fn too_large<E: de::Error>(length: usize, most: usize) -> E {
    E::custom(format!(
        "{TOO_LONG}has {length} bytes as JSON: give at most {most}"
    ))
}

/// The problem, if the error is one of these limits'.
pub(super) fn problem(text: &str, path: &str) -> Option<Problem> {
    let what = match path {
        "" => "The body",
        path => path,
    };
    let with_field = |problem: Problem| match path {
        "" => problem,
        _ => problem.field(path),
    };
    if let Some(error) = text.strip_prefix(NOT_JSON) {
        let detail = format!("The body is not JSON: {error}.");
        return Some(Problem::new(Code::InvalidJson, detail));
    }
    if let Some(problem) = text.strip_prefix(TOO_LONG) {
        let detail = format!("{what} {problem}.");
        let most = problem
            .rsplit_once("at most ")
            .and_then(|(_, most)| most.parse().ok());
        let problem = with_field(Problem::new(Code::InvalidField, detail));
        return Some(most.into_iter().fold(problem, Problem::limit));
    }
    let most: usize = text.strip_prefix(TOO_MANY)?.parse().ok()?;
    let detail = format!(
        "{what} has more than {most} entries: give at most {most}, and more in further requests."
    );
    Some(with_field(
        Problem::new(Code::InvalidField, detail).limit(most),
    ))
}
