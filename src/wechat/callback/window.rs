//! How far the time of a request may be from now: a signature is good for ever, so whoever has seen one could send it
//! again.

use super::Refusal;

/// The times at which a request counts as WeChat's of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds since 1970.
    pub now: i64,
    /// How far a request may be from now, before and after, seconds; 0: any time will do.
    pub seconds: u64,
}

impl Window {
    /// Any time will do.
    pub const OPEN: Self = Self { now: 0, seconds: 0 };

    /// Whether the `timestamp` of a query, which its signature covers, is near enough.
    pub(super) fn check(self, timestamp: &str) -> Result<(), Refusal> {
        if self.seconds == 0 {
            return Ok(());
        }
        let time: i64 = timestamp.parse().map_err(|_| Refusal::NoTime)?;
        let away = time.abs_diff(self.now);
        match away {
            away if away <= self.seconds => Ok(()),
            away if time < self.now => Err(Refusal::TooOld(away)),
            away => Err(Refusal::TooNew(away)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_to_either_side_are_now_and_0_is_any_time() {
        let window = Window {
            now: 1_767_225_600,
            seconds: 600,
        };
        for (time, expected) in [
            ("1767225600", Ok(())),
            ("1767225000", Ok(())),
            ("1767226200", Ok(())),
            ("1767224999", Err(Refusal::TooOld(601))),
            ("1767226201", Err(Refusal::TooNew(601))),
            (
                "-9223372036854775808",
                Err(Refusal::TooOld(9_223_372_038_622_001_408)),
            ),
            (
                "9223372036854775807",
                Err(Refusal::TooNew(9_223_372_035_087_550_207)),
            ),
            ("9223372036854775808", Err(Refusal::NoTime)),
            ("now", Err(Refusal::NoTime)),
            ("", Err(Refusal::NoTime)),
        ] {
            assert_eq!(window.check(time), expected, "{time}");
            assert_eq!(Window::OPEN.check(time), Ok(()), "{time}");
        }
    }
}
