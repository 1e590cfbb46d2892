//! Whether this process does its work, and what a monitor is shown of it.

pub(super) mod ends;
pub mod gauges;
pub mod loops;
pub mod readiness;
pub(super) mod stopped;
