//! What the connections of a process have last met: whether the database can be reached at all, and
//! whether it can store anything.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::connection::{DebugQuery, Instrumentation, InstrumentationEvent};

use super::collision;
use super::error::{Cause, DbError, cause_of, one_line};

/// How long a refused connection is taken for an outage. Somebody tries again all the time, so that
/// one which is over is known sooner.
const REFUSED: Duration = Duration::from_secs(3);
/// How long a write that met a full disk stands for all, if no write of its kind has been tried again.
const UNWRITABLE: Duration = Duration::from_secs(10);
/// Bytes of a statement that tell its kind: what it does, and to which table.
const KIND: usize = 40;

/// Shared by all connections of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Whether `unwritable` is set: so most statements take no lock.
    is_unwritable: AtomicBool,
    /// How many statements have ended, well or badly.
    statements: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    /// When a connection was last refused and why, if none was made since.
    refused: Option<(Instant, String)>,
    /// When a statement last could not be written, and of which kind it was. Another kind may find room
    /// where this one does not: a row that is changed in place, a table on another disk.
    unwritable: Option<(Instant, String)>,
}

impl Health {
    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn connected<T>(&self, opened: Result<T, &ConnectionError>) {
        let refused = opened.err().map(|error| (Instant::now(), one_line(error)));
        self.with(|seen| seen.refused = refused);
    }

    /// Whether no connection can be made now.
    pub(super) fn is_refusing(&self) -> bool {
        self.with(|seen| {
            let refused = seen.refused.as_ref();
            refused.is_some_and(|(at, _)| at.elapsed() < REFUSED)
        })
    }

    /// The failure of whoever does not wait for a connection: with the words of the last that was
    /// refused.
    pub(super) fn unavailable(&self) -> DbError {
        let refused = self.with(|seen| seen.refused.clone());
        let why = refused.map(|(_, why)| why);
        DbError::Unavailable(why.unwrap_or_else(|| "no connection is free".to_owned()))
    }

    /// Whether a statement could not be written lately, and none of its kind since.
    pub(super) fn is_unwritable(&self) -> bool {
        self.0.is_unwritable.load(Ordering::Relaxed)
            && self.with(|seen| {
                let unwritable = seen.unwritable.as_ref();
                unwritable.is_some_and(|(at, _)| at.elapsed() < UNWRITABLE)
            })
    }

    /// How many statements have ended.
    pub(super) fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// What a connection tells it.
    pub(super) fn listener(&self) -> impl Instrumentation + use<> {
        let health = self.clone();
        let mut has_written = false;
        move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::FinishQuery { query, error, .. } = event {
                health.0.statements.fetch_add(1, Ordering::Relaxed);
                if let Some(error) = error {
                    collision::note(error);
                }
                match error {
                    Some(error) if cause_of(error) == Cause::Unwritable => {
                        health.fails(kind(query));
                    }
                    None if health.0.is_unwritable.load(Ordering::Relaxed) => {
                        health.works(&kind(query), &mut has_written);
                    }
                    _ => {}
                }
            }
        }
    }

    fn fails(&self, kind: String) {
        self.with(|seen| {
            seen.unwritable = Some((Instant::now(), kind));
            self.0.is_unwritable.store(true, Ordering::Relaxed);
        });
    }

    /// `has_written` is kept for each connection: whether its transaction has changed a row.
    fn works(&self, kind: &str, has_written: &mut bool) {
        let is = |words: [&str; 3]| words.iter().any(|word| kind.starts_with(word));
        let is_edge = is(["BEGIN", "COMMIT", "ROLLBACK"]);
        // The edges of a transaction work where nothing was written too. A COMMIT with a change is what
        // a full disk of SQLite refuses, and so what first shows that there is room.
        let is_sign = !is_edge || *has_written && kind.starts_with("COMMIT");
        *has_written = !is_edge && (*has_written || is(["INSERT", "UPDATE", "DELETE"]));
        self.with(|seen| {
            let over = seen
                .unwritable
                .take_if(|(at, failed)| at.elapsed() >= UNWRITABLE || is_sign && *failed == kind);
            if over.is_some() {
                self.0.is_unwritable.store(false, Ordering::Relaxed);
            }
        });
    }
}

/// The beginning of a statement, without its values.
fn kind(query: &dyn DebugQuery) -> String {
    let mut kind = Beginning(String::with_capacity(KIND));
    // It ends with an error when it has enough.
    let _ = write!(kind, "{query}");
    kind.0
}

struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() >= KIND {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn a_refused_commit_is_over_with_the_first_that_stores_a_change() {
        let health = Health::default();
        health.fails("COMMIT".to_owned());
        let mut has_written = false;
        let mut run = |statements: &[&str]| {
            for statement in statements {
                health.works(statement, &mut has_written);
            }
            health.is_unwritable()
        };
        assert!(run(&["BEGIN IMMEDIATE", "SELECT 1", "COMMIT"]));
        assert!(run(&["BEGIN IMMEDIATE", "UPDATE `locks` SET", "ROLLBACK"]));
        assert!(run(&["BEGIN IMMEDIATE", "COMMIT"]));
        assert!(!run(&["BEGIN IMMEDIATE", "UPDATE `locks` SET", "COMMIT"]));
    }

    #[test]
    fn a_refused_row_is_over_with_the_first_of_its_kind() {
        let health = Health::default();
        health.fails("INSERT INTO `events`".to_owned());
        let mut has_written = false;
        for other in ["BEGIN", "UPDATE `locks` SET", "COMMIT"] {
            health.works(other, &mut has_written);
            assert!(health.is_unwritable(), "{other}");
        }
        health.works("INSERT INTO `events`", &mut has_written);
        assert!(!health.is_unwritable());
    }
}
