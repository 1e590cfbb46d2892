//! What must hold at the end: WeChat's record against the tables.

mod deliveries;
mod events;

pub(crate) use deliveries::deliveries;
pub(crate) use events::{events, lost};
