//! The embedded migrations of both engines.

use std::error::Error;
use std::time::{Duration, Instant};

use diesel::SqliteConnection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, DbError};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Any number that nobody else uses as an advisory lock in this database.
const LOCK: &str = "SELECT pg_advisory_lock(7114701)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7114701)";

/// How long to wait for another process that migrates the same file, and how often to look.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(50);

type MigrationError = Box<dyn Error + Send + Sync>;

/// Applies what is missing and returns the names of what was applied. Replicas that start together
/// wait for one another.
pub(super) fn run(connection: &mut Conn) -> Result<Vec<String>, DbError> {
    let applied = match connection {
        Conn::Postgres(inner) => {
            inner.batch_execute(LOCK)?;
            let applied = names(inner.run_pending_migrations(POSTGRES));
            // What went wrong before says more, and the lock goes with the connection.
            let _ = inner.batch_execute(UNLOCK);
            applied
        }
        Conn::Sqlite(inner) => sqlite(inner),
    };
    applied.map_err(|error| DbError::Migration(error.to_string()))
}

/// Processes that start together on one file wait for one another: whoever has the write lock applies
/// all that is missing, the others find nothing left.
fn sqlite(connection: &mut SqliteConnection) -> Result<Vec<String>, MigrationError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match sqlite_once(connection) {
            Err(error) if error.to_string().contains("locked") && Instant::now() < until => {
                std::thread::sleep(AGAIN);
            }
            done => return done,
        }
    }
}

fn sqlite_once(connection: &mut SqliteConnection) -> Result<Vec<String>, MigrationError> {
    // Where all is done already, nobody has to wait for a writer.
    if !connection.has_pending_migration(SQLITE)? {
        return Ok(Vec::new());
    }
    AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")?;
    match names(connection.run_pending_migrations(SQLITE)) {
        Ok(applied) => {
            AnsiTransactionManager::commit_transaction(connection)?;
            Ok(applied)
        }
        Err(error) => {
            // The first error says more than a failed rollback would.
            let _ = AnsiTransactionManager::rollback_transaction(connection);
            Err(error)
        }
    }
}

fn names<E>(
    applied: Result<Vec<diesel::migration::MigrationVersion<'_>>, E>,
) -> Result<Vec<String>, E> {
    Ok(applied?.iter().map(ToString::to_string).collect())
}
