//! Routes: the ways in which a message type can be sent, in the order in which they are tried.
//! The JSON in `message_types.routes` has this shape.

mod bounded;
mod channel;
mod check;
mod compiled;
mod field;
mod judge;
pub mod keyword;
mod link;
mod manner;
mod numbers;
mod operands;
mod params;
mod preview;
mod text;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::ROUTES_MAX;
use crate::ids::WebhookId;
use crate::wechat::subscribe::{Language, MiniProgramState};

use check::{check_route, check_url};

pub use super::limits::{Broken, FieldError};
pub use channel::{Channel, Permission, Repeat, Traits};
pub use compiled::{Compiled, Recipient, Rendered};
pub use field::{Chosen, Field, OnTooLong};
pub use manner::Manner;
pub use params::Params;
pub use preview::Preview;

/// One way to send a message type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The app_id of the account that sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The endpoint of the business that is posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<WebhookId>,
    /// What kind of message it sends; it decides which of the others a route has.
    #[serde(default)]
    pub channel: Channel,
    /// The template's id in that account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// The template's keys, each with what fills it in.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// The text of a message that has no template; it may have several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Field>,
    /// The words below the text that are tapped, to be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_text: Option<String>,
    /// The page that a tap opens, such as `https://example.com/orders/{{ params.order }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The mini-program that a tap opens; wins over `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mini_program: Option<MiniProgram>,
    /// The sending mini-program's own page, with its query, that a tap opens, to be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Which version of the mini-program a tap opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miniprogram_state: Option<MiniProgramState>,
    /// The language of what WeChat writes around the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<Language>,
}

/// A mini-program that is linked with the sending account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MiniProgram {
    /// Its app_id.
    pub app_id: String,
    /// The page with its query, to be filled in; its home page without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Reads the routes of a message type from JSON, and checks them.
///
/// # Errors
/// Names the first field that cannot be taken.
pub fn parse(json: &str) -> Result<Vec<Route>, FieldError> {
    let routes: Vec<Route> = serde_json::from_str(json).map_err(|error| {
        FieldError::new(
            "routes",
            format!("cannot be read as a list of routes: {error}"),
        )
    })?;
    check(&routes)?;
    Ok(routes)
}

/// Checks routes that were read elsewhere. Whether their accounts exist is for the caller to see.
///
/// # Errors
/// Names the first field that cannot be taken.
pub fn check(routes: &[Route]) -> Result<(), FieldError> {
    if routes.is_empty() || routes.len() > ROUTES_MAX {
        let count = routes.len();
        let problem = format!("has {count} entries: give 1 to {ROUTES_MAX}");
        return Err(FieldError::new("routes", problem));
    }
    for (at, route) in routes.iter().enumerate() {
        check_route(&format!("routes[{at}]"), route)?;
    }
    // How long a text comes out does not matter yet.
    Compiled::new(routes, usize::MAX).map(drop)
}

/// The JSON to store.
///
/// # Errors
/// If it cannot be written, which JSON of these types always can.
pub fn to_json(routes: &[Route]) -> serde_json::Result<String> {
    serde_json::to_string(routes)
}

#[cfg(test)]
mod tests;
