//! What is odd about an account's list of followers (user/get) while people come and go.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::locks::lock;

/// How the list is told. JSON: `{"total": 7, "empty_first": true}`, all optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListRule {
    /// The `total` of every page, whatever the number of followers.
    pub total: Option<usize>,
    /// The first openid of every page is an empty one.
    pub empty_first: bool,
    /// The last page names no `next_openid`, as the guide has it.
    pub no_successor: bool,
    /// The list begins again behind its end.
    pub circle: bool,
    /// People who leave once the next page has been told; nothing is pushed of it.
    pub leaving: Vec<u32>,
}

#[derive(Default)]
pub(super) struct Lists(Mutex<ListRule>);

impl Lists {
    pub(super) fn set(&self, rule: ListRule) {
        *lock(&self.0) = rule;
    }

    /// The rule for one page; whoever is to leave then leaves once.
    pub(super) fn next(&self) -> ListRule {
        let mut rule = lock(&self.0);
        let next = rule.clone();
        rule.leaving.clear();
        next
    }
}
