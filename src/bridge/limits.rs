//! What a business may give and ask for: how long a text may be, how many things one request may have, and the
//! checks of texts. What refuses says the limit in the words of its surface, with the field and what to do. The
//! limits of WeChat's own are in `wechat`, those of pages in `web/cursor.rs`.

use std::fmt::Display;

use serde::Serialize;
use thiserror::Error;

use crate::ids::text::{TEXT_ID_MAX, TextId};

pub use crate::models::credit::TEMPLATE_ID_MAX;

// Ids and names.

/// Characters of an app id, of the kind of an event, and of other words that filters compare: as many as an
/// openid, a unionid or a staff id may have.
pub const ID_MAX: usize = TEXT_ID_MAX;
/// Characters of the name of a staff member, or of a description: some words for people, no text.
pub const NAME_MAX: usize = 200;
/// Characters of the name of a project: it is typed on the command line.
pub const PROJECT_NAME_MAX: usize = 64;
/// Characters of the name of an account: it is a word in lists.
pub const ACCOUNT_NAME_MAX: usize = 64;
/// Characters of the name of a message type: it stands in the code of the business's apps.
pub const MESSAGE_TYPE_NAME_MAX: usize = 64;
/// Characters of a tag of staff: it is a word in requests.
pub const TAG_MAX: usize = 64;
/// Tags of one staff member: they are read and replaced together.
pub const TAGS_MAX: usize = 50;
/// Digits of a phone number: extensions of a house have few, and the longest of the world 15, to which some add
/// what is dialled in between.
pub const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=20;

// Secrets and codes.

/// Bytes of an AppSecret: WeChat's have 32.
pub const APP_SECRET_MAX: usize = 128;
/// Bytes of the Token of an account's callbacks, as WeChat's console takes it.
pub const CALLBACK_TOKEN_BYTES: std::ops::RangeInclusive<usize> = 3..=32;
/// Characters of an access token: WeChat asks to reserve 512.
pub const ACCESS_TOKEN_MAX: usize = 2_048;
/// Characters of a login code: some times what WeChat's have.
pub const LOGIN_CODE_MAX: usize = 256;
/// Characters of an idempotency key: it is indexed.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

// Users.

/// Characters of the name that a user signs in with: it is typed.
pub const USER_NAME_MAX: usize = 64;
/// Characters of a password at least: what can be guessed from a stolen hash is shorter.
pub const PASSWORD_MIN: usize = 10;
/// Characters of a password at most: no manager of passwords makes longer ones.
pub const PASSWORD_MAX: usize = 256;
/// Letters and digits of a password that Queqiao makes: more than 128 random bits.
pub const MADE_PASSWORD: usize = 24;
/// Users of one installation: they are people who work with it, and no customers.
pub const USERS_MAX: i64 = 1_000;
/// Sessions of one user: a newer one ends the oldest.
pub const SESSIONS_MAX: i64 = 50;
/// Characters of a browser's name that are kept with a session.
pub const USER_AGENT_MAX: usize = 200;
/// Passwords that are hashed at the same time: each takes a processor and 19 MiB meanwhile.
pub const PASSWORDS_AT_ONCE: usize = 2;
/// Passwords that are hashed or wait for it: the last one waits about a second.
pub const PASSWORDS_WAITING: usize = 40;
/// Wrong passwords for one name before the next has to wait.
pub const NAME_TRIES: u32 = 5;
/// Wrong passwords from one address before the next has to wait: several people may be behind it.
pub const ADDRESS_TRIES: u32 = 20;
/// Seconds of the longest pause after a wrong password.
pub const SIGN_IN_PAUSE_MAX: u64 = 900;
/// Names and addresses whose wrong passwords are remembered.
pub const TRIES_REMEMBERED: usize = 10_000;
/// Codes of the identity provider that are exchanged at the same time; others wait.
pub const OIDC_AT_ONCE: usize = 20;

// Notifications.

