//! What happened: the messages people saw and the pushes sent. Bounded, so that a benchmark does not fill the memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::locks::lock;
use super::sender::PushRecord;

/// A template, subscription or customer message on a person's screen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMessage {
    /// The sending account.
    pub app_id: String,
    /// Who saw it.
    pub openid: String,
    /// Its template; a customer message has none.
    pub template_id: String,
    /// The values shown, by key.
    pub data: BTreeMap<String, String>,
    /// The text of a customer message, links and all.
    #[serde(default)]
    pub text: Option<String>,
    /// Where a tap leads.
    pub url: Option<String>,
    /// The mini-program page a tap leads to.
    pub miniprogram: Option<MiniProgramPage>,
    /// Which version of the mini-program a tap opens, as a subscription message asks for it.
    #[serde(default)]
    pub miniprogram_state: Option<String>,
    /// The language asked for.
    #[serde(default)]
    pub lang: Option<String>,
    /// The sender's own id.
    pub client_msg_id: Option<String>,
    /// WeChat's id, the same as in the receipt; 0 for a customer message, which has neither.
    pub msgid: i64,
    /// Simulated time, milliseconds since 1970.
    pub seen_at: i64,
}

/// A mini-program page, as template/send names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MiniProgramPage {
    /// The mini-program.
    pub appid: String,
    /// Relative path with query.
    #[serde(default, alias = "path")]
    pub pagepath: Option<String>,
}

/// The newest entries, and how many there ever were.
pub(super) struct Journal<T> {
    limit: usize,
    total: AtomicU64,
    entries: Mutex<VecDeque<T>>,
}

impl<T: Clone> Journal<T> {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            total: AtomicU64::new(0),
            entries: Mutex::default(),
        }
    }

    /// Counts, and keeps what `entry` makes if entries are kept at all.
    pub(super) fn add(&self, entry: impl FnOnce() -> T) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if self.limit == 0 {
            return;
        }
        let entry = entry();
        let mut entries = lock(&self.entries);
        if entries.len() == self.limit {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The kept entries that `wanted` picks, oldest first.
    pub(super) fn list(&self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let entries = lock(&self.entries);
        entries
            .iter()
            .filter(|entry| wanted(entry))
            .cloned()
            .collect()
    }

    fn clear(&self) {
        lock(&self.entries).clear();
    }
}

pub(super) struct Record {
    pub(super) messages: Journal<SeenMessage>,
    pub(super) pushes: Journal<PushRecord>,
    failed_pushes: AtomicU64,
}

impl Record {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            messages: Journal::new(limit),
            pushes: Journal::new(limit),
            failed_pushes: AtomicU64::new(0),
        }
    }

    pub(super) fn push_ended(&self, record: &PushRecord) {
        if !record.verdict.is_accepted() {
            self.failed_pushes.fetch_add(1, Ordering::Relaxed);
        }
        self.pushes.add(|| record.clone());
    }

    pub(super) fn failed_pushes(&self) -> u64 {
        self.failed_pushes.load(Ordering::Relaxed)
    }

    /// Forgets the kept entries; the totals stay.
    pub(super) fn clear(&self) {
        self.messages.clear();
        self.pushes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_the_newest_and_counts_all() {
        let journal = Journal::new(2);
        (1..=3).for_each(|number| journal.add(|| number));
        assert_eq!((journal.list(|_| true), journal.total()), (vec![2, 3], 3));
        assert_eq!(journal.list(|number| *number > 2), [3]);
        let off = Journal::new(0);
        off.add(|| -> u8 { panic!("not even made") });
        assert_eq!((off.list(|_| true).len(), off.total()), (0, 1));
    }
}
