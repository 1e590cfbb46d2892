//! The error of the storage layer.

use diesel::result::{DatabaseErrorKind, Error};
use thiserror::Error as ThisError;

use super::panics;

/// Why the database could not do what it was asked.
#[derive(Debug, ThisError)]
pub enum DbError {
    /// No connection could be had in time.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// A statement failed.
    #[error("{}", one_line(.0))]
    Query(Error),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The process is shutting down.
    #[error("database work was interrupted")]
    Interrupted,
    /// The closure panicked: a fault of ours, and none of the database's.
    #[error("work on the database panicked, see the log")]
    Panicked,
    /// It took longer than its caller may wait.
    #[error("the database took too long")]
    TooSlow,
}

/// Whose fault an error is, and so what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What the statement said: SQLSTATE classes 22 and 23, and what we could not write or read
    /// ourselves. Another try fails alike.
    Data,
    /// Another transaction held what this one needed, or both held what the other needed. A later
    /// try may do.
    Busy,
    /// It took longer than it may.
    TooSlow,
    /// Nothing can be written now: no room on the disk, a failing disk, or a read-only database.
    Unwritable,
    /// The database is away, or has no resources for this.
    Away,
    /// The database said something that tells none of these apart.
    Unclear,
}

/// Diesel keeps the SQLSTATE to itself, so the rest is told from PostgreSQL's English messages (each
/// connection asks for English where its role may) and SQLite's, which are constants.
const TEXTS: [(Cause, &[&str]); 5] = [
    (
        Cause::Unwritable,
        &[
            "No space left on device",
            "could not extend file",
            "could not write",
            "could not fsync",
            "Disk quota exceeded",
            "disk is full",
            "disk I/O error",
            "readonly database",
            "read-only transaction",
            "unable to open database file",
            "Read-only file system",
        ],
    ),
    (
        Cause::Busy,
        &[
            "deadlock detected",
            "due to lock timeout",
            "could not obtain lock",
            "could not serialize access",
            "database is locked",
            "table is locked",
            "database schema is locked",
        ],
    ),
    (Cause::TooSlow, &["due to statement timeout"]),
    (
        Cause::Away,
        &[
            "canceling statement due to",
            "terminating connection",
            "connection to server was lost",
            "server closed the connection",
            "no connection to the server",
            "the database system is",
            "idle-in-transaction timeout",
            "out of memory",
            "out of shared memory",
            "too many clients",
            "connection slots are reserved",
            "could not read",
            "could not open file",
            "could not access",
            "could not resize shared memory",
            "current transaction is aborted",
            "cannot start a transaction within a transaction",
            "disk image is malformed",
            "file is not a database",
            "interrupted",
        ],
    ),
    (
        Cause::Data,
        &[
            "invalid input syntax",
            "invalid byte sequence",
            "invalid input value",
            "value too long",
            "out of range",
            "division by zero",
            "unsupported Unicode escape sequence",
            "string or blob too big",
            "malformed JSON",
            "datatype mismatch",
        ],
    ),
];

impl DbError {
    /// Whose fault it is.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Query(error) => cause_of(error),
            Self::Unavailable(_) | Self::Interrupted => Cause::Away,
            Self::Migration(text) => by_text(text),
            Self::TooSlow => Cause::TooSlow,
            Self::Panicked => Cause::Unclear,
        }
    }

    /// What could not be written as JSON.
    pub(crate) fn not_json(error: serde_json::Error) -> Self {
        Self::Query(Error::SerializationError(error.into()))
    }

    /// Whether a row was to be stored that is there already.
    pub fn is_duplicate(&self) -> bool {
        let duplicate = DatabaseErrorKind::UniqueViolation;
        matches!(self, Self::Query(Error::DatabaseError(kind, _)) if *kind == duplicate)
    }

    /// Whether the same may work later, without anybody changing what is asked for.
    pub fn may_pass(&self) -> bool {
        !matches!(self.cause(), Cause::Data | Cause::Unclear)
    }

    /// Whether a statement failed for what it said, so that another connection or a later try
    /// would fail alike. What a database lacks, or others hold, is never about data.
    pub fn is_about_data(&self) -> bool {
        self.cause() == Cause::Data
    }
}

