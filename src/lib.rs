//! Queqiao 鹊桥: a self-hosted event bridge for WeChat official accounts.

pub mod bridge;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
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
