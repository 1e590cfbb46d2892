//! The openids that an account took over from another one.

use std::collections::HashSet;
use std::sync::RwLock;

use super::locks::{read, write};

/// How long openids are translated, milliseconds: 15 days.
const OPEN_FOR: i64 = 15 * 86_400_000;

/// An account migration as the new account knows it.
#[derive(Default)]
pub(super) struct Migration {
    last: RwLock<Option<Taken>>,
}

struct Taken {
    from: String,
    people: HashSet<u32>,
    at: i64,
}

impl Migration {
    pub(super) fn begin(&self, from: &str, people: &[u32], now: i64) {
        *write(&self.last) = Some(Taken {
            from: from.to_owned(),
            people: people.iter().copied().collect(),
            at: now,
        });
    }

    /// Which of these people were taken over; none where no migration from that account is open.
    pub(super) fn taken(&self, from: &str, people: &[Option<u32>], now: i64) -> Option<Vec<bool>> {
        let last = read(&self.last);
        let taken = last.as_ref()?;
        if taken.from != from || now - taken.at > OPEN_FOR {
            return None;
        }
        let is_taken =
            |person: &Option<u32>| person.is_some_and(|person| taken.people.contains(&person));
        Some(people.iter().map(is_taken).collect())
    }
}
