//! Days of a time zone. Numbers by day are those of the day where the business is.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;
use serde::Serialize;

/// From 0001-01-01, which is day 1, to 1970-01-01.
const BEFORE_1970: i32 = 719_163;

/// A day of the calendar, counted from 1970-01-01, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// The day of this date.
    pub fn of(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - BEFORE_1970)
    }

    /// Its date. A number that no calendar has is the nearest one that it has.
    pub fn date(self) -> NaiveDate {
        let nearest = match self.0 < 0 {
            true => NaiveDate::MIN,
            false => NaiveDate::MAX,
        };
        let from_the_first = self.0.saturating_add(BEFORE_1970);
        NaiveDate::from_num_days_from_ce_opt(from_the_first).unwrap_or(nearest)
    }

    /// So many days later; earlier, where that is below zero.
    #[must_use]
    pub fn later(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// How many days there are from this one to another, both counted.
    pub fn days_to(self, last: Self) -> i32 {
        last.0.saturating_sub(self.0).saturating_add(1)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().format("%F"))
    }
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let date = NaiveDate::parse_from_str(text, "%F").ok();
        // It may be written with a sign, or with fewer digits.
        let date = date.filter(|date| date.format("%F").to_string() == text);
        let date = date.filter(|date| (1970..=9999).contains(&date.year()));
        date.map(Self::of).ok_or("must be a day such as 2026-11-30")
    }
}

/// A time zone by its name in the IANA time zone database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(Tz);

impl Default for TimeZone {
    /// WeChat's own: its quotas are those of a day in Beijing.
    fn default() -> Self {
        Self(Tz::Asia__Shanghai)
    }
}

impl TimeZone {
    /// The zone of that very name.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The zone that is stored under a name. One that this version does not know, as a newer one has stored it, is
    /// taken for the default.
    pub fn stored(name: &str) -> Self {
        Self::named(name).unwrap_or_default()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The day that it is there at a time in UTC.
    pub fn day(self, utc: NaiveDateTime) -> Day {
        Day::of(self.0.from_utc_datetime(&utc).date_naive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        for (zone, utc, day) in [
            ("Asia/Shanghai", "2026-11-29T15:59:59", "2026-11-29"),
            ("Asia/Shanghai", "2026-11-29T16:00:00", "2026-11-30"),
            ("UTC", "2026-11-29T23:59:59.999999", "2026-11-29"),
            ("UTC", "1970-01-01T00:00:00", "1970-01-01"),
            // Summer, winter, and the day of 25 hours between them.
            ("Europe/Berlin", "2026-10-24T21:59:59", "2026-10-24"),
            ("Europe/Berlin", "2026-10-24T22:00:00", "2026-10-25"),
            ("Europe/Berlin", "2026-10-25T22:59:59", "2026-10-25"),
            ("Europe/Berlin", "2026-10-25T23:00:00", "2026-10-26"),
            ("Asia/Kathmandu", "2026-11-29T18:15:00", "2026-11-30"),
            ("America/New_York", "2026-11-30T04:59:59", "2026-11-29"),
        ] {
            let zone = TimeZone::named(zone).unwrap();
            assert_eq!(zone.day(time(utc)).to_string(), day, "{zone:?} {utc}");
        }
    }

    #[test]
    fn a_name_is_that_of_the_database_letter_by_letter() {
        for name in ["Asia/Shanghai", "UTC", "Europe/Berlin", "Etc/GMT+8"] {
            assert_eq!(TimeZone::named(name).unwrap().name(), name);
        }
        for name in ["", "Beijing", "asia/shanghai", "+08:00", "CST", " UTC"] {
            assert_eq!(TimeZone::named(name), None, "{name}");
            assert_eq!(TimeZone::stored(name), TimeZone::default());
        }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        for (text, number) in [("1970-01-01", 0), ("1970-01-02", 1), ("2026-11-29", 20_786)] {
            assert_eq!(text.parse(), Ok(Day(number)));
            assert_eq!(Day(number).to_string(), text);
        }
        for text in [
            "",
            "today",
            "2026-1-01",
            "2026-02-30",
            "1969-12-31",
            "10000-01-01",
            "20261129",
            "2026-11-29T00:00:00Z",
            "+2026-11-2",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert_eq!(Day(0).days_to(Day(0)), 1);
        assert_eq!(Day(2).days_to(Day(0)), -1);
        assert_eq!(Day(i32::MAX).date(), NaiveDate::MAX);
        assert_eq!(Day(i32::MIN).date(), NaiveDate::MIN);
    }
}
