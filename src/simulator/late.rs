//! Profiles that are behind: user/info and batchget say `subscribe: 0` of somebody who follows.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::locks::lock;

/// How long a person's profile is behind. JSON: `{"person": 3, "asks": 2, "seconds": 0}`, all optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LateProfile {
    /// Whose; everybody's who has no rule of their own if absent.
    pub person: Option<u32>,
    /// For so many questions about the person from now on.
    pub asks: u32,
    /// For so many seconds after the person followed.
    pub seconds: i64,
}

#[derive(Default)]
pub(super) struct Late {
    /// Read by every question, so that a world without rules costs no lock.
    any: AtomicBool,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    everybody: Option<LateProfile>,
    of: HashMap<u32, LateProfile>,
}

impl Late {
    pub(super) fn set(&self, rule: LateProfile) {
        let mut rules = lock(&self.rules);
        match rule.person {
            Some(person) => drop(rules.of.insert(person, rule)),
            None => {
                *rules = Rules {
                    everybody: Some(rule),
                    of: HashMap::new(),
                }
            }
        }
        self.any.store(true, Ordering::Release);
    }

    /// Whether WeChat does not know yet that the person follows, since `followed`; counts as a question.
    pub(super) fn hides(&self, person: u32, followed: i64, now: i64) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let mut rules = lock(&self.rules);
        let everybody = rules.everybody;
        let rule = match everybody {
            Some(everybody) => rules.of.entry(person).or_insert(everybody),
            None => match rules.of.get_mut(&person) {
                Some(rule) => rule,
                None => return false,
            },
        };
        if rule.asks > 0 {
            rule.asks -= 1;
            return true;
        }
        now < followed.saturating_add(rule.seconds)
    }
}