/// Bytes of the params of a notification, as JSON: they are stored with it, and read for each message.
pub const PARAMS_MAX: usize = 65_536;
/// Characters of a number in params: far more than any field of a message has.
pub const PARAM_DIGITS_MAX: usize = 128;
/// Lists and objects of params inside of each other, as serde_json has it.
pub const PARAM_DEPTH_MAX: usize = 128;
/// Login codes in one notification: each costs a call to WeChat while the app waits.
pub const LOGIN_CODES_MAX: usize = 20;
/// Days that a notification may be sent or expire ahead: a later time is rather a mistake than a plan.
pub const AHEAD_DAYS_MAX: i64 = 90;
/// Seconds for which an app may wait for the outcome of its notification: it holds a connection meanwhile.
pub const WAIT_SECONDS_MAX: u64 = 10;
/// Deliveries of a notification whose outcome is waited for: they are read again and again.
pub const AWAITED_MAX: usize = 100;
/// Deliveries that one request to retry looks at: they are one transaction.
pub const RETRIED_MAX: i64 = 1_000;
/// Events that one request to replay looks at: all of them are read.
pub const REPLAYED_MAX: i64 = 500;

// Routes.

/// Routes of one message type: each of them may be tried for each recipient.
pub const ROUTES_MAX: usize = 8;
/// Fields of one route: more than any template of WeChat has.
pub const ROUTE_FIELDS_MAX: usize = 30;
/// Bytes of an app id, a template id or a field's key in a route: more than WeChat's have.
pub const ROUTE_WORD_MAX: usize = 64;
/// Bytes of a template of ours, before it is filled in: what it costs to compile grows with it.
pub const SOURCE_MAX: usize = 2_000;
/// Texts that one expression of a template may join by `+` or `~` inside of brackets: fuel does not see what
/// that makes. Elsewhere each is written by itself.
pub const JOINS_MAX: usize = 32;
/// Characters of a filled-in field; WeChat shows about 20 of them.
pub const FIELD_TEXT_MAX: usize = 500;
/// Characters of a filled-in text of a message that no template limits.
pub const FREE_TEXT_MAX: usize = 2_000;
/// Bytes of a filled-in URL: what every browser opens.
pub const URL_MAX: usize = 2_048;
/// Bytes of a filled-in path of a mini-program.
pub const PAGE_PATH_MAX: usize = 1_024;

// People and consents.

/// Characters of the path in a mini-program that an invitation leads to: the token is still to be added.
pub const INVITATION_PATH_MAX: usize = 512;
/// Seconds that an invitation is good for unless the caller says otherwise: a week.
pub const INVITATION_SECONDS: u64 = 604_800;
/// Seconds that an invitation is good for at least: nobody can scan faster.
pub const INVITATION_SECONDS_MIN: u64 = 60;
/// Templates in one report of consent: a pop-up asks for five at most.
pub const CONSENT_RESULTS_MAX: usize = 20;
/// What `below` may be where people with few permissions are asked for: nobody taps that often.
pub const BELOW_MAX: i32 = 1_000;
/// Rows in one table of identities or of staff that an app brings in: they are held in memory, and judged in one go.
pub const TABLE_ROWS_MAX: usize = 10_000;
/// Templates with consents in one row of a table of identities.
pub const ROW_CONSENTS_MAX: usize = 20;
/// One-time permissions of one template that a row of a table can state: nobody taps that often.
pub const ROW_PERMISSIONS_MAX: u32 = 1_000;
/// Staff members whose reach one page of a list looks at: their bindings and openids are read.
pub const STAFF_LOOKED_AT: i64 = 500;
/// Rows of staff in one XLSX file that is given out: it is made in memory.
pub const STAFF_SHEET_ROWS_MAX: u32 = 50_000;

// Numbers by day.

/// Days in one answer: a year, and what is compared with its begin.
pub const STATS_DAYS_MAX: i32 = 400;
/// Series in one answer: each has a number for every day.
pub const STATS_SERIES_MAX: usize = 2_000;
/// Numbers that are read for one answer: all of them are in memory.
pub const STATS_NUMBERS_MAX: i64 = 200_000;

// Endpoints.

