//! Settings of the API's limits.

use serde::Deserialize;

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
