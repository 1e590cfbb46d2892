//! The error of the storage layer.

use diesel::result::{DatabaseErrorKind, Error};
use thiserror::Error as ThisError;

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
    /// The closure panicked, or the process is shutting down.
    #[error("database work was interrupted")]
    Interrupted,
}

impl DbError {
    /// Whether a statement failed for what it said, so that another connection or a later try
    /// would fail alike, rather than for want of a database.
    pub fn is_about_data(&self) -> bool {
        use DatabaseErrorKind::{ClosedConnection, ReadOnlyTransaction, SerializationFailure};
        match self {
            Self::Query(Error::DatabaseError(kind, _)) => !matches!(
                kind,
                ClosedConnection | ReadOnlyTransaction | SerializationFailure
            ),
            Self::Query(Error::BrokenTransactionManager) => false,
            Self::Query(_) => true,
            Self::Unavailable(_) | Self::Migration(_) | Self::Interrupted => false,
        }
    }
}

/// libpq's messages have several lines, a log line has one.
fn one_line(error: &dyn std::fmt::Display) -> String {
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
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Interrupted
    }
}

impl From<tokio::sync::AcquireError> for DbError {
    fn from(_: tokio::sync::AcquireError) -> Self {
        Self::Interrupted
    }
}
