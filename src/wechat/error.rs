//! How a call to WeChat can fail, and what each failure allows the caller to do next.
//!
//! No error here holds a URL: ours carry the access_token in the query.

mod codes;
mod fault;
mod message;
mod words;

pub use codes::{
    Advice, Class, FOR_NOBODY, LOGIN_CALL, TOKEN_CALL, advice, advice_on, class, fault, fault_on,
    token_call_class,
};
pub use fault::{Concerns, Fault, Flags};
pub use words::rid_hint;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

/// Longest error text kept, in characters; WeChat's own stay well below.
const TEXT_MAX: usize = 300;

/// A call that brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// WeChat answered with an errcode other than 0.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No connection could be made (name, TCP or TLS), so WeChat certainly did not receive the request.
    #[error("no connection to WeChat could be made: {reason}")]
    NotSent {
        /// The chain of causes, without any URL.
        reason: String,
    },
    /// The time limit passed after the connection was made; the request may have been received.
    #[error("WeChat did not answer in time")]
    Timeout,
    /// The connection broke after it was made; the request may have been received.
    #[error("the connection to WeChat broke: {reason}")]
    Broken {
        /// The chain of causes, without any URL.
        reason: String,
    },
    /// An HTTP status other than 2xx: a gateway's answer, as WeChat's own errors come with 200.
    #[error("WeChat's gateway answered HTTP {status}")]
    Http {
        /// The HTTP status.
        status: u16,
    },
    /// HTTP 2xx, but the body is not JSON or lacks a promised field.
    #[error("WeChat's answer cannot be read: {reason}")]
    Malformed {
        /// What is wrong; never a piece of the body, which may hold secrets.
        reason: String,
    },
}

impl CallError {
    /// Whether the request may have taken effect although the call failed. A send without an idempotency key must
    /// not be repeated then.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Api(_) | Self::NotSent { .. } => false,
            Self::Timeout | Self::Broken { .. } | Self::Malformed { .. } => true,
            Self::Http { status } => *status >= 500,
        }
    }

    /// What to do next. A failure without an errcode is worth a retry, if [`CallError::is_ambiguous`] allows one.
    pub fn class(&self) -> Class {
        match self {
            Self::Api(error) => error.class(),
            _ => Class::Retry,
        }
    }

    /// WeChat's errcode, where there was one.
    pub fn errcode(&self) -> Option<i64> {
        match self {
            Self::Api(error) => Some(error.errcode),
            _ => None,
        }
    }

    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        // A connect time-out is both; the connection decides, as nothing can have been written without one.
        if error.is_connect() || error.is_builder() {
            Self::NotSent {
                reason: causes(error),
            }
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken {
                reason: causes(error),
            }
        }
    }
}

/// The error's chain of causes as one line, without the URL.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    message::clean(&text)
}

/// WeChat's own refusal: `{"errcode":N,"errmsg":"text rid: …"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// WeChat's code; [`class`] and [`advice`] explain it.
    pub errcode: i64,
    /// WeChat's text without the rid, free of control characters, at most 300 characters.
    pub errmsg: String,
    /// The request id that WeChat's staff ask for, or the older `req_id` / hint.
    pub rid: Option<String>,
}

impl ApiError {
    /// Splits an errmsg as it came over the wire into text and rid.
    pub fn new(errcode: i64, raw_errmsg: &str) -> Self {
        let (errmsg, rid) = message::read(raw_errmsg);
        Self {
            errcode,
            errmsg,
            rid,
        }
    }

    /// The class of this error on any call but the token calls, which have [`token_call_class`].
    pub fn class(&self) -> Class {
        class(self.errcode)
    }

    /// What this error is about on the call that it came from.
    pub fn fault_on(&self, call: &str) -> Fault {
        fault_on(call, self.errcode)
    }

    /// What happened and what to do, in plain words.
    pub fn advice(&self) -> Advice {
        advice(self.errcode)
    }

    /// The address that WeChat saw, if this is a 40164 (`invalid ip A ipv6 ::ffff:A, not in whitelist`): the one to
    /// add to the IP whitelist.
    pub fn whitelist_ip(&self) -> Option<IpAddr> {
        (self.errcode == 40164)
            .then(|| message::first_ip(&self.errmsg))
            .flatten()
    }

    /// The template field that WeChat refused, if this is a 47003 that names one (`data.KEY.value`): the KEY.
    pub fn refused_field(&self) -> Option<&str> {
        (self.errcode == 47003)
            .then(|| message::data_key(&self.errmsg))
            .flatten()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeChat answered {}: {}", self.errcode, self.errmsg)?;
        match &self.rid {
            Some(rid) => write!(f, " (rid {rid})"),
            None => Ok(()),
        }
    }
}

impl Error for ApiError {}
