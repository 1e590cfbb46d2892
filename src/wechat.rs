//! WeChat's protocols and nothing else: no database, no web framework.

pub mod client;
pub mod error;
pub mod session;
pub mod template;
pub mod token;
pub mod user;
