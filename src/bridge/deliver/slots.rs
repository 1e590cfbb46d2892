//! Who may send at the same time: pure, so that its fairness can be tested without sending.
//!
//! A slot is one batch under way. No account may hold more of them than are left free, so that
//! there is one for the next account however many are stuck. Urgent messages have further slots,
//! which nothing else takes. Accounts in trouble, that is those that are tried or searched, hold one
//! slot each and half of each kind together at the most, however many slots the others hold.

use std::collections::HashMap;

use crate::ids::AccountId;
use crate::models::notification::Priority;

/// How many slots there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// For everything.
    pub(super) shared: usize,
    /// Of these, for one account at the most.
    pub(super) per_account: usize,
    /// Beside them, for urgent messages only.
    pub(super) urgent: usize,
}

/// Which slots one is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    Shared,
    Urgent,
}

/// A slot that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pool: Pool,
    /// Whether it is for an account in trouble.
    in_trouble: bool,
}

/// How many slots of a pool are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    in_trouble: usize,
}

impl Taken {
    /// Whether there is one of so many.
    fn leaves_one(self, size: usize, in_trouble: bool) -> bool {
        self.all < size && (!in_trouble || self.in_trouble < (size / 2).max(1))
    }
}

#[derive(Debug, Default)]
struct Holder {
    shared: usize,
    urgent: usize,
    /// When it was last given one; the lower, the longer ago.
    turn: u64,
}

/// The slots of this process.
#[derive(Debug)]
pub(super) struct Slots {
    sizes: Sizes,
    shared: Taken,
    urgent: Taken,
    turn: u64,
    holders: HashMap<AccountId, Holder>,
}

/// The lowest is next: urgent ones, then who holds the fewest slots, then who has waited longest,
/// and within an account by priority.
pub(super) type Order = (bool, usize, u64, i32);

