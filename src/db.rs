//! The database: PostgreSQL in production, an embedded SQLite file by default, one set of queries.
//!
//! Everything goes through three functions that run a closure on a blocking thread: [`Db::read`] for
//! a query, [`Db::snapshot`] for an answer that takes several, and [`Db::write`] for one transaction.
//! None is ever held across network I/O, because the closure is not async.

pub(crate) mod batch;
mod collision;
mod connection;
mod engine;
mod error;
mod health;
mod lane;
mod migrate;
pub(crate) mod panics;
pub(crate) mod prelude;
pub mod schema;
mod sql;
mod statement;
mod stopped;
mod text_enum;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use collision::overtaken;
pub use connection::{Conn, Limits};
pub(crate) use engine::on_engine;
pub use engine::{DatabaseUrl, DatabaseUrlError, Engine};
pub use error::{Cause, DbError};
pub use prelude::QueryResult;
pub(crate) use sql::Sql;
pub(crate) use statement::{json, statement, statement_of};
pub(crate) use text_enum::text_enum;

use crate::config;
use health::Health;
use lane::Lane;

/// The Diesel backend of [`Conn`], for boxed queries.
pub type Backend = <Conn as diesel::Connection>::Backend;

/// How many rows are changed in one transaction, where there may be any number.
pub const ROUND: i64 = 2_000;

/// A handle on the database; clones share their connections.
#[derive(Clone)]
pub struct Db {
    main: Lane,
    /// For reads, where they have connections of their own.
    reads: Option<Lane>,
    url: DatabaseUrl,
    limits: Limits,
    health: Health,
    /// SQLite has one writer at a time: waiting here is fair, its busy handler is not.
    writer: Option<Arc<Semaphore>>,
}

/// How a database is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections at the most.
    pub pool_size: u32,
    /// What each of them may take.
    pub limits: Limits,
}

impl From<u32> for Options {
    fn from(pool_size: u32) -> Self {
        Self {
            pool_size,
            limits: Limits::default(),
        }
    }
}

impl From<&config::Database> for Options {
    fn from(settings: &config::Database) -> Self {
        Self {
            pool_size: settings.pool_size,
            limits: Limits {
                statement: Duration::from_millis(settings.statement_timeout_ms),
                lock: Duration::from_millis(settings.lock_timeout_ms),
                idle_in_transaction: Duration::from_millis(settings.idle_in_transaction_timeout_ms),
            },
        }
    }
}

impl Db {
    /// Opens a pool of connections.
    ///
    /// # Errors
    /// If the pool cannot be made, or no connection to the database can be had.
    pub fn open(url: &DatabaseUrl, options: impl Into<Options>) -> Result<Self, DbError> {
        let options = options.into();
        let health = Health::default();
        let main = Lane::open(url, options, &health)?;
        Ok(Self::over(main, url, options, health))
    }

    /// [`Db::open`] for a database that may not answer yet: the pool connects when it does.
    pub fn open_later(url: &DatabaseUrl, options: impl Into<Options>) -> Self {
        let options = options.into();
        let health = Health::default();
        let main = Lane::later(url, options, &health, 1);
        Self::over(main, url, options, health)
    }

    fn over(main: Lane, url: &DatabaseUrl, options: Options, health: Health) -> Self {
        Self {
            main,
            reads: None,
            url: url.clone(),
            limits: options.limits,
            health,
            writer: match url.engine() {
                Engine::Sqlite => Some(Arc::new(Semaphore::new(1))),
                Engine::Postgres => None,
            },
        }
    }

    /// The same database with connections of its own, so that nobody who uses another handle is in the
    /// way. They are opened when they are needed.
    pub fn aside(&self, connections: u32) -> Self {
        let options = Options {
            pool_size: connections,
            limits: self.limits,
        };
        Self {
            main: Lane::later(&self.url, options, &self.health, 0),
            reads: None,
            ..self.clone()
        }
    }

    /// The same database for callers who may ask for much: at most `connections` of their reads run at
    /// the same time, on connections of their own, and none takes longer than `most`. What they write
    /// goes the way of all writes.
    pub fn for_guests(&self, connections: u32, most: Duration) -> Self {
        let options = Options {
            pool_size: match self.url.engine() {
                Engine::Postgres => connections,
                // Each is a processor's whole work, and no statement can be stopped.
                Engine::Sqlite => connections.min(processors().max(2)),
            },
            limits: Limits {
                statement: most,
                ..self.limits
            },
        };
        let reads = Lane::later(&self.url, options, &self.health, 0);
        Self {
            reads: Some(reads.answering_within(most)),
            ..self.clone()
        }
    }

    /// Whether connections are refused, and there is none: whoever can go on without should.
    pub fn is_away(&self) -> bool {
        self.main.is_away()
    }

    /// Whether a statement of this process lately failed because nothing can be stored.
    pub fn is_unwritable(&self) -> bool {
        self.health.is_unwritable()
    }

    /// How many statements this process has sent, those that begin and end transactions among them.
    pub fn statements(&self) -> u64 {
        self.health.statements()
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        self.url.engine()
    }

    /// Which database this is, for people.
    pub fn describe(&self) -> String {
        self.url.to_string()
    }

