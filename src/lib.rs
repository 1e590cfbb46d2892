//! Queqiao 鹊桥: a self-hosted event bridge for WeChat official accounts.
//!
//! WeChat pushes a follow event; Queqiao stores it, links that person's openids across the service
//! account and the mini-programs through `unionid`, and lets business apps notify staff by their
//! own staff ids, with the receipts.
//!
//! # The data path
//!
//! Each step meets the next only through a table and a wake signal ([`bridge::signals`]).
//!
//! 1. WeChat posts to [`web`], which hands the bytes to [`bridge::intake`]: verify, decrypt, parse,
//!    group commit into `events`; only then is the callback answered.
//! 2. [`bridge::process`] turns events into follow states, profiles to fetch and receipts.
//! 3. [`bridge::people`] asks WeChat who the followers are, a hundred at a time, and writes down
//!    their unionids: which is what links the identities of one person.
//! 4. A business app posts a notification: [`bridge::notify`] resolves staff to people to routes, and
//!    stores the deliveries in one transaction.
//! 5. [`bridge::deliver`] claims deliveries with a lease, sends with no connection held, and records
//!    what came of it; it also joins WeChat's word on whether they arrived.
//!
//! # Layout
//!
//! Imports point down only; a test holds this.
//!
//! - [`ids`], [`clock`], [`files`] (private ones)
//! - [`config`], [`vault`] (secrets at rest), [`logging`], [`metrics`], [`wechat`] (its protocols and
//!   nothing else)
//! - [`db`]: one connection over PostgreSQL and SQLite; [`models`]: one file per table
//! - [`bridge`]: the steps
//! - [`web`], [`worker`]: the edges
//! - [`cli`]: one file per subcommand
//! - beside them [`simulator`], a WeChat to test against, and [`load`], which puts callbacks under load

pub mod bridge;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod ids;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod models;
pub mod simulator;
pub mod vault;
pub mod web;
pub mod wechat;
pub mod worker;
