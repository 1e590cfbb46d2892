//! How long an endpoint that takes nothing is left alone: by the turns of its events, which store it
//! with the endpoint, and by routes that lead to it, which keep it in the process.

use chrono::TimeDelta;

use crate::bridge::retry::Backoff;

/// The longest rest that follows from failures alone, seconds. Each event and each delivery has its own
/// pause; this one only spares an endpoint that is away.
const LONGEST: u64 = 60;
/// The longest rest that an endpoint may ask for with `Retry-After`, seconds.
const LONGEST_WISH: u64 = 3_600;

/// How long endpoints rest that are posted to in one way.
#[derive(Clone, Copy, Debug)]
pub(in crate::bridge) struct EndpointRest(Backoff);

impl EndpointRest {
    /// With a first rest of so many seconds.
    pub(in crate::bridge) fn from(first: u64) -> Self {
        Self(Backoff::seconds(first.min(LONGEST), LONGEST))
    }

    /// The rest after `failures` earlier ones, spread by `jitter` in 0..1; no shorter than what the
    /// endpoint asked for.
    pub(in crate::bridge) fn after(
        &self,
        failures: i32,
        asked: Option<u64>,
        jitter: f64,
    ) -> TimeDelta {
        let rest = self.0.pause(failures, jitter);
        asked.map_or(rest, |seconds| rest.max(as_asked(seconds)))
    }
}

/// The rest that an endpoint asks for, in seconds, as far as it is granted.
pub(in crate::bridge) fn as_asked(seconds: u64) -> TimeDelta {
    TimeDelta::seconds(seconds.min(LONGEST_WISH).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_counts_and_neither_is_without_limit() {
        let rests = EndpointRest::from(5);
        let after = |failures, asked| rests.after(failures, asked, 1.0).num_seconds();
        assert_eq!(
            [0, 1, 2, 9].map(|failures| after(failures, None)),
            [5, 10, 20, 60]
        );
        assert_eq!((after(0, Some(3)), after(0, Some(7))), (5, 7));
        assert_eq!(after(9, Some(u64::MAX)), 3_600);
        assert_eq!(
            EndpointRest::from(900).after(0, None, 1.0).num_seconds(),
            60
        );
    }
}
