//! Retry arithmetic: pure, so that it can be tested without waiting.

use chrono::{NaiveDateTime, TimeDelta};

/// Seconds of a setting. A hundred years is as good as for ever, and cannot overflow a timestamp.
pub(in crate::bridge) fn seconds(seconds: u64) -> TimeDelta {
    TimeDelta::seconds(seconds.min(3_153_600_000).cast_signed())
}

/// Pauses that double from `first` up to `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: TimeDelta,
    longest: TimeDelta,
}

impl Backoff {
    /// From settings, in seconds.
    pub fn seconds(first: u64, longest: u64) -> Self {
        Self {
            first: seconds(first),
            longest: seconds(longest).max(seconds(first)),
        }
    }

    /// The pause after `failures` earlier ones, spread by `jitter` in 0..1 over its upper half, so
    /// that what failed together does not come back together.
    pub fn pause(&self, failures: i32, jitter: f64) -> TimeDelta {
        let doublings = failures.clamp(0, 30).cast_unsigned();
        let full = self
            .first
            .checked_mul(1 << doublings)
            .map_or(self.longest, |pause| pause.min(self.longest));
        let half = full / 2;
        let spread = half.num_milliseconds() as f64 * jitter.clamp(0.0, 1.0);
        half + TimeDelta::milliseconds(spread as i64)
    }
}

/// When it is the turn of the profile at a place of a page or of an account to be asked for again: the whole list at
/// once would keep new followers waiting.
pub(in crate::bridge) fn turn(first: NaiveDateTime, place: u64, per_second: u64) -> NaiveDateTime {
    let seconds = place / per_second.max(1);
    let pause = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    pause
        .and_then(|pause| first.checked_add_signed(pause))
        .unwrap_or(first)
}

/// A random number in 0..1.
pub fn jitter() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::seconds(2, 60);
        let full: Vec<i64> = (0..8)
            .map(|failures| backoff.pause(failures, 1.0).num_seconds())
            .collect();
        assert_eq!(full, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.pause(i32::MAX, 1.0).num_seconds(), 60);
        assert_eq!(backoff.pause(-1, 1.0).num_seconds(), 2);
    }

    #[test]
    fn jitter_spreads_the_upper_half() {
        let backoff = Backoff::seconds(10, 10);
        assert_eq!(backoff.pause(0, 0.0).num_milliseconds(), 5_000);
        assert_eq!(backoff.pause(0, 0.5).num_milliseconds(), 7_500);
        assert_eq!(backoff.pause(0, 1.0).num_milliseconds(), 10_000);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        let backoff = Backoff::seconds(u64::MAX, 1);
        assert!(backoff.pause(30, 1.0) > TimeDelta::days(300));
    }
}