/// [`DbError::cause`] of what Diesel says.
pub(super) fn cause_of(error: &Error) -> Cause {
    use DatabaseErrorKind as Kind;
    let (kind, information) = match error {
        Error::DatabaseError(kind, information) => (kind, information),
        Error::BrokenTransactionManager
        | Error::AlreadyInTransaction
        | Error::NotInTransaction
        | Error::RollbackErrorOnCommit { .. }
        | Error::RollbackTransaction => return Cause::Away,
        _ => return Cause::Data,
    };
    match kind {
        Kind::UniqueViolation
        | Kind::ForeignKeyViolation
        | Kind::NotNullViolation
        | Kind::CheckViolation
        | Kind::RestrictViolation
        | Kind::ExclusionViolation => Cause::Data,
        Kind::SerializationFailure => Cause::Busy,
        Kind::ReadOnlyTransaction => Cause::Unwritable,
        Kind::ClosedConnection | Kind::UnableToSendCommand => Cause::Away,
        _ => by_text(information.message()),
    }
}

fn by_text(message: &str) -> Cause {
    let known = TEXTS
        .iter()
        .find(|(_, texts)| texts.iter().any(|text| message.contains(text)));
    known.map_or(Cause::Unclear, |(cause, _)| *cause)
}

/// libpq's messages have several lines, a log line has one.
pub(super) fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ").trim_end().to_owned()
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        Self::Query(error)
    }
}

impl From<diesel::ConnectionError> for DbError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unavailable(one_line(&error))
    }
}

impl From<diesel::r2d2::PoolError> for DbError {
    fn from(error: diesel::r2d2::PoolError) -> Self {
        Self::Unavailable(one_line(&error))
    }
}

impl From<tokio::task::JoinError> for DbError {
    fn from(error: tokio::task::JoinError) -> Self {
        if !error.is_panic() {
            return Self::Interrupted;
        }
        panics::note();
        Self::Panicked
    }
}

impl From<tokio::sync::AcquireError> for DbError {
    fn from(_: tokio::sync::AcquireError) -> Self {
        Self::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(kind: DatabaseErrorKind, message: &str) -> Cause {
        let error = Error::DatabaseError(kind, Box::new(message.to_owned()));
        DbError::from(error).cause()
    }

    #[test]
    fn want_of_room_of_locks_and_of_time_is_not_about_data() {
        for (message, expected) in [
            (
                "could not extend file \"base/16384/16402\": No space left on device",
                Cause::Unwritable,
            ),
            ("database or disk is full", Cause::Unwritable),
            ("attempt to write a readonly database", Cause::Unwritable),
            ("disk I/O error", Cause::Unwritable),
            ("deadlock detected", Cause::Busy),
            ("canceling statement due to lock timeout", Cause::Busy),
            ("database is locked", Cause::Busy),
            (
                "canceling statement due to statement timeout",
                Cause::TooSlow,
            ),
            ("canceling statement due to user request", Cause::Away),
            (
                "terminating connection due to administrator command",
                Cause::Away,
            ),
            ("out of memory", Cause::Away),
            (
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                Cause::Data,
            ),
            ("bigint out of range", Cause::Data),
            ("relation \"events\" does not exist", Cause::Unclear),
            ("no such table: events", Cause::Unclear),
        ] {
            assert_eq!(
                cause(DatabaseErrorKind::Unknown, message),
                expected,
                "{message}"
            );
        }
        assert_eq!(
            cause(DatabaseErrorKind::CheckViolation, "whatever"),
            Cause::Data
        );
        assert_eq!(
            cause(DatabaseErrorKind::ClosedConnection, "whatever"),
            Cause::Away
        );
        assert_eq!(DbError::Unavailable(String::new()).cause(), Cause::Away);
    }
}