    /// A connection of one's own, outside the pool: for the one loop that writes all the time.
    ///
    /// # Errors
    /// If the database does not answer.
    pub fn connect(&self) -> Result<Conn, DbError> {
        Ok(Conn::open(&self.url, self.limits, &self.health)?)
    }

    /// Applies the migrations that this database does not have yet. Replicas may call it together.
    ///
    /// # Errors
    /// If a migration fails; the ones before it stay applied.
    pub fn migrate(&self) -> Result<Vec<String>, DbError> {
        let mut connection = Conn::open(&self.url, Limits::NONE, &self.health)?;
        migrate::run(&mut connection)
    }

    /// Runs a query on a blocking thread. Of several, each sees what was committed before it, also
    /// what was committed since the one before: an answer that takes several is a [`Db::snapshot`].
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        self.run(self.reading(), None, work).await
    }

    /// Runs queries on a blocking thread that all see the database as it was at one moment, that of
    /// the first of them. They can write nothing on PostgreSQL, and nobody waits for them.
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let work = |connection: &mut Conn| connection.in_snapshot(work);
        self.run(self.reading(), None, work).await
    }

    /// Runs one write transaction on a blocking thread: committed if the closure returns `Ok`,
    /// rolled back otherwise. On SQLite it takes the write lock at once. One that collides with another
    /// one, each waiting for the other, is run again, a few times at most.
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let turn = self.turn().await?;
        let work =
            move |connection: &mut Conn| collision::repeated(|| connection.in_transaction(&work));
        self.run(&self.main, turn, work).await
    }

    /// Repeats a statement that changes at most [`ROUND`] rows and returns how many, each time in a
    /// transaction of its own, until there are no more. Returns how many there were.
    ///
    /// # Errors
    /// If the database fails; what was changed before stays so.
    pub async fn in_rounds<F>(&self, work: F) -> Result<usize, DbError>
    where
        F: Fn(&mut Conn) -> QueryResult<usize> + Clone + Send + 'static,
    {
        let mut total = 0;
        loop {
            let round = work.clone();
            let done = self.write(move |conn| round(conn));
            let count = done.await?;
            total += count;
            if i64::try_from(count).is_ok_and(|count| count < ROUND) {
                return Ok(total);
            }
        }
    }

    /// [`Db::write`] for a closure that can run only once, because it gives away what it has: it is not
    /// repeated.
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn write_once<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let turn = self.turn().await?;
        let work = |connection: &mut Conn| connection.in_transaction(work);
        self.run(&self.main, turn, work).await
    }

    /// [`Db::write`], and then something on the same connection that must not be in that transaction,
    /// because it may wait for a lock: one statement, on PostgreSQL a transaction by itself. On SQLite,
    /// where nothing locks rows, both are one transaction.
    ///
    /// # Errors
    /// What the closures return, or that no connection could be had.
    pub async fn write_then<A, T, E, F, G>(&self, work: F, then: G) -> Result<T, E>
    where
        A: Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<A, E> + Send + 'static,
        G: FnOnce(&mut Conn, A) -> Result<T, E> + Send + 'static,
    {
        let turn = self.turn().await?;
        let both = move |connection: &mut Conn| match connection.engine() {
            Engine::Postgres => {
                let done = connection.in_transaction(work)?;
                then(connection, done)
            }
            Engine::Sqlite => connection.in_transaction(|connection| {
                let done = work(connection)?;
                then(connection, done)
            }),
        };
        self.run(&self.main, turn, both).await
    }

    async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>, DbError> {
        Ok(match &self.writer {
            Some(writer) => Some(Arc::clone(writer).acquire_owned().await?),
            None => None,
        })
    }

    fn reading(&self) -> &Lane {
        self.reads.as_ref().unwrap_or(&self.main)
    }

    /// The closure cannot be stopped once it runs, so it keeps its permits even if the caller goes
    /// away meanwhile.
    async fn run<T, E, F>(
        &self,
        lane: &Lane,
        turn: Option<OwnedSemaphorePermit>,
        work: F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let begun = Instant::now();
        let permit = lane.permit(begun).await?;
        let on = lane.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Dropped after the connection has gone back to the pool.
            let _permits = (permit, turn);
            let mut connection = on.connection(begun)?;
            work(&mut connection)
        });
        lane.answer(done).await?
    }

    /// [`Db::write`] for a thread that has a connection of its own, and for work that is one
    /// statement on PostgreSQL: there it is a transaction by itself, and is spared the two round
    /// trips around it. Blocks; must be called outside the async runtime's threads, with `runtime`
    /// to wait for SQLite's turn on.
    ///
    /// # Errors
    /// What the closure returns.
    pub fn write_at_once<T, E, F>(
        &self,
        runtime: &tokio::runtime::Handle,
        connection: &mut Conn,
        work: F,
    ) -> Result<T, E>
    where
        E: From<DbError>,
        F: FnOnce(&mut Conn) -> Result<T, E>,
    {
        let Some(writer) = &self.writer else {
            return work(connection);
        };
        let _turn = runtime.block_on(writer.acquire()).map_err(DbError::from)?;
        connection.in_transaction(work)
    }
}

fn processors() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(processors).unwrap_or(u32::MAX)
}
