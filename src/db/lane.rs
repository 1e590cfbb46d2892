//! Connections for one purpose: a pool, and as many permits, so that no blocking thread waits for a
//! connection that another one has.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::r2d2::{Builder, NopErrorHandler, Pool, PooledConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connection::Manager;
use super::health::Health;
use super::{DatabaseUrl, DbError, Engine, Options};

/// How long to wait for a new connection at the most …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and where there is none and the database has just refused one. Counted from when the caller
/// came, its turn included.
const IN_AN_OUTAGE: Duration = Duration::from_millis(700);
/// How often whoever waits looks whether it is in vain.
const LOOK: Duration = Duration::from_millis(100);
/// What an answer may take beside its longest statement.
const BESIDE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Lane {
    pool: Pool<Manager>,
    permits: Arc<Semaphore>,
    health: Health,
    /// How long a caller waits for its turn, and then for the answer, if not as long as it takes.
    most: Option<Duration>,
}

impl Lane {
    /// One that has a connection. A database that refuses one is not waited for: a service that starts
    /// in an outage has callers already.
    pub(super) fn open(
        url: &DatabaseUrl,
        options: Options,
        health: &Health,
    ) -> Result<Self, DbError> {
        let lane = Self::later(url, options, health, 1);
        lane.connection(Instant::now())?;
        Ok(lane)
    }

    /// One that connects when it can, and keeps so many connections open.
    pub(super) fn later(url: &DatabaseUrl, options: Options, health: &Health, kept: u32) -> Self {
        let manager = Manager::new(url.clone(), options.limits, health.clone());
        Self {
            pool: builder(url, options, kept).build_unchecked(manager),
            permits: Arc::new(Semaphore::new(options.pool_size as usize)),
            health: health.clone(),
            most: None,
        }
    }

    /// The same for callers who do not wait longer.
    pub(super) fn answering_within(mut self, most: Duration) -> Self {
        self.most = Some(most);
        self
    }

    /// Whether there is no connection, and none to be had.
    pub(super) fn is_away(&self) -> bool {
        self.health.is_refusing() && self.pool.state().connections == 0
    }

    /// A turn for a caller who came at `begun`.
    pub(super) async fn permit(&self, begun: Instant) -> Result<OwnedSemaphorePermit, DbError> {
        let mut permit = pin!(Arc::clone(&self.permits).acquire_owned());
        // In an outage nobody stands in line for a connection that will not come.
        if self.permits.available_permits() == 0 && self.is_away() {
            return Err(self.health.unavailable());
        }
        loop {
            if let Ok(permit) = timeout(LOOK, &mut permit).await {
                return Ok(permit?);
            }
            if self.is_in_vain(begun) {
                return Err(self.health.unavailable());
            }
            if self.most.is_some_and(|most| begun.elapsed() >= most) {
                return Err(DbError::TooSlow);
            }
        }
    }

    /// Blocks; for whoever has a permit, and came at `begun`.
    pub(super) fn connection(&self, begun: Instant) -> Result<PooledConnection<Manager>, DbError> {
        let until = Instant::now() + PATIENCE;
        loop {
            // Each call of the pool may add one that is being connected: few calls.
            let wait = IN_AN_OUTAGE.saturating_sub(begun.elapsed()).max(LOOK);
            if let Ok(connection) = self.pool.get_timeout(wait) {
                return Ok(connection);
            }
            if Instant::now() >= until || self.is_in_vain(begun) {
                return Err(self.health.unavailable());
            }
        }
    }

    fn is_in_vain(&self, begun: Instant) -> bool {
        begun.elapsed() >= IN_AN_OUTAGE && self.is_away()
    }

    /// The work of a blocking thread, which goes on where its caller does not wait any longer.
    pub(super) async fn answer<T>(&self, done: JoinHandle<T>) -> Result<T, DbError> {
        Ok(match self.most {
            Some(most) => timeout(most + BESIDE, done)
                .await
                .map_err(|_| DbError::TooSlow)??,
            None => done.await?,
        })
    }
}

fn builder(url: &DatabaseUrl, options: Options, kept: u32) -> Builder<Manager> {
    Pool::builder()
        .max_size(options.pool_size)
        .min_idle(Some(kept.min(options.pool_size)))
        // A server that was restarted leaves dead connections in the pool.
        .test_on_check_out(url.engine() == Engine::Postgres)
        // No wait of ours: half of it is the longest pause of the pool between two tries to connect,
        // and whoever waits shall see one.
        .connection_timeout(IN_AN_OUTAGE)
        // Whoever asked for a connection says that there is none, in one line.
        .error_handler(Box::new(NopErrorHandler))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_refuses_connections_is_not_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let url = format!("postgres://queqiao@127.0.0.1:{port}/queqiao");
        let url = DatabaseUrl::parse(&url).unwrap();
        let begun = Instant::now();
        let opened = Lane::open(&url, Options::from(1), &Health::default());
        assert!(matches!(opened, Err(DbError::Unavailable(_))));
        assert!(begun.elapsed() < PATIENCE);
    }
}
