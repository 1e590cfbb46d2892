//! What must hold at the end: WeChat's record against the tables.

mod deliveries;
mod events;
mod ledgers;

pub(crate) use deliveries::deliveries;
pub(crate) use events::{arrived, events, lost, pushes};
pub(crate) use ledgers::{notifications, permissions};
