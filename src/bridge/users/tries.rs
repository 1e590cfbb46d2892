//! Wrong passwords slow down whoever tries them: after some for one name, or from one address, each is followed by a
//! pause twice as long as the one before. What is under way counts as wrong, so that many at once are not free.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use crate::bridge::limits::{ADDRESS_TRIES, NAME_TRIES, SIGN_IN_PAUSE_MAX, TRIES_REMEMBERED};
use crate::models::user::name_key;

/// After so long without another try, earlier ones are forgotten.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);
/// The part that is forgotten where too many are remembered: one in so many.
const MADE_ROOM: usize = 10;

/// Of whom tries are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Name(String),
    Network(IpAddr),
}

impl Of {
    fn free(&self) -> u32 {
        match self {
            Self::Name(_) => NAME_TRIES,
            Self::Network(_) => ADDRESS_TRIES,
        }
    }
}

/// Tries in a row that were wrong.
#[derive(Clone, Copy, Debug)]
struct Counted {
    wrong: u32,
    last: NaiveDateTime,
}

impl Counted {
    /// How long the next one has to wait, in seconds. What was counted later than now was so before the clock went
    /// back: it counts as of now.
    fn pause(&mut self, free: u32, now: NaiveDateTime) -> u64 {
        self.last = self.last.min(now);
        if self.wrong < free {
            return 0;
        }
        let doubled = 1_u64.checked_shl(self.wrong - free + 1);
        let pause = doubled.unwrap_or(u64::MAX).min(SIGN_IN_PAUSE_MAX);
        let passed = (now - self.last).num_seconds().unsigned_abs();
        pause.saturating_sub(passed)
    }
}

/// The names and addresses of which wrong passwords are remembered.
#[derive(Default)]
pub(super) struct Tries(Mutex<HashMap<Of, Counted>>);

/// A try under way.
#[derive(Debug)]
pub(super) struct Try {
    of: [Of; 2],
}

impl Tries {
    /// Begins a try.
    ///
    /// # Errors
    /// How many seconds it has to wait.
    pub(super) fn begin(
        &self,
        name: &str,
        address: IpAddr,
        now: NaiveDateTime,
    ) -> Result<Try, u64> {
        let of = [Of::Name(name_key(name)), Of::Network(network(address))];
        let mut counted = self.lock();
        let mut pause = 0;
        for one in &of {
            if let Some(found) = counted.get_mut(one) {
                pause = pause.max(found.pause(one.free(), now));
                if now - found.last > FORGOTTEN_AFTER {
                    counted.remove(one);
                }
            }
        }
        if pause > 0 {
            return Err(pause);
        }
        for one in &of {
            if counted.len() >= TRIES_REMEMBERED && !counted.contains_key(one) {
                make_room(&mut counted, now);
            }
            let entry = counted.entry(one.clone());
            let found = entry.or_insert(Counted {
                wrong: 0,
                last: now,
            });
            found.wrong = found.wrong.saturating_add(1);
            found.last = now;
        }
        Ok(Try { of })
    }

    /// The password was right: nothing is held against the name. What others tried from the address still is.
    pub(super) fn right(&self, tried: &Try) {
        let [name, network] = &tried.of;
        let mut counted = self.lock();
        counted.remove(name);
        take_back(&mut counted, network);
    }

    /// Whether it was right is not known: the try does not count.
    pub(super) fn unknown(&self, tried: &Try) {
        let mut counted = self.lock();
        tried.of.iter().for_each(|of| take_back(&mut counted, of));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Of, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_back(counted: &mut HashMap<Of, Counted>, of: &Of) {
    if let Some(found) = counted.get_mut(of) {
        found.wrong = found.wrong.saturating_sub(1);
        if found.wrong == 0 {
            counted.remove(of);
        }
    }
}

/// Forgets what is old, and where that is not enough, those with the fewest tries: somebody who makes names up has one
/// for each.
fn make_room(counted: &mut HashMap<Of, Counted>, now: NaiveDateTime) {
    counted.retain(|_, found| now - found.last <= FORGOTTEN_AFTER);
    let room = TRIES_REMEMBERED / MADE_ROOM;
    if counted.len() + room <= TRIES_REMEMBERED {
        return;
    }
    let mut all: Vec<(u32, NaiveDateTime)> = counted
        .values()
        .map(|found| (found.wrong, found.last))
        .collect();
    all.sort_unstable();
    if let Some(&most) = all.get(room) {
        counted.retain(|_, found| (found.wrong, found.last) > most);
    }
}

/// The address, or the network that somebody with IPv6 has to themselves.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0)
            .unwrap()
            .naive_utc()
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_wrong_password_after_some_doubles_the_pause_up_to_the_longest() {
        let tries = Tries::default();
        let mut now = 0;
        for _ in 0..NAME_TRIES {
            tries.begin("Ann", address(1), at(now)).unwrap();
        }
        let mut pauses = Vec::new();
        for other in 2..14 {
            let wait = tries.begin("ANN", address(other), at(now)).unwrap_err();
            assert!(tries.begin("ann", address(other), at(now + 1)).is_err() || wait == 1);
            pauses.push(wait);
            now += i64::try_from(wait).unwrap();
            tries.begin("ann", address(other), at(now)).unwrap();
        }
        assert_eq!(pauses[..5], [2, 4, 8, 16, 32]);
        assert_eq!(*pauses.last().unwrap(), SIGN_IN_PAUSE_MAX);
        // Another name waits for nothing.
        tries.begin("bob", address(200), at(now)).unwrap();
    }

    #[test]
    fn a_right_one_clears_the_name_and_an_unknown_one_does_not_count() {
        let tries = Tries::default();
        for _ in 0..NAME_TRIES - 1 {
            tries.begin("ann", address(1), at(0)).unwrap();
        }
        let right = tries.begin("ann", address(1), at(0)).unwrap();
        assert!(tries.begin("ann", address(1), at(0)).is_err());
        tries.right(&right);
        for _ in 0..100 {
            let unknown = tries.begin("ann", address(1), at(0)).unwrap();
            tries.unknown(&unknown);
        }
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too_and_a_network_is_one_address() {
        let tries = Tries::default();
        let of = |n: u32| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, u16::try_from(n).unwrap()]);
        for n in 0..ADDRESS_TRIES {
            tries.begin(&format!("name{n}"), of(n), at(0)).unwrap();
        }
        assert_eq!(tries.begin("another", of(99), at(0)).unwrap_err(), 2);
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        tries.begin("another", elsewhere, at(0)).unwrap();
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_longer_than_the_pause() {
        let tries = Tries::default();
        for _ in 0..=NAME_TRIES {
            let _ = tries.begin("ann", address(1), at(100_000));
        }
        assert_eq!(tries.begin("ann", address(1), at(0)).unwrap_err(), 2);
        tries.begin("ann", address(1), at(2)).unwrap();
    }

    #[test]
    fn what_is_remembered_is_bounded_and_made_up_names_go_first() {
        let tries = Tries::default();
        for _ in 0..NAME_TRIES {
            tries.begin("ann", address(1), at(0)).unwrap();
        }
        for n in 0..20_000_u32 {
            let made_up = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let _ = tries.begin(&format!("name{n}"), made_up, at(1));
            assert!(tries.lock().len() <= TRIES_REMEMBERED);
        }
        assert!(tries.begin("ann", address(2), at(1)).is_err());
        // After an hour all of them are forgotten.
        let later = at(2 + FORGOTTEN_AFTER.num_seconds());
        tries.begin("ann", address(2), later).unwrap();
    }
}
