//! WeChat's protocols and nothing else: no database, no web framework.

pub mod callback;
pub mod client;
pub mod crypto;
pub mod custom;
pub mod envelope;
pub mod error;
pub mod fields;
pub mod library;
pub mod message;
pub mod migrate;
pub mod push;
pub mod qrcode;
pub mod reply;
pub mod salvage;
pub mod session;
pub mod signature;
pub mod subscribe;
pub mod template;
pub mod token;
pub mod user;
