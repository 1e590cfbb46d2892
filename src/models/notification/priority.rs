//! What goes first.

use crate::db::text_enum;

text_enum! {
    /// How a delivery stands to the others of its account.
    pub enum Priority {
        /// Before all others, with slots that the others never take.
        Urgent = "urgent",
        /// As they come.
        Normal = "normal",
        /// When nothing else is to be sent.
        Bulk = "bulk",
    }
}

impl Priority {
    /// Its number in `deliveries.priority`: the lowest goes first.
    pub const fn rank(self) -> i32 {
        self as i32
    }

    /// The priority of that number.
    pub fn of_rank(rank: i32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|priority| priority.rank() == rank)
    }
}
