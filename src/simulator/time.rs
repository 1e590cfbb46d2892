//! The simulator's own time: the system's, plus an offset that only tests and the control API move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
pub(super) struct Time {
    offset_millis: AtomicI64,
}

impl Time {
    /// Milliseconds since 1970.
    pub(super) fn millis(&self) -> i64 {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| clamp(since.as_millis()));
        system.saturating_add(self.offset_millis.load(Ordering::Relaxed))
    }

    /// Seconds since 1970: the unit of `CreateTime`, `timestamp` and `subscribe_time`.
    pub(super) fn seconds(&self) -> i64 {
        self.millis().div_euclid(1000)
    }

    pub(super) fn advance(&self, by: Duration) {
        self.offset_millis
            .fetch_add(clamp(by.as_millis()), Ordering::Relaxed);
    }
}

fn clamp(millis: u128) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
