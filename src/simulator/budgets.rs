//! How often an account may make a call: in a day of Beijing, and in a minute (WeChat guide, API call limits).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::api::{Endpoint, Errcode};
use super::locks::lock;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const BEIJING: i64 = 8 * 60 * MINUTE;

/// The budget of one call. JSON: `{"path": "/cgi-bin/message/custom/send", "daily": 100, "per_minute": null}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Path of the API.
    pub path: String,
    /// Calls until midnight in Beijing, then 45009; any number if absent.
    #[serde(default)]
    pub daily: Option<u64>,
    /// Calls in a minute of the clock, then 45011; any number if absent.
    #[serde(default)]
    pub per_minute: Option<u64>,
}

#[derive(Default)]
struct Spent {
    daily: Option<u64>,
    per_minute: Option<u64>,
    day: (i64, u64),
    minute: (i64, u64),
}

/// The budgets of one account; none at first.
#[derive(Default)]
pub(super) struct Budgets {
    /// Read by every call, so that an account without budgets costs no lock.
    any: AtomicBool,
    by_path: Mutex<HashMap<&'static str, Spent>>,
}

impl Budgets {
    /// Sets a budget; what was spent since the first one stays spent.
    pub(super) fn set(&self, endpoint: Endpoint, daily: Option<u64>, per_minute: Option<u64>) {
        let mut budgets = lock(&self.by_path);
        let spent = budgets.entry(endpoint.path()).or_default();
        (spent.daily, spent.per_minute) = (daily, per_minute);
        self.any.store(true, Ordering::Release);
    }

    /// One call; `now` in milliseconds since 1970.
    pub(super) fn spend(&self, endpoint: Endpoint, now: i64) -> Result<(), Errcode> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut budgets = lock(&self.by_path);
        let Some(spent) = budgets.get_mut(endpoint.path()) else {
            return Ok(());
        };
        let day = (now + BEIJING).div_euclid(DAY);
        if !count(&mut spent.day, day, spent.daily) {
            return Err(Errcode::QUOTA);
        }
        if !count(&mut spent.minute, now.div_euclid(MINUTE), spent.per_minute) {
            return Err(Errcode::TOO_FAST);
        }
        Ok(())
    }
}

/// Counts within a period; whether the limit allows it.
fn count(counted: &mut (i64, u64), period: i64, limit: Option<u64>) -> bool {
    if counted.0 != period {
        *counted = (period, 0);
    }
    if limit.is_some_and(|limit| counted.1 >= limit) {
        return false;
    }
    counted.1 += 1;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Endpoint = Endpoint::CustomSend;
    /// Midnight in Beijing.
    const MIDNIGHT: i64 = 1_767_196_800_000;

    #[test]
    fn a_day_ends_at_midnight_in_beijing() {
        let budgets = Budgets::default();
        assert_eq!(budgets.spend(CALL, 0), Ok(()));
        budgets.set(CALL, Some(2), None);
        let late = MIDNIGHT - 1;
        for expected in [Ok(()), Ok(()), Err(Errcode::QUOTA), Err(Errcode::QUOTA)] {
            assert_eq!(budgets.spend(CALL, late), expected);
        }
        assert_eq!(budgets.spend(Endpoint::UserGet, late), Ok(()));
        assert_eq!(budgets.spend(CALL, MIDNIGHT), Ok(()));
        assert_eq!(budgets.spend(CALL, MIDNIGHT + DAY - 1), Ok(()));
        assert_eq!(budgets.spend(CALL, MIDNIGHT + DAY - 1), Err(Errcode::QUOTA));
        budgets.set(CALL, Some(3), None);
        assert_eq!(budgets.spend(CALL, MIDNIGHT + DAY - 1), Ok(()));
    }

    #[test]
    fn a_minute_has_its_own_limit() {
        let budgets = Budgets::default();
        budgets.set(CALL, None, Some(1));
        assert_eq!(budgets.spend(CALL, MIDNIGHT), Ok(()));
        assert_eq!(budgets.spend(CALL, MIDNIGHT), Err(Errcode::TOO_FAST));
        assert_eq!(budgets.spend(CALL, MIDNIGHT + MINUTE), Ok(()));
        budgets.set(CALL, None, None);
        assert_eq!(budgets.spend(CALL, MIDNIGHT + MINUTE), Ok(()));
    }
}
