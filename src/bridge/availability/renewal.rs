//! When what is used up comes back: WeChat counts some limits by the minute, and others by the day,
//! which begins at midnight in Beijing.

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta};

use crate::bridge::token::TokenError;
use crate::wechat::error::{CallError, Class, FOR_NOBODY, Fault, TOKEN_CALL};

/// The least pause where WeChat counts by the minute, or an account's owner has to act.
pub(crate) const MINUTE: TimeDelta = TimeDelta::seconds(60);
/// So long after midnight it may still be the quota of the day before that is used up: the call began
/// before, or WeChat's day begins a moment later.
const MAY_BE_OLD: TimeDelta = TimeDelta::minutes(10);
/// Beijing has no summer time.
const BEIJING: TimeDelta = TimeDelta::hours(8);

/// The day in Beijing, counted from 1970.
pub(in crate::bridge) fn day(now: NaiveDateTime) -> i64 {
    (now + BEIJING).and_utc().timestamp().div_euclid(86_400)
}

/// When that day is over.
pub(crate) fn end_of(day: i64) -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::days(day + 1) - BEIJING
}

/// When WeChat renews the day's quota.
pub(in crate::bridge) fn next_midnight(now: NaiveDateTime) -> NaiveDateTime {
    let in_beijing = now + BEIJING;
    let midnight = in_beijing.date().and_time(NaiveTime::MIN) + TimeDelta::days(1);
    midnight - BEIJING
}

/// When a call that concerns nobody in particular may be made again, if it was refused because a
/// limit is used up; none if that was not the reason.
pub(in crate::bridge) fn renewed_at(
    error: &TokenError,
    now: NaiveDateTime,
) -> Option<NaiveDateTime> {
    let fault = match error {
        TokenError::Call(CallError::Api(api)) => api.fault_on(FOR_NOBODY),
        TokenError::Refresh(CallError::Api(api)) => api.fault_on(TOKEN_CALL),
        _ => return None,
    };
    (fault.class() == Class::Quota).then(|| match fault {
        Fault::DailyQuota => match now - end_of(day(now) - 1) {
            since if since < MAY_BE_OLD => now + MAY_BE_OLD,
            _ => next_midnight(now),
        },
        _ => now + MINUTE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::error::ApiError;

    #[test]
    fn just_after_midnight_it_may_be_the_day_before_that_is_used_up() {
        let error = TokenError::Call(CallError::Api(ApiError::new(45009, "x")));
        let midnight = DateTime::from_timestamp(1_790_006_400, 0)
            .unwrap()
            .naive_utc();
        assert_eq!(midnight, next_midnight(midnight - TimeDelta::seconds(1)));
        let minutes = |after: i64| {
            let now = midnight + TimeDelta::minutes(after);
            (renewed_at(&error, now).unwrap() - midnight).num_minutes()
        };
        assert_eq!(
            [minutes(-1), minutes(0), minutes(9), minutes(10)],
            [0, 10, 19, 24 * 60]
        );
    }

    #[test]
    fn a_day_ends_at_the_next_midnight() {
        for seconds in [0, 57_599, 57_600, 1_790_000_000] {
            let now = DateTime::from_timestamp(seconds, 250_000_000)
                .unwrap()
                .naive_utc();
            assert_eq!(end_of(day(now)), next_midnight(now), "{seconds}");
        }
    }
}
