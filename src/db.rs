//! The database: PostgreSQL in production, an embedded SQLite file by default, one set of queries.
//!
//! Everything goes through three functions that run a closure on a blocking thread: [`Db::read`] for
//! a query, [`Db::snapshot`] for an answer that takes several, and [`Db::write`] for one transaction.
//! None is ever held across network I/O, because the closure is not async.

pub(crate) mod batch;
mod connection;
mod engine;
mod error;
mod migrate;
pub mod schema;
mod text_enum;

use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2::{NopErrorHandler, Pool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use connection::Conn;
pub(crate) use engine::on_engine;
pub use engine::{DatabaseUrl, DatabaseUrlError, Engine};
pub use error::DbError;
pub(crate) use text_enum::text_enum;

use connection::Manager;

/// The Diesel backend of [`Conn`], for boxed queries.
pub type Backend = <Conn as diesel::Connection>::Backend;

/// A handle on the database; clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Manager>,
    url: DatabaseUrl,
    /// As many permits as the pool has connections, so that no blocking thread waits for one.
    connections: Arc<Semaphore>,
    /// SQLite has one writer at a time: waiting here is fair, its busy handler is not.
    writer: Option<Arc<Semaphore>>,
}

impl Db {
    /// Opens a pool of at most `pool_size` connections.
    ///
    /// # Errors
    /// If the pool cannot be made, or no connection to the database can be had.
    pub fn open(url: &DatabaseUrl, pool_size: u32) -> Result<Self, DbError> {
        let pool = Self::pool(url, pool_size).build(Manager::new(url.clone()))?;
        Ok(Self::over(pool, url, pool_size))
    }

    /// [`Db::open`] for a database that may not answer yet: the pool connects when it does.
    pub fn open_later(url: &DatabaseUrl, pool_size: u32) -> Self {
        let pool = Self::pool(url, pool_size).build_unchecked(Manager::new(url.clone()));
        Self::over(pool, url, pool_size)
    }

    fn pool(url: &DatabaseUrl, pool_size: u32) -> diesel::r2d2::Builder<Manager> {
        Pool::builder()
            .max_size(pool_size)
            .min_idle(Some(1))
            // A server that was restarted leaves dead connections in the pool.
            .test_on_check_out(url.engine() == Engine::Postgres)
            .connection_timeout(Duration::from_secs(5))
            // Whoever asked for a connection says that there is none, in one line.
            .error_handler(Box::new(NopErrorHandler))
    }

    fn over(pool: Pool<Manager>, url: &DatabaseUrl, pool_size: u32) -> Self {
        Self {
            pool,
            url: url.clone(),
            connections: Arc::new(Semaphore::new(pool_size as usize)),
            writer: match url.engine() {
                Engine::Sqlite => Some(Arc::new(Semaphore::new(1))),
                Engine::Postgres => None,
            },
        }
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
        Ok(Conn::open(&self.url)?)
    }

    /// Applies the migrations that this database does not have yet. Replicas may call it together.
    ///
    /// # Errors
    /// If a migration fails; the ones before it stay applied.
    pub fn migrate(&self) -> Result<Vec<String>, DbError> {
        migrate::run(&mut self.connect()?)
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
        self.run(None, work).await
    }

    /// Runs queries on a blocking thread that all see the database as it was at one moment, that of
    /// the first of them. They can write nothing on PostgreSQL, and nobody waits for them.
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + From<diesel::result::Error> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        self.run(None, |connection| connection.in_snapshot(work))
            .await
    }

    /// Runs one write transaction on a blocking thread: committed if the closure returns `Ok`,
    /// rolled back otherwise. On SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// What the closure returns, or that no connection could be had.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + From<diesel::result::Error> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let turn = match &self.writer {
            Some(writer) => Some(Arc::clone(writer).acquire_owned().await),
            None => None,
        };
        let turn = turn.transpose().map_err(DbError::from)?;
        self.run(turn, |connection| connection.in_transaction(work))
            .await
    }

    /// The closure cannot be stopped once it runs, so it keeps its permits even if the caller goes
    /// away meanwhile.
    async fn run<T, E, F>(&self, turn: Option<OwnedSemaphorePermit>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let permit = Arc::clone(&self.connections).acquire_owned().await;
        let permit = permit.map_err(DbError::from)?;
        let pool = self.pool.clone();
        tokio::task::spawn_blocking(move || {
            // Dropped after the connection has gone back to the pool.
            let _permits = (permit, turn);
            let mut connection = pool.get().map_err(DbError::from)?;
            work(&mut connection)
        })
        .await
        .map_err(DbError::from)?
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
        E: From<DbError> + From<diesel::result::Error>,
        F: FnOnce(&mut Conn) -> Result<T, E>,
    {
        let Some(writer) = &self.writer else {
            return work(connection);
        };
        let _turn = runtime.block_on(writer.acquire()).map_err(DbError::from)?;
        connection.in_transaction(work)
    }
}