/// Endpoints of one project: what happens is recorded for each of them.
pub const ENDPOINTS_MAX: i64 = 50;
/// Characters of the URL of an endpoint, percent-encoded: what every HTTP server takes.
pub const ENDPOINT_URL_MAX: usize = 2_000;
/// Types of events, or accounts, that one endpoint names: more than there are types.
pub const ENDPOINT_LIST_MAX: usize = 100;

/// Input that cannot be taken: where it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, utoipa::ToSchema)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// The path of the field, such as `routes[0].fields.thing1`.
    pub field: String,
    /// What is wrong, with the limit and what to do.
    #[serde(rename = "detail")]
    pub problem: String,
    /// The rule that the text of a field breaks, where it is one of those.
    #[serde(skip)]
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
    /// A rule that is not about a length.
    pub(super) fn of(rule: &'static str) -> Self {
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

    /// The same, with the rule that is broken.
    pub(super) fn with(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }
}

/// What is wrong with a text. It may be too long and have control characters too; which of them is said is for
/// the surface to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError {
    /// How many characters it has.
    pub length: usize,
    /// How many it may have.
    pub most: usize,
    /// Whether there are control characters among them.
    pub has_control: bool,
}

/// Checks a text of 1 to `most` characters without control characters.
///
/// # Errors
/// Says what is wrong with another one.
pub fn text(text: &str, most: usize) -> Result<(), TextError> {
    let length = text.chars().count();
    let has_control = text.contains(char::is_control);
    match (1..=most).contains(&length) && !has_control {
        true => Ok(()),
        false => Err(TextError {
            length,
            most,
            has_control,
        }),
    }
}

/// Whether a message type can have this name: a lower-case letter, then lower-case letters, digits and
/// underscores.
pub fn is_message_type_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= MESSAGE_TYPE_NAME_MAX
}

/// Whether a key makes a repeated request the same one: visible characters of ASCII.
pub fn is_idempotency_key(key: &[u8]) -> bool {
    (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// [`TextId::check`], of a field.
pub(super) fn check_id(field: &dyn Display, kind: TextId, text: &str) -> Result<(), FieldError> {
    kind.check(text)
        .map_err(|error| FieldError::new(field.to_string(), error.to_string()))
}

/// [`text()`], of a field.
pub(super) fn check_text(field: &dyn Display, value: &str, most: usize) -> Result<(), FieldError> {
    text(value, most).map_err(|TextError { length, most, .. }| {
        let problem = match length {
            0 => format!("is empty: give 1 to {most} characters"),
            _ if length > most => format!("has {length} characters: give at most {most}"),
            _ => "contains a control character: leave it out".to_owned(),
        };
        FieldError::new(field.to_string(), problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_measured_in_characters_and_both_faults_are_seen() {
        assert_eq!(text("鹊桥", 2), Ok(()));
        for (value, length, has_control) in [
            ("", 0, false),
            ("鹊桥3", 3, false),
            ("\n", 1, true),
            ("a\nb", 3, true),
        ] {
            let most = 2;
            let error = TextError {
                length,
                most,
                has_control,
            };
            assert_eq!(text(value, most), Err(error), "{value:?}");
        }
        let problem = |value| check_text(&"tag", value, 2).unwrap_err().to_string();
        assert_eq!(problem(""), "tag is empty: give 1 to 2 characters");
        assert_eq!(problem("a\nb"), "tag has 3 characters: give at most 2");
        let control = "tag contains a control character: leave it out";
        assert_eq!(problem("\n"), control);
    }

    #[test]
    fn names_of_message_types_and_keys_are_of_ascii() {
        let longest = "x".repeat(MESSAGE_TYPE_NAME_MAX);
        for name in ["a", "order_created", "v2_x", &longest] {
            assert!(is_message_type_name(name), "{name}");
        }
        let long = format!("{longest}x");
        for name in ["", "_a", "1a", "Order", "a-b", "a b", "é", &long] {
            assert!(!is_message_type_name(name), "{name}");
        }
        let longest = "k".repeat(IDEMPOTENCY_KEY_MAX);
        for (key, expected) in [
            ("order-1!", true),
            (&longest, true),
            (&format!("{longest}k"), false),
            ("", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(is_idempotency_key(key.as_bytes()), expected, "{key}");
        }
    }
}
