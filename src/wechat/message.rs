//! A push as WeChat means it: who, when, and what (WeChat guide, receiving messages and events).

pub mod content;
pub mod event;
pub(in crate::wechat) mod kind;
mod read;

use std::borrow::Cow;

use serde::Serialize;
use thiserror::Error;

use crate::wechat::fields::{Fields, FieldsError};

pub use content::Content;
pub use event::{
    Authorization, Consent, ConsentEntry, FollowOrigin, MassSendResult, MenuLocation, MenuPictures,
    SendStatus, SentEntry, Verification, VerificationEvent,
};
pub use kind::CANCELLATION;

/// The last second of the year 9999: a `CreateTime` beyond it is not one.
const LATEST_CREATE_TIME: i64 = 253_402_300_799;

/// A message or an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Push {
    /// The account's original id, `gh_…`.
    pub to_user_name: String,
    /// The sender: the user's openid, but a platform account in authorization events. See [`Push::openid`].
    pub from_user_name: String,
    /// Seconds since 1970, WeChat's clock.
    pub create_time: i64,
    /// `MsgType` as it came.
    pub msg_type: String,
    /// `Event` as it came; its case differs between captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `MsgId` of messages, `MsgID` of job results: mostly a number of up to 19 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg_id: Option<String>,
    /// `UnionID` of the sender, where the event has one. See [`Push::unionid`].
    #[serde(skip)]
    pub sender_unionid: Option<String>,
    /// What it says.
    pub content: Content,
}

/// Why a trusted body is no push. It is kept nevertheless: see [`crate::wechat::salvage`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Not a tree of fields.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// A field that every push has is missing or empty.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// `CreateTime` is not a number of seconds.
    #[error("CreateTime is not a number of seconds")]
    CreateTime,
}

/// Reads a body in clear, XML or JSON, also where a user's text has broken out of its element.
pub fn parse(body: &[u8]) -> Result<Push, ParseError> {
    let fields = Fields::parse(body);
    let is_sound = fields.as_ref().is_ok_and(|fields| !fields.is_suspect(body));
    if !is_sound {
        let read = |xml: String| Push::from_fields(Fields::parse(xml.as_bytes()).ok()?).ok();
        if let Some(push) = Fields::repaired(body).find_map(read) {
            return Ok(push);
        }
    }
    Push::from_fields(fields?)
}

impl Push {
    /// Reads fields that are parsed already.
    pub fn from_fields(fields: Fields<'_>) -> Result<Self, ParseError> {
        let required = |name| read::some(&fields, name).ok_or(ParseError::Missing(name));
        let to_user_name = required("ToUserName")?;
        let from_user_name = required("FromUserName")?;
        let create_time = fields
            .text("CreateTime")
            .ok_or(ParseError::Missing("CreateTime"))?;
        let create_time = create_time_of(create_time).ok_or(ParseError::CreateTime)?;
        let msg_type = required("MsgType")?;
        let event = match kind::is_event(&msg_type) {
            true => Some(required("Event")?),
            false => None,
        };
        let msg_id = read::some(&fields, "MsgId");
        // Where somebody else is named as the user, it is theirs and not the sender's.
        let is_sender = |openid: String| openid == from_user_name;
        let sender_unionid = read::some(&fields, "UnionID")
            .filter(|_| read::some(&fields, "OpenID").is_none_or(is_sender));
        let content = read::content(&kind::name(&msg_type, event.as_deref()), &fields);
        Ok(Self {
            to_user_name,
            from_user_name,
            create_time,
            msg_type,
            event,
            msg_id,
            sender_unionid,
            content: content.unwrap_or_else(|| Content::Unknown {
                fields: fields.into_owned(),
            }),
        })
    }

    /// The stable name of the kind: `text` for a message, `event.subscribe` for an event, unknown ones too.
    /// At most 64 characters of `a-z`, `0-9`, `_`, `-` and `.`.
    pub fn kind(&self) -> Cow<'static, str> {
        kind::name(&self.msg_type, self.event.as_deref())
    }

    /// The user: the sender, except in authorization events, which name the user inside (and sometimes not at all).
    /// Events about the account come from a system account, and are about no user.
    pub fn openid(&self) -> Option<&str> {
        match &self.content {
            Content::UserInfoModified(authorization)
            | Content::UserAuthorizationRevoke(authorization)
            | Content::UserAuthorizationCancellation(authorization) => {
                authorization.openid.as_deref()
            }
            _ => {
                let event = self.event.as_deref();
                (!kind::is_of_the_system(&self.from_user_name, event))
                    .then_some(&*self.from_user_name)
            }
        }
    }

    /// The user's id across accounts, as far as the event tells it. One of an account that was cancelled links
    /// nobody any more.
    pub fn unionid(&self) -> Option<&str> {
        match &self.content {
            Content::UserInfoModified(authorization)
            | Content::UserAuthorizationRevoke(authorization) => authorization.unionid.as_deref(),
            Content::UserAuthorizationCancellation(_) => None,
            _ => self.sender_unionid.as_deref(),
        }
    }

    /// The key by which repeated deliveries of this push to its account are recognised.
    pub fn dedup_key(&self, plaintext: &[u8]) -> i64 {
        let msg_id = self.msg_id.as_deref();
        kind::dedup_key(
            &self.from_user_name,
            msg_id,
            self.event.as_deref(),
            plaintext,
        )
    }
}

/// Reads a `CreateTime`, which comes as a number or as a text; as `1767225600.0` from who has numbers with
/// a fraction only.
pub(in crate::wechat) fn create_time_of(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => {
            whole
        }
        _ => text,
    };
    let seconds = whole.parse().ok()?;
    (0..=LATEST_CREATE_TIME)
        .contains(&seconds)
        .then_some(seconds)
}

#[cfg(test)]
mod tests;
