//! Planning: over which route each person is reached, and why not over the routes before it.

pub(super) mod await_consent;
pub(super) mod decide;
pub(super) mod fallback;
pub mod planner;
pub mod prepared;
pub mod reach;
pub mod route_views;
pub(super) mod senders;
