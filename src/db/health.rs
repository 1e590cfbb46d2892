//! What the connections of a process have last met: whether the database can be reached at all, and
//! whether it can store anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::connection::{Instrumentation, InstrumentationEvent};

use super::collision;
use super::error::{Cause, DbError, cause_of, one_line};

/// How long a refused connection is taken for an outage. Somebody tries again all the time, so that
/// one which is over is known sooner.
const REFUSED: Duration = Duration::from_secs(3);
/// How long a write that met a full disk stands for all.
const UNWRITABLE: Duration = Duration::from_secs(10);

/// Shared by all connections of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// When a connection was last refused and why, if none was made since.
    refused: Option<(Instant, String)>,
    /// When a statement last could not be written.
    unwritable: Option<Instant>,
}

impl Health {
    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Whether a statement could not be written lately.
    pub(super) fn is_unwritable(&self) -> bool {
        let unwritable = self.with(|seen| seen.unwritable);
        unwritable.is_some_and(|at| at.elapsed() < UNWRITABLE)
    }

    /// What a connection tells it.
    pub(super) fn listener(&self) -> impl Instrumentation + use<> {
        let health = self.clone();
        move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::FinishQuery {
                error: Some(error), ..
            } = event
            {
                collision::note(error);
                if cause_of(error) == Cause::Unwritable {
                    health.with(|seen| seen.unwritable = Some(Instant::now()));
                }
            }
        }
    }
}
