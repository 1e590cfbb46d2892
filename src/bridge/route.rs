//! Routes: the ways in which a message type can be sent, in the order in which they are tried.
//! The JSON in `message_types.routes` has this shape.

mod compiled;
mod field;
mod judge;
pub mod keyword;
mod preview;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

pub use compiled::{Compiled, Recipient, Rendered};
pub use field::{Chosen, Field, OnTooLong};
pub use preview::Preview;

/// Routes of one message type.
pub const MAX_ROUTES: usize = 8;
/// Fields of one route: more than any template of WeChat has.
pub const MAX_FIELDS: usize = 30;
/// Bytes of a template of ours, before it is filled in.
pub const MAX_SOURCE: usize = 2_000;
/// Characters of a filled-in field; WeChat shows about 20 of them.
pub const MAX_TEXT: usize = 500;
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
    /// The app_id of the official account that sends.
    pub account: String,
    /// What kind of message it sends.
    #[serde(default)]
    pub channel: Channel,
    /// The template's id in that account.
    pub template_id: String,
    /// The template's keys, each with what fills it in.
    pub fields: BTreeMap<String, Field>,
    /// The page that a tap opens, such as `https://example.com/orders/{{ params.order }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The mini-program that a tap opens; wins over `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mini_program: Option<MiniProgram>,
}

/// A kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A template message of a service account.
    #[default]
    Template,
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
    Compiled::new(routes).map(drop)
}

/// The JSON to store.
///
/// # Errors
/// If it cannot be written, which JSON of these types always can.
pub fn to_json(routes: &[Route]) -> serde_json::Result<String> {
    serde_json::to_string(routes)
}

fn check_route(path: &str, route: &Route) -> Result<(), FieldError> {
    check_word(&format!("{path}.account"), &route.account)?;
    check_word(&format!("{path}.template_id"), &route.template_id)?;
    let count = route.fields.len();
    if count == 0 || count > MAX_FIELDS {
        let problem = format!("has {count} entries: give 1 to {MAX_FIELDS}");
        return Err(FieldError::new(format!("{path}.fields"), problem));
    }
    for (key, filling) in &route.fields {
        if !is_key(key) {
            let problem = format!(
                "has the key {key:?}: a key is a letter or _, then letters, digits and _, at most \
                 {MAX_WORD} in all, as in {{{{thing1.DATA}}}} of the template"
            );
            return Err(FieldError::new(format!("{path}.fields"), problem));
        }
        check_source(&format!("{path}.fields.{key}"), filling.text())?;
    }
    if let Some(url) = &route.url {
        check_source(&format!("{path}.url"), url)?;
        // What is filled in later is checked when it is.
        if !url.contains("{{") && !url.contains("{%") {
            check_url(&format!("{path}.url"), url)?;
        }
    }
    if let Some(mini_program) = &route.mini_program {
        check_word(&format!("{path}.mini_program.app_id"), &mini_program.app_id)?;
        if let Some(page) = &mini_program.path {
            check_source(&format!("{path}.mini_program.path"), page)?;
        }
    }
    Ok(())
}

fn check_word(field: &str, word: &str) -> Result<(), FieldError> {
    let sound = (1..=MAX_WORD).contains(&word.len()) && word.chars().all(|c| c.is_ascii_graphic());
    if sound {
        return Ok(());
    }
    let problem = format!(
        "must be 1 to {MAX_WORD} ASCII characters without spaces: copy it from WeChat's console"
    );
    Err(FieldError::new(field, problem))
}

fn is_key(key: &str) -> bool {
    key.len() <= MAX_WORD
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_source(field: &str, source: &str) -> Result<(), FieldError> {
    let length = source.len();
    if !(1..=MAX_SOURCE).contains(&length) {
        let problem = format!("has {length} bytes: give 1 to {MAX_SOURCE}");
        return Err(FieldError::new(field, problem));
    }
    match forbidden_statement(source) {
        None => Ok(()),
        Some(word) => {
            let problem = format!(
                "has the statement `{word}`: of statements only `if`, `elif`, `else` and `endif` \
                 are allowed"
            );
            Err(FieldError::new(field, problem))
        }
    }
}

/// The first statement that a one-line text has no need of. With loops and assignments a short
/// template can make a text that fills the memory: fuel counts instructions, not bytes.
fn forbidden_statement(source: &str) -> Option<&str> {
    source.split("{%").skip(1).find_map(|rest| {
        let word = rest
            .trim_start_matches(['-', '+'])
            .split_whitespace()
            .next()
            .unwrap_or_default();
        let word = word.trim_end_matches("%}").trim_end_matches('-');
        (!matches!(word, "if" | "elif" | "else" | "endif")).then_some(word)
    })
}

fn check_url(field: &str, url: &str) -> Result<(), FieldError> {
    let sound = Url::parse(url)
        .is_ok_and(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.has_host())
        && !url.contains(char::is_whitespace);
    if sound && url.len() <= MAX_URL {
        return Ok(());
    }
    let problem = format!(
        "must be an http:// or https:// address of at most {MAX_URL} bytes, without spaces"
    );
    Err(FieldError::new(field, problem))
}

#[cfg(test)]
mod tests;
