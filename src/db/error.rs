//! The error of the storage layer.

use thiserror::Error;

/// Why the database could not do what it was asked.
#[derive(Debug, Error)]
pub enum DbError {
    /// No connection could be had in time.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The closure panicked, or the process is shutting down.
    #[error("database work was interrupted")]
    Interrupted,
}

impl From<diesel::ConnectionError> for DbError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<diesel::r2d2::PoolError> for DbError {
    fn from(error: diesel::r2d2::PoolError) -> Self {
        Self::Unavailable(error.to_string())
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
