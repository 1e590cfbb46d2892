//! Which client_msg_ids were sent to whom in the last ten minutes (WeChat guide, sendTemplateMessage).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use super::locks::lock;

const LIFE_MILLIS: i64 = 10 * 60 * 1000;
const SHARDS: usize = 16;
const SWEEP_MIN: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Sent {
    msgid: i64,
    at: i64,
}

/// What a send became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Not sent before.
    New,
    /// Sent within the ten minutes, under this msgid.
    Repeat(i64),
}

#[derive(Default)]
struct Shard {
    sent: HashMap<(u32, String), Sent>,
    /// At this size the expired ones are thrown out.
    sweep_at: usize,
}

impl Shard {
    fn sweep(&mut self, now: i64) {
        if self.sent.len() >= self.sweep_at {
            self.sent.retain(|_, sent| now - sent.at < LIFE_MILLIS);
            self.sweep_at = (2 * self.sent.len()).max(SWEEP_MIN);
        }
    }
}

/// In shards: every template message comes through here.
#[derive(Default)]
pub(super) struct SentIds {
    shards: [Mutex<Shard>; SHARDS],
}

impl SentIds {
    fn shard(&self, person: u32, client_msg_id: &str) -> Option<&Mutex<Shard>> {
        let mut hasher = DefaultHasher::new();
        (person, client_msg_id).hash(&mut hasher);
        let at = hasher.finish() % SHARDS as u64;
        usize::try_from(at).ok().and_then(|at| self.shards.get(at))
    }

    /// The msgid of a message that was sent under the id within the ten minutes.
    pub(super) fn known(&self, person: u32, client_msg_id: &str, now: i64) -> Option<i64> {
        let shard = lock(self.shard(person, client_msg_id)?);
        let sent = shard.sent.get(&(person, client_msg_id.to_owned()))?;
        (now - sent.at < LIFE_MILLIS).then_some(sent.msgid)
    }

    /// Takes the id for `msgid`, unless a message has it already.
    pub(super) fn claim(&self, person: u32, client_msg_id: &str, msgid: i64, now: i64) -> Claim {
        let Some(shard) = self.shard(person, client_msg_id) else {
            return Claim::New;
        };
        let fresh = Sent { msgid, at: now };
        let mut shard = lock(shard);
        shard.sweep(now);
        match shard.sent.entry((person, client_msg_id.to_owned())) {
            Entry::Occupied(mut entry) if now - entry.get().at >= LIFE_MILLIS => {
                entry.insert(fresh);
                Claim::New
            }
            Entry::Occupied(entry) => Claim::Repeat(entry.get().msgid),
            Entry::Vacant(entry) => {
                entry.insert(fresh);
                Claim::New
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_for_ten_minutes_and_for_one_person() {
        let sent = SentIds::default();
        assert_eq!(sent.claim(1, "a", 100, 0), Claim::New);
        assert_eq!(sent.claim(1, "a", 101, LIFE_MILLIS - 1), Claim::Repeat(100));
        assert_eq!(sent.known(1, "a", LIFE_MILLIS - 1), Some(100));
        assert_eq!(sent.known(1, "a", LIFE_MILLIS), None);
        assert_eq!(sent.known(2, "a", 0), None);
        assert_eq!(sent.claim(2, "a", 102, 1), Claim::New);
        assert_eq!(sent.claim(1, "b", 103, 1), Claim::New);
        assert_eq!(sent.claim(1, "a", 104, LIFE_MILLIS), Claim::New);
        assert_eq!(sent.claim(1, "a", 105, LIFE_MILLIS + 1), Claim::Repeat(104));
    }

    #[test]
    fn expired_ids_do_not_pile_up() {
        let mut shard = Shard::default();
        for number in 0..5_000 {
            shard.sweep(number);
            let sent = Sent {
                msgid: number,
                at: number,
            };
            shard.sent.insert((0, number.to_string()), sent);
        }
        assert_eq!(shard.sent.len(), 5_000, "all are alive");
        shard.sweep_at = 0;
        shard.sweep(LIFE_MILLIS + 4_000);
        assert_eq!(shard.sent.len(), 999);
    }
}
