//! A load of distinct signed events on any callback URL, as WeChat would push them: keep-alive
//! connections, one push in flight on each. Lean on purpose, since it often shares its processors
//! with what it measures.

mod connection;
mod events;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use url::Url;

use crate::wechat::callback::Mode;
use crate::wechat::crypto::AesKey;

use connection::Connection;
use events::Events;
pub use report::Report;

/// What to send where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The callback URL.
    pub url: Url,
    /// The account's app id: part of the openids, and of the ciphertext.
    pub app_id: String,
    /// Its callback token.
    pub token: String,
    /// Its AES key, for compatible and secure mode.
    pub aes_key: Option<AesKey>,
    /// The mode to push in.
    pub mode: Mode,
    /// Connections, each with one push in flight.
    pub connections: usize,
    /// When to stop.
    pub until: Until,
    /// The number of the first person; each event is of the next one.
    pub first_person: u64,
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this many events.
    Events(u64),
    /// After this long.
    Elapsed(Duration),
}

/// Why a load could not be put on.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The URL cannot be used.
    #[error("url: {0}")]
    Url(&'static str),
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[from] tokio_native_tls::native_tls::Error),
    /// The answer is not HTTP.
    #[error("the answer is not HTTP/1.1: {0}")]
    NotHttp(String),
}

/// Puts the load on and measures it.
///
/// # Errors
/// If the URL cannot be used or a connection fails; answers other than 200 are counted instead.
pub async fn run(plan: Plan) -> Result<Report, LoadError> {
    let plan = Arc::new(plan);
    let next = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections.push(Connection::open(&plan.url).await?);
    }
    let started = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let (plan, next) = (Arc::clone(&plan), Arc::clone(&next));
            tokio::spawn(push(connection, plan, next, started))
        })
        .collect();
    let mut report = Report::default();
    for task in tasks {
        let part = task
            .await
            .map_err(|error| LoadError::Io(std::io::Error::other(error)))??;
        report.add(part);
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

async fn push(
    mut connection: Connection,
    plan: Arc<Plan>,
    next: Arc<AtomicU64>,
    started: Instant,
) -> Result<Report, LoadError> {
    let mut events = Events::new(&plan);
    let mut report = Report::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let over = match plan.until {
            Until::Events(events) => number >= events,
            Until::Elapsed(limit) => started.elapsed() >= limit,
        };
        if over {
            return Ok(report);
        }
        let request = events.request(number);
        let sent = Instant::now();
        let status = connection.exchange(request).await?;
        report.count(status, sent.elapsed());
    }
}
