//! The integration tests, one binary: they meet Queqiao from outside, on both database engines.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a story is read from top to bottom, and some are long"
)]

#[macro_use]
mod support;

mod api;
mod architecture;
mod callback;
mod cli;
mod connections;
mod docs;
mod foundation;
mod invariants;
mod keywords;
mod lifetime;
mod notify;
mod numbers;
mod storage;
mod webhooks;
