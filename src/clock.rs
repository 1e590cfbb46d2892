//! Time, injected: the system's clock in production, a hand-moved one in tests.

mod days;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};

pub use days::{Day, TimeZone};

/// Where "now" comes from. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual_micros: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: NaiveDateTime) -> Self {
        let micros = start.and_utc().timestamp_micros();
        Self {
            manual_micros: Some(Arc::new(AtomicI64::new(micros))),
        }
    }

    /// Moves a manual clock forward; the system's clock is not ours to move, so there it does nothing.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.manual_micros {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Turns a manual clock back, as an operating system's is when it was ahead.
    pub fn turn_back(&self, by: Duration) {
        if let Some(micros) = &self.manual_micros {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_sub(by, Ordering::SeqCst);
        }
    }

    /// Now, in UTC, cut to microseconds: what both database engines keep of a timestamp.
    pub fn now(&self) -> NaiveDateTime {
        match &self.manual_micros {
            None => Utc::now().naive_utc().trunc_subsecs(6),
            Some(micros) => DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst))
                .unwrap_or(DateTime::UNIX_EPOCH)
                .naive_utc(),
        }
    }

    /// Now, in whole seconds since 1970: the unit of WeChat's `CreateTime` and `timestamp`.
    pub fn unix_seconds(&self) -> i64 {
        self.now().and_utc().timestamp()
    }
}

/// WeChat's seconds since 1970 as a time; 0 and 1 stand for no time.
pub fn wechat_time(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0).filter(|_| seconds > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_move_with_it() {
        let start = DateTime::from_timestamp(1_767_225_600, 0)
            .unwrap()
            .naive_utc();
        let clock = Clock::manual(start);
        let clone = clock.clone();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clone.unix_seconds(), 1_767_225_601);
        assert_eq!(clone.now() - start, chrono::TimeDelta::milliseconds(1_500));
    }
}
