//! Whether a push was answered as WeChat demands (WeChat guide, passive replies; the alarm mails' "illegal response").

use serde::{Deserialize, Serialize};

use super::Sealed;
use crate::wechat::callback::{self, Mode, Query};
use crate::wechat::fields::Fields;

/// Characters of an answer that are kept.
const KEPT_CHARACTERS: usize = 2048;

/// What WeChat thinks of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PushOutcome {
    /// HTTP 200 and exactly `success`.
    Success,
    /// HTTP 200 and nothing.
    Empty,
    /// A well-formed passive reply; the person sees it.
    Reply {
        /// Its `MsgType`.
        msg_type: String,
        /// The reply in clear.
        plaintext: String,
    },
    /// HTTP 200 with something that is none of these.
    IllegalResponse {
        /// What is wrong.
        reason: String,
    },
    /// Any other HTTP status.
    HttpStatus,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// Waits to be released.
    Held,
    /// The account has no callback_url: nothing was sent.
    NotConfigured,
}

impl PushOutcome {
    /// Whether WeChat leaves it at that.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Success | Self::Empty | Self::Reply { .. })
    }
}

/// One delivery of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The beginning of the answer's body.
    pub answer: String,
    /// What WeChat thinks of it.
    pub verdict: PushOutcome,
}

impl Attempt {
    pub(super) fn unanswered(verdict: PushOutcome) -> Self {
        Self {
            status: None,
            answer: String::new(),
            verdict,
        }
    }

    pub(super) fn judge(push: &Sealed, status: u16, body: &[u8]) -> Self {
        let verdict = match (status, body) {
            (200, b"success") => PushOutcome::Success,
            (200, b"") => PushOutcome::Empty,
            (200, _) => {
                reply(push, body).unwrap_or_else(|reason| PushOutcome::IllegalResponse { reason })
            }
            _ => PushOutcome::HttpStatus,
        };
        Self {
            status: Some(status),
            answer: String::from_utf8_lossy(body)
                .chars()
                .take(KEPT_CHARACTERS)
                .collect(),
            verdict,
        }
    }
}

/// A passive reply: encrypted if the push was, the names swapped. Compatible mode takes one in clear as well.
fn reply(push: &Sealed, body: &[u8]) -> Result<PushOutcome, String> {
    let outer = Fields::parse(body).map_err(|error| error.to_string())?;
    let encrypted = outer.get("Encrypt").is_some();
    let plaintext = match (push.settings.mode, encrypted) {
        (Mode::Plain, false) | (Mode::Compatible, false) => body.to_vec(),
        (Mode::Plain, true) => return Err("an encrypted reply in plain mode".to_owned()),
        (Mode::Secure, false) => return Err("a reply in clear in secure mode".to_owned()),
        (Mode::Compatible | Mode::Secure, true) => open(push, &outer, body)?,
    };
    let inner = Fields::parse(&plaintext).map_err(|error| error.to_string())?;
    let same = |name, expected: &str| match inner.text(name) {
        Some(found) if found == expected => Ok(()),
        _ => Err(format!(
            "{name} is not {expected:?}: the names must be swapped"
        )),
    };
    same("ToUserName", &push.openid)?;
    same("FromUserName", &push.settings.original_id)?;
    inner
        .text("CreateTime")
        .and_then(|time| time.parse::<i64>().ok())
        .ok_or("CreateTime is missing or no number")?;
    let msg_type = inner.text("MsgType").ok_or("MsgType is missing")?;
    if msg_type == "text" && inner.text("Content").is_none_or(str::is_empty) {
        return Err("a text without Content".to_owned());
    }
    Ok(PushOutcome::Reply {
        msg_type: msg_type.to_owned(),
        plaintext: String::from_utf8_lossy(&plaintext).into_owned(),
    })
}

/// Checks the `MsgSignature` over the reply's own TimeStamp and Nonce, and decrypts.
fn open(push: &Sealed, outer: &Fields<'_>, body: &[u8]) -> Result<Vec<u8>, String> {
    let field = |name| outer.text(name).map(str::to_owned);
    let query = Query {
        msg_signature: field("MsgSignature"),
        timestamp: field("TimeStamp"),
        nonce: field("Nonce"),
        encrypt_type: Some("aes".to_owned()),
        ..Query::default()
    };
    let credentials = push.credentials().map_err(|error| error.to_string())?;
    callback::open(&query, body, &credentials)
        .map(|opened| opened.plaintext.into_owned())
        .map_err(|refusal| refusal.to_string())
}
