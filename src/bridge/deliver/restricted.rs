//! Whose fault a 50002 is: WeChat says it both of a person and of an account. Said of one person it
//! concerns the person; said of several in a row, with no message taken in between, the account.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use super::BatchContext;
use super::attempt::AttemptResult;
use super::send::next;
use crate::ids::AccountId;
use crate::models::account::pause::{ALL_CALLS, AccountPause, PauseKind};
use crate::models::delivery::Due;
use crate::wechat::error::{ApiError, Fault};

/// Of so many different people in a row WeChat must say it before it concerns the account.
const PEOPLE: usize = 3;

/// Of whom WeChat has said it since a message was last taken, by account. Per process, as pauses
/// are: a replica finds out by itself.
#[derive(Debug, Default)]
pub struct Restricted(Mutex<HashMap<AccountId, BTreeSet<String>>>);

impl Restricted {
    /// Looks at what came of a batch, and lays the refusals on the account where they concern it.
    /// Returns the call and the words of one of them then.
    pub(super) fn judge(
        &self,
        lane: AccountId,
        context: &BatchContext,
        pauses: &[AccountPause],
        claimed_at: NaiveDateTime,
        tried: &mut [(&Due, AttemptResult)],
    ) -> Option<(&'static str, ApiError)> {
        let people = tried.iter().filter(|(_, done)| is_restricted(done));
        let people = people.filter_map(|(due, _)| due.openid.clone());
        let worked = tried.iter().any(|(_, done)| is_accepted(done));
        let stopped =
            |pause: &AccountPause| pause.call == ALL_CALLS && pause.kind == PauseKind::Stopped;
        let is_account = self.learn(lane, people, worked)
            || !worked
                && pauses.iter().any(stopped)
                && tried.iter().any(|(_, done)| is_restricted(done));
        if !is_account {
            return None;
        }
        let mut found = None;
        for (due, done) in tried.iter_mut() {
            let AttemptResult::Tried {
                failure: Some(failure),
                finished_at,
                next: follows,
                ..
            } = done
            else {
                continue;
            };
            if failure.fault() != Some(Fault::Restricted) {
                continue;
            }
            found = failure
                .said
                .as_ref()
                .map(|said| (said.call, said.error.clone()));
            *failure = failure.of_the_account();
            *follows = next(due, (claimed_at, *finished_at), context, failure);
        }
        found
    }

    /// Whether it has been said of enough people. What is kept is no more than that many.
    fn learn(&self, lane: AccountId, people: impl Iterator<Item = String>, worked: bool) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if worked {
            known.remove(&lane);
            return false;
        }
        let mut people = people.peekable();
        if people.peek().is_none() {
            return false;
        }
        let known = known.entry(lane).or_default();
        for openid in people {
            if known.len() < PEOPLE {
                known.insert(openid);
            }
        }
        known.len() >= PEOPLE
    }
}

fn is_restricted(done: &AttemptResult) -> bool {
    matches!(done, AttemptResult::Tried { failure: Some(failure), .. } if failure.fault() == Some(Fault::Restricted))
}

fn is_accepted(done: &AttemptResult) -> bool {
    matches!(done, AttemptResult::Tried { failure: None, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_people_in_a_row_are_the_account_and_a_message_taken_ends_the_row() {
        let known = Restricted::default();
        let said = |openids: &[&str], worked| {
            let openids: Vec<String> = openids.iter().map(|one| (*one).to_owned()).collect();
            known.learn(AccountId(1), openids.into_iter(), worked)
        };
        assert!(!said(&["a"], false) && !said(&["a"], false) && !said(&["b"], false));
        assert!(!said(&[], false) && !said(&["c"], true));
        assert!(!said(&["a", "b"], false) && said(&["c"], false) && said(&["a"], false));
        assert!(!known.learn(AccountId(2), ["a".to_owned()].into_iter(), false));
    }
}
