//! When a notification may be sent: from when, and until when.

use chrono::{DateTime, NaiveDateTime, SubsecRound as _, TimeDelta};

use crate::bridge::limits::{AHEAD_DAYS_MAX, FieldError};

/// The times of a request, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// Not before this.
    pub(super) send_at: Option<NaiveDateTime>,
    /// Not at or after this.
    pub(super) expires_at: Option<NaiveDateTime>,
}

impl Times {
    /// Reads what was asked for, as far as that can be judged without the time of day.
    pub(super) fn read(
        send_at: Option<&str>,
        expires_at: Option<&str>,
    ) -> Result<Self, FieldError> {
        Ok(Self {
            send_at: send_at.map(|text| read("send_at", text)).transpose()?,
            expires_at: expires_at
                .map(|text| read("expires_at", text))
                .transpose()?,
        })
    }

    /// From when a delivery waits for consent, and when it expires.
    pub(super) fn waits(self, now: NaiveDateTime) -> (NaiveDateTime, Option<NaiveDateTime>) {
        (
            self.send_at.map_or(now, |time| time.max(now)),
            self.expires_at,
        )
    }

    /// Checks them against the time of day. Only for a request that is new: a repetition gets its
    /// answer also when the times have passed.
    pub(super) fn check(&self, now: NaiveDateTime) -> Result<(), FieldError> {
        let latest = now + TimeDelta::days(AHEAD_DAYS_MAX);
        let fields = [("send_at", self.send_at), ("expires_at", self.expires_at)];
        for (field, time) in fields {
            if time.is_some_and(|time| time > latest) {
                let problem = format!("is more than {AHEAD_DAYS_MAX} days ahead: ask later");
                return Err(FieldError::new(field, problem));
            }
        }
        let Some(expires_at) = self.expires_at else {
            return Ok(());
        };
        if expires_at <= now {
            let problem = "has passed already: nothing would be sent; give a later time";
            return Err(FieldError::new("expires_at", problem));
        }
        if self.send_at.is_some_and(|send_at| expires_at <= send_at) {
            let problem = "is not after send_at: nothing would be sent; give a later time";
            return Err(FieldError::new("expires_at", problem));
        }
        Ok(())
    }
}

fn read(field: &str, text: &str) -> Result<NaiveDateTime, FieldError> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.naive_utc().trunc_subsecs(6)),
        Err(_) => {
            let problem = "is no time: give one as in RFC 3339, such as 2026-01-01T08:00:00Z";
            Err(FieldError::new(field, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(send_at: Option<&str>, expires_at: Option<&str>) -> Result<Times, FieldError> {
        let times = Times::read(send_at, expires_at)?;
        times.check(read("now", "2026-01-01T00:00:00Z")?)?;
        Ok(times)
    }

    #[test]
    fn any_offset_is_the_same_time() {
        let utc = checked(Some("2026-01-02T00:00:00Z"), None).unwrap();
        let beijing = checked(Some("2026-01-02T08:00:00+08:00"), None).unwrap();
        assert_eq!(utc, beijing);
        let past = checked(
            Some("2020-01-01T00:00:00Z"),
            Some("2026-01-01T00:00:00.000001Z"),
        );
        assert!(past.is_ok(), "what should have been sent is sent at once");
    }

    #[test]
    fn a_time_that_makes_no_sense_is_named_with_its_rule() {
        let day = Some("2026-01-02T00:00:00Z");
        for (send_at, expires_at, field, word) in [
            (Some("tomorrow"), None, "send_at", "RFC 3339"),
            (Some("2026-01-02"), None, "send_at", "RFC 3339"),
            (None, Some("2026-13-01T00:00:00Z"), "expires_at", "RFC 3339"),
            (Some("2026-04-01T00:00:01Z"), None, "send_at", "90 days"),
            (None, Some("9999-12-31T23:59:59Z"), "expires_at", "90 days"),
            (None, Some("2026-01-01T00:00:00Z"), "expires_at", "passed"),
            (day, day, "expires_at", "not after send_at"),
        ] {
            let error = checked(send_at, expires_at).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(error.problem.contains(word), "{error}");
        }
    }
}
