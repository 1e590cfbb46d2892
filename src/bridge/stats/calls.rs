//! Calls to WeChat, counted in memory and written down now and then: most of them are made outside of any
//! transaction. A process that is killed loses what it has not written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDateTime};

use crate::clock::TimeZone;
use crate::ids::{AccountId, ProjectId};
use crate::models::stats::{Changes, Key, Metric};

/// Seconds in which calls are counted together: in every time zone a day begins with one of these.
const QUARTER: i64 = 900;

/// The project and the account of a call, and its name.
pub type Made = (ProjectId, AccountId, &'static str);

/// How many calls were made in which quarter of an hour, counted from 1970.
type Counts = HashMap<(Made, i64), i64>;

/// The calls of this process that are not written down yet.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Counts>);

impl Calls {
    /// A call came back, with whatever result.
    pub fn count(&self, made: Made, now: NaiveDateTime) {
        let quarter = now.and_utc().timestamp().div_euclid(QUARTER);
        *self.lock().entry((made, quarter)).or_default() += 1;
    }

    /// All of them, to be written down.
    pub(super) fn take(&self) -> Counts {
        std::mem::take(&mut *self.lock())
    }

    /// They could not be written down.
    pub(super) fn put_back(&self, counts: Counts) {
        let mut kept = self.lock();
        for (key, count) in counts {
            *kept.entry(key).or_default() += count;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What they add to the numbers, by the days of each account's time zone.
pub(super) fn changes(counts: &Counts, zone: impl Fn(AccountId) -> Option<TimeZone>) -> Changes {
    let mut changes = Changes::default();
    for (&((project, account, call), quarter), &count) in counts {
        let begin = DateTime::from_timestamp(quarter.saturating_mul(QUARTER), 0);
        let (Some(zone), Some(begin)) = (zone(account), begin) else {
            continue;
        };
        let key = Key::new(project, zone.day(begin.naive_utc()), Metric::Calls);
        changes.add(key.of_account(account).named(call), count);
    }
    changes
}
