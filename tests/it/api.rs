//! The API through HTTP, on both engines, with WeChat played by the simulator.

mod access_token;
mod auth;
mod bindings;
mod credits;
mod deliveries;
mod errors;
mod events;
mod http;
mod identities;
mod ids;
mod invitations;
mod large;
mod links;
mod login;
mod notifications;
mod numbers;
mod pauses;
mod people;
mod recipients;
mod staff;
mod templates;
mod timing;
mod users;
mod validation;
mod windows;

use crate::support::ApiFixture;
use crate::support::setup::{FOREIGN, MP, OA};
