//! What can be saved of a trusted push that does not parse.
//!
//! WeChat inserts users' texts into XML without escaping them, so a user can break a document, and can put false
//! tags into it. The fields that identify a push stand before such texts, and `MsgId` behind them: nothing is read
//! from in between.

mod json;
mod xml;

use std::borrow::Cow;

use serde::Serialize;

use crate::wechat::message::{create_time_of, kind};

/// Longer values are not ids of WeChat's, and are left out.
const MAX_VALUE_LENGTH: usize = 128;

/// The fields found in a broken push. Any of them may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// The account's original id.
    pub to_user_name: Option<String>,
    /// The sender.
    pub from_user_name: Option<String>,
    /// Seconds since 1970.
    pub create_time: Option<i64>,
    /// `MsgType` as it came.
    pub msg_type: Option<String>,
    /// `Event` as it came, only where `MsgType` is `event`.
    pub event: Option<String>,
    /// `MsgId` or `MsgID`.
    pub msg_id: Option<String>,
    /// `OpenID` of authorization events.
    authorized_openid: Option<String>,
}

impl Salvaged {
    /// The stable name of the kind, as [`crate::wechat::message::Push::kind`]; `unknown` without a `MsgType`.
    pub fn kind(&self) -> Cow<'static, str> {
        kind::name(
            self.msg_type.as_deref().unwrap_or_default(),
            self.event.as_deref(),
        )
    }

    /// The user, as [`crate::wechat::message::Push::openid`].
    pub fn openid(&self) -> Option<&str> {
        match self.event.as_deref() {
            Some(event) if kind::is_authorization(event) => self.authorized_openid.as_deref(),
            event => {
                let sender = self.from_user_name.as_deref()?;
                (!kind::is_of_the_system(sender, event)).then_some(sender)
            }
        }
    }

    /// The key of the push, as [`crate::wechat::message::Push::dedup_key`].
    pub fn dedup_key(&self, plaintext: &[u8]) -> i64 {
        let sender = self.from_user_name.as_deref().unwrap_or_default();
        let msg_id = self.msg_id.as_deref().filter(|_| !sender.is_empty());
        kind::dedup_key(sender, msg_id, self.event.as_deref(), plaintext)
    }
}

/// Where a format's scanner looks for values.
trait Scan {
    /// The first value of that name before any text of a user.
    fn head(&self, name: &str) -> Option<String>;
    /// The last value of that name outside the texts of users.
    fn tail(&self, name: &str) -> Option<String>;
}

/// Reads what stands outside users' texts in a body, XML or JSON. Never fails: what it does not find is absent.
pub fn salvage(body: &[u8]) -> Salvaged {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_ascii_start();
    if text.starts_with('{') {
        collect(&json::Members::scan(text))
    } else {
        collect(&xml::Outside::of(text))
    }
}

fn collect(scan: &impl Scan) -> Salvaged {
    let head = |name| scan.head(name).filter(is_plausible);
    let msg_type = head("MsgType");
    let event = match &msg_type {
        Some(msg_type) if kind::is_event(msg_type) => head("Event"),
        _ => None,
    };
    Salvaged {
        to_user_name: head("ToUserName"),
        from_user_name: head("FromUserName"),
        create_time: head("CreateTime").as_deref().and_then(create_time_of),
        msg_id: scan.tail("MsgId").filter(is_plausible),
        authorized_openid: scan
            .tail("OpenID")
            .map(|openid| openid.trim().to_owned())
            .filter(is_plausible),
        msg_type,
        event,
    }
}

#[allow(clippy::ptr_arg, reason = "used as a filter over Option<String>")]
fn is_plausible(value: &String) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE_LENGTH && !value.contains(char::is_control)
}

#[cfg(test)]
mod tests;
