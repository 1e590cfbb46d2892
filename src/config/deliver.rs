//! Settings of sending.

use chrono::TimeDelta;
use serde::Deserialize;

/// Sending notifications.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// Deliveries claimed, sent and recorded together.
    pub batch_rows: i64,
    /// Such batches at the same time.
    pub loops: usize,
    /// Of these, for one account at the most.
    pub loops_per_account: usize,
    /// Further ones, for urgent messages only.
    pub urgent_loops: usize,
    /// How long a claim holds, seconds.
    pub lease_seconds: u64,
    /// First pause after a failure, seconds.
    pub retry_first_seconds: u64,
    /// Longest pause after a failure, seconds.
    pub retry_longest_seconds: u64,
    /// Tries before giving up.
    pub max_attempts: i32,
    /// Age at which to give up, seconds.
    pub max_age_seconds: u64,
    /// How long a message waits for its receipt, seconds.
    pub receipt_seconds: u64,
    /// How long a receipt without a delivery is kept in mind, seconds.
    pub receipt_give_up_seconds: u64,
    /// First pause of an account that WeChat refuses, before one delivery is tried, seconds.
    pub probe_seconds: u64,
    /// Longest such pause, seconds.
    pub probe_longest_seconds: u64,
    /// How long a delivery waits for the person's consent where nothing else is missing, seconds; 0:
    /// not at all.
    pub consent_wait_seconds: u64,
    /// Staff ids in one request at the most.
    pub max_recipients: usize,
}

impl Deliver {
    /// How long a delivery waits for consent.
    pub fn consent_wait(&self) -> TimeDelta {
        TimeDelta::seconds(self.consent_wait_seconds.min(86_400).cast_signed())
    }
}
