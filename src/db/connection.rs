//! One connection over both engines, how it is opened and how its transactions begin.

use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{ManageConnection, R2D2Connection};
use diesel::{Connection as _, ConnectionError, PgConnection, SqliteConnection};

use super::engine::{DatabaseUrl, Engine};
use super::error::{Cause, DbError, cause_of};
use super::health::Health;
use super::prelude::QueryResult;

/// WAL lets readers go on while one writes; synchronous=FULL flushes at every commit, because a
/// callback is acknowledged only when its event is durable. A checkpoint copies each changed page
/// once and holds up whoever commits meanwhile, so doing it every 96 MiB instead of every 4 spares
/// most of the copying and leaves few commits held up.
const SQLITE_PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
     PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 24576; \
     PRAGMA journal_size_limit = 100663296;";

/// A queue fills faster than the server's statistics follow: where they still say that almost
/// nothing is due, the planner would rather collect and sort all that is than read the first of it
/// from the index, and that takes the longer the more is due. Without bitmaps it reads the index.
/// Compiling a statement takes longer than any of ours runs.
///
/// Where the role may choose the language of messages, it is English: see [`super::error`].
const POSTGRES_SETTINGS: &str = "SET enable_bitmapscan = off; SET jit = off; \
     SELECT set_config('lc_messages', 'C', false) FROM pg_roles \
     WHERE rolname = current_user AND rolsuper";

/// How long PostgreSQL lets a connection wait and hold: a process that is stopped in the middle of a
/// transaction must not hold its locks until it goes on. Zero is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one statement.
    pub statement: Duration,
    /// For a lock that another transaction holds.
    pub lock: Duration,
    /// Between two statements of a transaction.
    pub idle_in_transaction: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement: Duration::from_secs(30),
            lock: Duration::from_secs(5),
            idle_in_transaction: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// For migrations, which take as long as they take, one process after another.
    pub(super) const NONE: Self = Self {
        statement: Duration::ZERO,
        lock: Duration::ZERO,
        idle_in_transaction: Duration::ZERO,
    };

    fn postgres(self) -> String {
        format!(
            "{POSTGRES_SETTINGS}; SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}",
            self.statement.as_millis(),
            self.lock.as_millis(),
            self.idle_in_transaction.as_millis()
        )
    }
}

/// A connection to either engine.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

impl Conn {
    /// Opens a connection to the engine that the URL names.
    pub(super) fn open(
        url: &DatabaseUrl,
        limits: Limits,
        health: &Health,
    ) -> Result<Self, ConnectionError> {
        let opened = Self::establish_at(url, limits);
        health.connected(opened.as_ref());
        let mut connection = opened?;
        connection.set_instrumentation(health.listener());
        Ok(connection)
    }

    fn establish_at(url: &DatabaseUrl, limits: Limits) -> Result<Self, ConnectionError> {
        match url.engine() {
            Engine::Postgres => {
                let mut connection = PgConnection::establish(url.target())?;
                connection
                    .batch_execute(&limits.postgres())
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Self::Postgres(connection))
            }
            Engine::Sqlite => {
                let mut connection = SqliteConnection::establish(url.target())?;
                let until = Instant::now() + NEW_FILE;
                loop {
                    match connection.batch_execute(SQLITE_PRAGMAS) {
                        Ok(()) => return Ok(Self::Sqlite(connection)),
                        // Another process is making the same file; that wait has no handler.
                        Err(error) if is_locked(&error) && Instant::now() < until => {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        Err(error) => {
                            return Err(ConnectionError::CouldntSetupConfiguration(error));
                        }
                    }
                }
            }
        }
    }

    /// Which engine this is a connection to.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Whether the database answers on this connection.
    ///
    /// # Errors
    /// If it does not.
    pub fn ping(&mut self) -> QueryResult<()> {
        Ok(R2D2Connection::ping(self)?)
    }

    /// Runs `work` in one transaction. On SQLite the write lock is taken first: a transaction
    /// that reads and then finds another writer ahead of it could only fail.
    pub(super) fn in_transaction<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        E: From<DbError>,
        F: FnOnce(&mut Self) -> Result<T, E>,
    {
        match self {
            Self::Postgres(inner) => AnsiTransactionManager::begin_transaction(inner),
            Self::Sqlite(inner) => {
                AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN IMMEDIATE")
            }
        }
        .map_err(DbError::from)?;
        self.complete(work)
    }

    /// Runs `work` in one transaction that sees the database as of its first query. SQLite's
    /// transactions do so by themselves; one that only reads takes no lock that a writer waits for.
    pub(super) fn in_snapshot<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        E: From<DbError>,
        F: FnOnce(&mut Self) -> Result<T, E>,
    {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match self {
            Self::Postgres(inner) => AnsiTransactionManager::begin_transaction_sql(inner, SNAPSHOT),
            Self::Sqlite(inner) => AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN"),
        }
        .map_err(DbError::from)?;
        self.complete(work)
    }

    fn complete<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        E: From<DbError>,
        F: FnOnce(&mut Self) -> Result<T, E>,
    {
        match work(self) {
            Ok(value) => {
                Manage::commit_transaction(self).map_err(DbError::from)?;
                Ok(value)
            }
            Err(error) => {
                // The first error says more than a failed rollback would.
                let _: diesel::QueryResult<()> = Manage::rollback_transaction(self);
                Err(error)
            }
        }
    }
}

/// How long another process may take to make a file.
const NEW_FILE: Duration = Duration::from_secs(10);

fn is_locked(error: &diesel::result::Error) -> bool {
    cause_of(error) == Cause::Busy
}

type Manage = <Conn as diesel::Connection>::TransactionManager;

/// Makes connections for the pool.
pub(super) struct Manager {
    url: DatabaseUrl,
    limits: Limits,
    health: Health,
}

impl Manager {
    pub(super) fn new(url: DatabaseUrl, limits: Limits, health: Health) -> Self {
        Self {
            url,
            limits,
            health,
        }
    }
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        Conn::open(&self.url, self.limits, &self.health)
            .map_err(diesel::r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, connection: &mut Conn) -> Result<(), Self::Error> {
        R2D2Connection::ping(connection).map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, connection: &mut Conn) -> bool {
        std::thread::panicking() || connection.is_broken()
    }
}
