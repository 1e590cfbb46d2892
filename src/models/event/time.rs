//! The time that an event counts with.

use chrono::NaiveDateTime;

/// How far WeChat's clock may be before ours, seconds.
const AHEAD: i64 = 300;

/// WeChat's CreateTime as far as it can be: what is dated later than it came, but for some minutes in which two clocks
/// may differ, counts as of when it came, and what is dated before 1970 as without a time. So nothing that is dated in
/// the year 9999 holds a state for ever. The CreateTime itself stays, as it recognises a repetition.
pub fn counted(create_time: i64, received_at: NaiveDateTime) -> i64 {
    let received = received_at.and_utc().timestamp();
    match create_time {
        time if time > received.saturating_add(AHEAD) => received,
        time => time.max(0),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn only_what_is_minutes_ahead_or_before_1970_counts_otherwise() {
        let now = 1_767_225_600;
        let received = DateTime::from_timestamp(now, 999_999_000)
            .unwrap()
            .naive_utc();
        for (create_time, expected) in [
            (now, now),
            (now - 86_400, now - 86_400),
            (now + 300, now + 300),
            (now + 301, now),
            (253_402_300_799, now),
            (i64::MAX, now),
            (0, 0),
            (1, 1),
            (-1, 0),
            (i64::MIN, 0),
        ] {
            assert_eq!(counted(create_time, received), expected, "{create_time}");
        }
    }
}