impl Slots {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            shared: Taken::default(),
            urgent: Taken::default(),
            turn: 0,
            holders: HashMap::new(),
        }
    }

    /// Where an account stands.
    pub(super) fn order(&self, lane: AccountId, priority: Priority) -> Order {
        let (held, turn) = self.holders.get(&lane).map_or((0, 0), |holder| {
            (holder.shared + holder.urgent, holder.turn)
        });
        (priority != Priority::Urgent, held, turn, priority.rank())
    }

    /// From where an account could have a slot now.
    pub(super) fn seat(&self, lane: AccountId, priority: Priority) -> Option<Seat> {
        let (shared, urgent) = self.held(lane);
        let seat = |pool| Seat {
            pool,
            in_trouble: false,
        };
        let free = self.sizes.shared.saturating_sub(self.shared.all);
        if shared < self.sizes.per_account && shared < free {
            return Some(seat(Pool::Shared));
        }
        let free = self.sizes.urgent.saturating_sub(self.urgent.all);
        (priority == Priority::Urgent && urgent < free).then(|| seat(Pool::Urgent))
    }

    /// The same for an account that may send one batch at a time.
    pub(super) fn seat_alone(
        &self,
        lane: AccountId,
        priority: Priority,
        in_trouble: bool,
    ) -> Option<Seat> {
        if self.held(lane) != (0, 0) {
            return None;
        }
        let (shared, urgent) = (self.shared, self.urgent);
        let pool = if shared.leaves_one(self.sizes.shared, in_trouble) {
            Pool::Shared
        } else if priority == Priority::Urgent && urgent.leaves_one(self.sizes.urgent, in_trouble) {
            Pool::Urgent
        } else {
            return None;
        };
        Some(Seat { pool, in_trouble })
    }

    fn held(&self, lane: AccountId) -> (usize, usize) {
        self.holders
            .get(&lane)
            .map_or((0, 0), |holder| (holder.shared, holder.urgent))
    }

    pub(super) fn take(&mut self, lane: AccountId, seat: Seat) {
        self.turn += 1;
        let holder = self.holders.entry(lane).or_default();
        holder.turn = self.turn;
        let (taken, own) = match seat.pool {
            Pool::Shared => (&mut self.shared, &mut holder.shared),
            Pool::Urgent => (&mut self.urgent, &mut holder.urgent),
        };
        taken.all += 1;
        taken.in_trouble += usize::from(seat.in_trouble);
        *own += 1;
    }

    pub(super) fn free(&mut self, lane: AccountId, seat: Seat) {
        let Some(holder) = self.holders.get_mut(&lane) else {
            return;
        };
        let (taken, own) = match seat.pool {
            Pool::Shared => (&mut self.shared, &mut holder.shared),
            Pool::Urgent => (&mut self.urgent, &mut holder.urgent),
        };
        taken.all = taken.all.saturating_sub(1);
        taken.in_trouble = taken
            .in_trouble
            .saturating_sub(usize::from(seat.in_trouble));
        *own = own.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        shared: 8,
        per_account: 4,
        urgent: 2,
    };

    /// Takes all that an account can have.
    fn fill(slots: &mut Slots, lane: i64, priority: Priority) -> usize {
        let mut taken = 0;
        while let Some(seat) = slots.seat(AccountId(lane), priority) {
            slots.take(AccountId(lane), seat);
            taken += 1;
        }
        taken
    }

    /// Takes one for an account in trouble.
    fn probe(slots: &mut Slots, lane: i64, priority: Priority) -> Option<Pool> {
        let seat = slots.seat_alone(AccountId(lane), priority, true)?;
        slots.take(AccountId(lane), seat);
        Some(seat.pool)
    }

    fn well(pool: Pool) -> Seat {
        Seat {
            pool,
            in_trouble: false,
        }
    }

    #[test]
    fn an_account_alone_has_its_share_and_no_more() {
        assert_eq!(fill(&mut Slots::new(SIZES), 1, Priority::Bulk), 4);
        let one = Sizes { shared: 1, ..SIZES };
        assert_eq!(fill(&mut Slots::new(one), 1, Priority::Bulk), 1);
        let wide = Sizes {
            per_account: 8,
            ..SIZES
        };
        assert_eq!(fill(&mut Slots::new(wide), 1, Priority::Bulk), 4);
    }

    #[test]
    fn stuck_accounts_leave_slots_to_the_next_ones() {
        let mut slots = Slots::new(SIZES);
        let taken: Vec<usize> = (1..=4)
            .map(|lane| fill(&mut slots, lane, Priority::Normal))
            .collect();
        assert_eq!(taken, [4, 2, 1, 1]);
    }

    #[test]
    fn urgent_messages_have_slots_that_the_others_never_take() {
        let mut slots = Slots::new(SIZES);
        for lane in 1..=8 {
            fill(&mut slots, lane, Priority::Bulk);
            fill(&mut slots, lane, Priority::Normal);
        }
        assert_eq!(slots.seat(AccountId(9), Priority::Normal), None);
        // An account that is full of slow ones, and one that has nothing yet.
        assert_eq!(fill(&mut slots, 1, Priority::Urgent), 1);
        assert_eq!(fill(&mut slots, 9, Priority::Urgent), 1);
        slots.free(AccountId(1), well(Pool::Urgent));
        assert_eq!(slots.seat(AccountId(1), Priority::Normal), None);
        assert_eq!(
            slots.seat(AccountId(1), Priority::Urgent),
            Some(well(Pool::Urgent))
        );
    }

    #[test]
    fn accounts_in_trouble_send_one_batch_each_and_leave_half_of_the_slots() {
        let mut slots = Slots::new(SIZES);
        let mut probing = 0;
        for lane in 1..=8 {
            while probe(&mut slots, lane, Priority::Normal).is_some() {
                probing += 1;
            }
        }
        assert_eq!(probing, 4);
        assert_eq!(fill(&mut slots, 9, Priority::Normal), 2);
        let careful = |slots: &Slots, lane| {
            slots
                .seat_alone(AccountId(lane), Priority::Normal, false)
                .is_some()
        };
        assert!(careful(&slots, 10));
        let mut narrow = Slots::new(Sizes { shared: 1, ..SIZES });
        assert!(probe(&mut narrow, 1, Priority::Normal).is_some());
        assert!(!careful(&narrow, 2));
    }

    #[test]
    fn what_accounts_in_trouble_may_have_does_not_depend_on_the_others() {
        let mut slots = Slots::new(Sizes {
            per_account: 3,
            ..SIZES
        });
        for lane in [1, 2] {
            assert_eq!(fill(&mut slots, lane, Priority::Bulk), 3);
        }
        assert_eq!(probe(&mut slots, 3, Priority::Normal), Some(Pool::Shared));
        assert_eq!(probe(&mut slots, 4, Priority::Normal), Some(Pool::Shared));
        assert_eq!(
            probe(&mut slots, 5, Priority::Normal),
            None,
            "all are taken"
        );
        // There are slots for urgent ones, and half of them for those in trouble.
        assert_eq!(probe(&mut slots, 5, Priority::Urgent), Some(Pool::Urgent));
        assert_eq!(probe(&mut slots, 6, Priority::Urgent), None);
        assert_eq!(fill(&mut slots, 1, Priority::Urgent), 1);
        let seat = Seat {
            pool: Pool::Urgent,
            in_trouble: true,
        };
        slots.free(AccountId(5), seat);
        assert_eq!(probe(&mut slots, 6, Priority::Urgent), Some(Pool::Urgent));
    }

    #[test]
    fn whoever_holds_least_and_has_waited_longest_is_next() {
        let mut slots = Slots::new(SIZES);
        let mut served = Vec::new();
        for _ in 0..6 {
            let next = (1..=3)
                .map(AccountId)
                .min_by_key(|lane| slots.order(*lane, Priority::Normal))
                .unwrap();
            slots.take(next, well(Pool::Shared));
            slots.free(next, well(Pool::Shared));
            served.push(next.0);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 3]);
        slots.take(AccountId(1), well(Pool::Shared));
        let order = |lane, priority| slots.order(AccountId(lane), priority);
        assert!(order(2, Priority::Bulk) < order(1, Priority::Normal));
        assert!(order(1, Priority::Urgent) < order(2, Priority::Normal));
        assert!(order(2, Priority::Normal) < order(2, Priority::Bulk));
    }
}
