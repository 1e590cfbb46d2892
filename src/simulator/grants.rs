//! What people allow: permissions for subscription messages, by person and template, and the rule that one openid is
//! sent one such message at a time (WeChat guide, subscription messages).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::locks::lock;

/// What a person allows one template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// One-time permissions not used yet.
    pub left: u32,
    /// Messages without number are allowed, as only long-term templates can have it.
    pub lasting: bool,
}

#[derive(Default)]
struct GrantState {
    grants: HashMap<u32, BTreeMap<String, Grant>>,
    in_turn: HashSet<u32>,
}

/// Everybody's permissions in one account.
#[derive(Clone, Default)]
pub(super) struct Grants {
    state: Arc<Mutex<GrantState>>,
}

impl Grants {
    /// One tap on "allow". Taps on a one-time template add up.
    pub(super) fn allow(&self, person: u32, template: &str, long_term: bool) {
        let mut state = lock(&self.state);
        let grants = state.grants.entry(person).or_default();
        let grant = grants.entry(template.to_owned()).or_default();
        if long_term {
            grant.lasting = true;
        } else {
            grant.left = grant.left.saturating_add(1);
        }
    }

    /// A refusal in the pop-up ends a long-term permission. One-time permissions given before stay: the pop-up asked
    /// for one more.
    pub(super) fn refuse(&self, person: u32, template: &str) {
        self.change(person, template, |grant| grant.lasting = false);
    }

    /// A refusal in the settings takes all permissions back.
    pub(super) fn withdraw(&self, person: u32, template: &str) {
        self.change(person, template, |grant| *grant = Grant::default());
    }

    fn change(&self, person: u32, template: &str, change: impl FnOnce(&mut Grant)) {
        let mut state = lock(&self.state);
        let grants = state.grants.get_mut(&person);
        if let Some(grant) = grants.and_then(|grants| grants.get_mut(template)) {
            change(grant);
        }
    }

    /// Uses a permission; whether there was one.
    pub(super) fn take(&self, person: u32, template: &str) -> bool {
        let mut state = lock(&self.state);
        let grants = state.grants.get_mut(&person);
        let Some(grant) = grants.and_then(|grants| grants.get_mut(template)) else {
            return false;
        };
        if grant.lasting {
            return true;
        }
        let left = grant.left.checked_sub(1);
        grant.left = left.unwrap_or_default();
        left.is_some()
    }

    pub(super) fn of(&self, person: u32) -> BTreeMap<String, Grant> {
        let state = lock(&self.state);
        state.grants.get(&person).cloned().unwrap_or_default()
    }

    /// The person's turn to be sent a message, unless they are being sent one.
    pub(super) fn turn(&self, person: u32) -> Option<Turn> {
        lock(&self.state).in_turn.insert(person).then(|| Turn {
            state: Arc::clone(&self.state),
            person,
        })
    }
}

/// Held until the send is answered.
pub(super) struct Turn {
    state: Arc<Mutex<GrantState>>,
    person: u32,
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.state).in_turn.remove(&self.person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_permissions_are_used_up_and_lasting_ones_are_not() {
        let grants = Grants::default();
        assert!(!grants.take(1, "A"));
        grants.allow(1, "A", false);
        grants.allow(1, "A", false);
        grants.allow(1, "B", true);
        grants.refuse(1, "A");
        assert!(grants.take(1, "A") && grants.take(1, "A") && !grants.take(1, "A"));
        assert!(!grants.take(2, "B"), "another person's");
        assert!(grants.take(1, "B") && grants.take(1, "B"));
        grants.refuse(1, "B");
        assert!(!grants.take(1, "B"));
        grants.allow(1, "A", false);
        grants.withdraw(1, "A");
        assert!(!grants.take(1, "A"));
        assert_eq!(grants.of(1)["A"], Grant::default());
    }

    #[test]
    fn a_person_has_one_turn_at_a_time() {
        let grants = Grants::default();
        let turn = grants.turn(1);
        assert!(turn.is_some() && grants.turn(1).is_none() && grants.turn(2).is_some());
        drop(turn);
        assert!(grants.turn(1).is_some());
    }
}
