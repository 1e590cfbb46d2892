//! Settings for telling the business's endpoints.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let least = [
            ("webhooks.batch_rows", self.batch_rows.unsigned_abs(), 1),
            ("webhooks.concurrency", self.concurrency as u64, 1),
            ("webhooks.timeout_ms", self.timeout_ms, 1),
            // What is still being retried must not be deleted.
            ("webhooks.retention_days", self.retention_days, 2),
        ];
        for (field, value, least) in least {
            if value < least {
                let rule = match least {
                    1 => "must be at least 1",
                    _ => "must be at least 2: events are retried for a day",
                };
                return Err(ConfigError::Range { field, value, rule });
            }
        }
        if self.timeout_ms > 60_000 {
            return Err(ConfigError::Range {
                field: "webhooks.timeout_ms",
                value: self.timeout_ms,
                rule: "must be at most 60000: an endpoint answers first and works afterwards",
            });
        }
        Ok(())
    }
}
