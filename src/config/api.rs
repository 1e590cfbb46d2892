//! Settings of the API's limits.

use serde::Deserialize;

use super::ConfigError;

/// The largest body that a route takes: with a smaller budget it could never be sent.
const LARGEST_BODY: u64 = 16 << 20;

/// What callers of the API may ask for at the same time, and how often.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Bytes of large bodies that may be read at the same time.
    pub large_body_bytes: usize,
    /// Large bodies that are parsed at the same time.
    pub large_bodies_at_once: usize,
    /// Access tokens that one key may report as invalid in a minute; 0: without limit.
    pub token_reports_per_minute: u32,
    /// Invitations that one key may make in a minute; 0: without limit.
    pub invitations_per_minute: u32,
    /// Test posts to endpoints that one key may ask for in a minute; 0: without limit.
    pub webhook_tests_per_minute: u32,
}

impl Api {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = self.large_body_bytes as u64;
        if !(LARGEST_BODY..=u64::from(u32::MAX)).contains(&value) {
            return Err(ConfigError::Range {
                field: "api.large_body_bytes",
                value,
                rule: "must be from 16777216, the largest body, to 4294967295",
            });
        }
        if self.large_bodies_at_once == 0 {
            return Err(ConfigError::Range {
                field: "api.large_bodies_at_once",
                value: 0,
                rule: "must be at least 1",
            });
        }
        Ok(())
    }
}
