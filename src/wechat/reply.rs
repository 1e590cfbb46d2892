//! Passive replies: what is sent back in the answer to a push (WeChat guide, passive user reply messages).

use std::fmt;

use thiserror::Error;

use crate::wechat::callback::Credentials;
use crate::wechat::envelope::SealedReply;
use crate::wechat::fields::Fields;

/// The answer that says "accepted, nothing to say". In clear in every mode, and without quotes.
pub const SUCCESS: &str = "success";

/// The longest text of a reply, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 2048;

/// A text that is too long for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a reply has at most {MAX_TEXT_BYTES} bytes of UTF-8 (about 680 Chinese characters), this one has {0}: shorten it"
)]
pub struct TextTooLong(pub usize);

/// Checks a text when it is configured, so that it need not be cut when it is sent.
pub fn check_text(text: &str) -> Result<(), TextTooLong> {
    if text.len() <= MAX_TEXT_BYTES {
        Ok(())
    } else {
        Err(TextTooLong(text.len()))
    }
}

/// Writes a text reply in clear. `user` and `account` are the push's `FromUserName` and `ToUserName`: they change
/// places here, and WeChat reports an illegal response if they do not. A text over the limit is cut.
pub fn text(user: &str, account: &str, create_time: i64, text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    Fields::new()
        .with("ToUserName", user)
        .with("FromUserName", account)
        .with("CreateTime", create_time)
        .with("MsgType", "text")
        .with("Content", text.get(..end).unwrap_or_default())
        .to_xml()
}

/// Encrypts and signs a reply for an account; `None` where the account has no AES key.
///
/// `nonce` is the one of the push's query, `timestamp` the clock's seconds.
pub fn seal(
    reply: &str,
    credentials: &Credentials,
    timestamp: i64,
    nonce: &str,
) -> Option<SealedReply> {
    let key = credentials.aes_key.as_ref()?;
    Some(SealedReply::seal(
        key,
        &credentials.token,
        &credentials.app_id,
        reply.as_bytes(),
        timestamp,
        nonce,
        None,
    ))
}

/// A link inside a text reply that opens a mini-program; old clients follow `href` instead.
pub fn mini_program_link(app_id: &str, path: &str, href: &str, text: &str) -> String {
    format!(
        r#"<a data-miniprogram-appid="{}" data-miniprogram-path="{}" href="{}">{}</a>"#,
        Escaped(app_id),
        Escaped(path),
        Escaped(href),
        Escaped(text)
    )
}

/// A text in which nothing can end the attribute or element that it stands in.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let clean = part
                .strip_suffix(['&', '<', '>', '"', '\''])
                .unwrap_or(part);
            f.write_str(clean)?;
            f.write_str(match part.get(clean.len()..) {
                Some("&") => "&amp;",
                Some("<") => "&lt;",
                Some(">") => "&gt;",
                Some("\"") => "&quot;",
                Some("'") => "&#39;",
                _ => "",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
