//! Settings of the numbers by day.

use serde::Deserialize;

/// Numbers by day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// How long they are kept, days.
    pub keep_days: u64,
}
