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
use thiserror::Error;

use crate::ids::WebhookId;
use crate::wechat::subscribe::{Language, MiniProgramState};

use check::{check_route, check_url};

pub use channel::{Channel, Permission, Repeat, Traits};
pub use compiled::{Compiled, Recipient, Rendered};
pub use field::{Chosen, Field, OnTooLong};
pub use manner::Manner;
pub use params::Params;
pub use preview::Preview;

/// Routes of one message type.
pub const MAX_ROUTES: usize = 8;
/// Fields of one route: more than any template of WeChat has.
pub const MAX_FIELDS: usize = 30;
/// Bytes of a template of ours, before it is filled in.
pub const MAX_SOURCE: usize = 2_000;
/// Characters of a filled-in field; WeChat shows about 20 of them.
pub const MAX_TEXT: usize = 500;
/// Characters of a filled-in field of a message that no template limits.
pub const MAX_FREE: usize = 2_000;
/// Bytes of a filled-in URL.
pub const MAX_URL: usize = 2_048;
/// Bytes of a filled-in mini-program path.
pub const MAX_PATH: usize = 1_024;
/// Bytes of an app_id, a template_id or a field's key.
const MAX_WORD: usize = 64;

/// One way to send a message type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiniProgram {
    /// Its app_id.
    pub app_id: String,
    /// The page with its query, to be filled in; its home page without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Input that cannot be taken: where it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// The path of the field, such as `routes[0].fields.thing1`.
    pub field: String,
    /// What is wrong, with the limit and what to do.
    pub problem: String,
    /// The rule that the text of a field breaks, where it is one of those.
    pub broken: Option<Broken>,
}

/// A rule of WeChat's that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The type of the keyword (`thing`, `amount`, …), or another stable word.
    pub rule: &'static str,
    /// How long the text is, where its length is what is wrong.
    pub length: Option<usize>,
    /// How long it may be, in the same unit.
    pub limit: Option<usize>,
}

impl Broken {
    fn of(rule: &'static str) -> Self {
        Self {
            rule,
            length: None,
            limit: None,
        }
    }
}

impl FieldError {
    /// Names the field and what is wrong with it.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            broken: None,
        }
    }

    fn with(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }
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
    if routes.is_empty() || routes.len() > MAX_ROUTES {
        let count = routes.len();
        let problem = format!("has {count} entries: give 1 to {MAX_ROUTES}");
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
