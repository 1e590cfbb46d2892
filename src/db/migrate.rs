//! The embedded migrations of both engines.

use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, DbError};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Any number that nobody else uses as an advisory lock in this database.
const LOCK: &str = "SELECT pg_advisory_lock(7114701)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7114701)";

/// Applies what is missing and returns the names of what was applied. On PostgreSQL replicas that
/// start together wait for one another.
pub(super) fn run(connection: &mut Conn) -> Result<Vec<String>, DbError> {
    let applied = match connection {
        Conn::Postgres(inner) => {
            inner.batch_execute(LOCK)?;
            let applied = names(inner.run_pending_migrations(POSTGRES));
            inner.batch_execute(UNLOCK)?;
            applied
        }
        Conn::Sqlite(inner) => names(inner.run_pending_migrations(SQLITE)),
    };
    applied.map_err(|error| DbError::Migration(error.to_string()))
}

fn names<E>(
    applied: Result<Vec<diesel::migration::MigrationVersion<'_>>, E>,
) -> Result<Vec<String>, E> {
    Ok(applied?.iter().map(ToString::to_string).collect())
}
