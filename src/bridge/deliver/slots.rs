//! Who may send at the same time: pure, so that its fairness can be tested without sending.
//!
//! A slot is one batch under way. No account may hold more of them than are left free, so that
//! there is one for the next account however many are stuck. Urgent messages have further slots,
//! which nothing else takes.

use std::collections::HashMap;

use crate::ids::AccountId;
use crate::models::delivery::Priority;

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
pub(super) enum Pool {
    Shared,
    Urgent,
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
    shared: usize,
    urgent: usize,
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
            shared: 0,
            urgent: 0,
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
    pub(super) fn pool(&self, lane: AccountId, priority: Priority) -> Option<Pool> {
        let (shared, urgent) = self.held(lane);
        let free = self.sizes.shared.saturating_sub(self.shared);
        if shared < self.sizes.per_account && shared < free {
            return Some(Pool::Shared);
        }
        let free = self.sizes.urgent.saturating_sub(self.urgent);
        (priority == Priority::Urgent && urgent < free).then_some(Pool::Urgent)
    }

    /// The same for an account that may send one batch at a time. Those in trouble leave half of
    /// the slots to the others.
    pub(super) fn pool_alone(&self, lane: AccountId, in_trouble: bool) -> Option<Pool> {
        let free = self.sizes.shared.saturating_sub(self.shared);
        let enough = match in_trouble {
            true => free * 2 > self.sizes.shared,
            false => free > 0,
        };
        (self.held(lane) == (0, 0) && enough).then_some(Pool::Shared)
    }

    fn held(&self, lane: AccountId) -> (usize, usize) {
        self.holders
            .get(&lane)
            .map_or((0, 0), |holder| (holder.shared, holder.urgent))
    }

    pub(super) fn take(&mut self, lane: AccountId, pool: Pool) {
        self.turn += 1;
        let holder = self.holders.entry(lane).or_default();
        holder.turn = self.turn;
        let (all, own) = match pool {
            Pool::Shared => (&mut self.shared, &mut holder.shared),
            Pool::Urgent => (&mut self.urgent, &mut holder.urgent),
        };
        *all += 1;
        *own += 1;
    }

    pub(super) fn free(&mut self, lane: AccountId, pool: Pool) {
        let Some(holder) = self.holders.get_mut(&lane) else {
            return;
        };
        let (all, own) = match pool {
            Pool::Shared => (&mut self.shared, &mut holder.shared),
            Pool::Urgent => (&mut self.urgent, &mut holder.urgent),
        };
        *all = all.saturating_sub(1);
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
        while let Some(pool) = slots.pool(AccountId(lane), priority) {
            slots.take(AccountId(lane), pool);
            taken += 1;
        }
        taken
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
        assert_eq!(slots.pool(AccountId(9), Priority::Normal), None);
        // An account that is full of slow ones, and one that has nothing yet.
        assert_eq!(fill(&mut slots, 1, Priority::Urgent), 1);
        assert_eq!(fill(&mut slots, 9, Priority::Urgent), 1);
        slots.free(AccountId(1), Pool::Urgent);
        assert_eq!(slots.pool(AccountId(1), Priority::Normal), None);
        assert_eq!(
            slots.pool(AccountId(1), Priority::Urgent),
            Some(Pool::Urgent)
        );
    }

    #[test]
    fn accounts_in_trouble_send_one_batch_each_and_leave_half_of_the_slots() {
        let mut slots = Slots::new(SIZES);
        let mut probing = 0;
        for lane in 1..=8 {
            while let Some(pool) = slots.pool_alone(AccountId(lane), true) {
                slots.take(AccountId(lane), pool);
                probing += 1;
            }
        }
        assert_eq!(probing, 4);
        assert_eq!(fill(&mut slots, 9, Priority::Normal), 2);
        assert!(slots.pool_alone(AccountId(10), false).is_some());
        let mut narrow = Slots::new(Sizes { shared: 1, ..SIZES });
        assert!(narrow.pool_alone(AccountId(1), true).is_some());
        narrow.take(AccountId(1), Pool::Shared);
        assert!(narrow.pool_alone(AccountId(2), false).is_none());
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
            slots.take(next, Pool::Shared);
            slots.free(next, Pool::Shared);
            served.push(next.0);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 3]);
        slots.take(AccountId(1), Pool::Shared);
        let order = |lane, priority| slots.order(AccountId(lane), priority);
        assert!(order(2, Priority::Bulk) < order(1, Priority::Normal));
        assert!(order(1, Priority::Urgent) < order(2, Priority::Normal));
        assert!(order(2, Priority::Normal) < order(2, Priority::Bulk));
    }
}
