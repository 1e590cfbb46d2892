//! Customer messages that people's actions allow (WeChat's introduction to customer messages): each action has an
//! allowance of its own, and doing it again renews that.

use std::collections::HashMap;
use std::sync::Mutex;

use super::api::Errcode;
use super::locks::lock;

const MINUTE: i64 = 60_000;
const TWO_DAYS: i64 = 48 * 60 * MINUTE;

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// Wrote; so many messages may answer.
    Wrote(u32),
    /// Tapped a menu entry, or one of a menu message.
    Tapped,
    /// Followed.
    Followed,
    /// Scanned a QR code of the account.
    Scanned,
    /// Entered a mini-program's chat.
    Entered,
}

impl Act {
    /// Milliseconds and messages.
    fn allows(self) -> (i64, u32) {
        match self {
            Self::Wrote(messages) => (TWO_DAYS, messages),
            Self::Tapped | Self::Followed | Self::Scanned => (MINUTE, 3),
            Self::Entered => (MINUTE, 2),
        }
    }

    fn same_kind(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

struct Allowed {
    act: Act,
    ends_at: i64,
    left: u32,
}

/// Everybody's chats with one account. Times in milliseconds since 1970.
#[derive(Default)]
pub(super) struct Chats {
    by_person: Mutex<HashMap<u32, Vec<Allowed>>>,
}

impl Chats {
    pub(super) fn act(&self, person: u32, act: Act, now: i64) {
        let (millis, left) = act.allows();
        let mut chats = lock(&self.by_person);
        let allowed = chats.entry(person).or_default();
        allowed.retain(|old| old.ends_at > now && !old.act.same_kind(act));
        allowed.push(Allowed {
            act,
            ends_at: now + millis,
            left,
        });
    }

    /// Who unfollows is not written to any more.
    pub(super) fn leave(&self, person: u32) {
        lock(&self.by_person).remove(&person);
    }

    /// Uses up one message, of the allowance that ends first.
    pub(super) fn answer(&self, person: u32, now: i64) -> Result<(), Errcode> {
        let mut chats = lock(&self.by_person);
        let allowed = chats.get_mut(&person).ok_or(Errcode::OUT_OF_TIME)?;
        allowed.retain(|allowed| allowed.ends_at > now);
        if allowed.is_empty() {
            return Err(Errcode::OUT_OF_TIME);
        }
        let with_some = allowed.iter_mut().filter(|allowed| allowed.left > 0);
        let first = with_some.min_by_key(|allowed| allowed.ends_at);
        first.ok_or(Errcode::OUT_OF_RESPONSES)?.left -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(chats: &Chats, now: i64) -> (u32, Errcode) {
        let mut sent = 0;
        loop {
            match chats.answer(1, now) {
                Ok(()) => sent += 1,
                Err(error) => return (sent, error),
            }
        }
    }

    #[test]
    fn each_action_has_its_time_and_number() {
        for (act, number, millis) in [
            (Act::Wrote(5), 5, TWO_DAYS),
            (Act::Tapped, 3, MINUTE),
            (Act::Followed, 3, MINUTE),
            (Act::Scanned, 3, MINUTE),
            (Act::Entered, 2, MINUTE),
        ] {
            let chats = Chats::default();
            assert_eq!(answers(&chats, 0), (0, Errcode::OUT_OF_TIME));
            chats.act(1, act, 1000);
            chats.act(2, act, 1000);
            let end = 1000 + millis;
            assert_eq!(
                answers(&chats, end - 1),
                (number, Errcode::OUT_OF_RESPONSES)
            );
            assert_eq!(answers(&chats, end), (0, Errcode::OUT_OF_TIME));
        }
    }

    #[test]
    fn doing_it_again_renews_and_leaving_ends_it() {
        let chats = Chats::default();
        chats.act(1, Act::Tapped, 0);
        assert_eq!(answers(&chats, 1).0, 3);
        chats.act(1, Act::Tapped, 2);
        chats.act(1, Act::Wrote(5), 2);
        assert_eq!(answers(&chats, 3).0, 8);
        chats.act(1, Act::Scanned, 4);
        chats.leave(1);
        assert_eq!(answers(&chats, 5), (0, Errcode::OUT_OF_TIME));
    }
}
