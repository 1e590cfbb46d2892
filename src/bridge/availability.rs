//! Whether an account may send now: pauses, budgets, rates and the day in Beijing.

pub mod account_problems;
pub(crate) mod budget;
pub(crate) mod pause;
pub(crate) mod rate;
pub(crate) mod renewal;
pub(crate) mod resume;
pub(crate) mod resumptions;
