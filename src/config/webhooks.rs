//! Settings for telling the business's endpoints.

use std::time::Duration;

use serde::Deserialize;

/// Telling the business's endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether endpoints may be on addresses that are not of the internet.
    pub allow_private_addresses: bool,
    /// Milliseconds to connect.
    pub connect_timeout_ms: u64,
    /// Milliseconds for a whole post.
    pub timeout_ms: u64,
    /// Events taken for one endpoint in one turn.
    pub batch_rows: i64,
    /// People at the same time among them.
    pub concurrency: usize,
    /// First pause after a failure, seconds.
    pub retry_first_seconds: u64,
    /// Longest pause after a failure, seconds.
    pub retry_longest_seconds: u64,
    /// When to give one event up, seconds.
    pub max_age_seconds: u64,
    /// How long an endpoint may take nothing before it is disabled, seconds.
    pub disable_after_seconds: u64,
    /// How long events are kept, days.
    pub retention_days: u64,
}

impl Webhooks {
    /// The limits of a post: to connect, and for all of it.
    pub fn timeouts(&self) -> (Duration, Duration) {
        (
            Duration::from_millis(self.connect_timeout_ms),
            Duration::from_millis(self.timeout_ms),
        )
    }
}
