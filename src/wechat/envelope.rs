//! The outer form of an encrypted push or reply: where the `Encrypt` text stands, and how to write it.

mod find;

use std::borrow::Cow;

use crate::wechat::crypto::{self, AesKey};
use crate::wechat::fields::{Fields, Format};
use crate::wechat::signature;

/// What a body says before anything in it is decrypted. Nothing of it can be trusted yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'b> {
    /// The encrypted message, base64.
    pub encrypt: Option<Cow<'b, str>>,
    /// The account's original id, `gh_…`.
    pub to_user_name: Option<Cow<'b, str>>,
    /// Whether a message in clear stands there as well (compatible mode).
    pub has_clear_fields: bool,
}

/// Looks for `Encrypt` and `ToUserName` in an XML or JSON body.
///
/// In compatible mode the clear fields hold a user's unescaped text, which may break the document or bring a false
/// `Encrypt`: the last one counts, since WeChat appends its own, and a broken XML body is searched from its end.
pub fn read(body: &[u8]) -> Envelope<'_> {
    find::find(body).unwrap_or_else(|| Envelope {
        encrypt: find_last(body, "<Encrypt>", "</Encrypt>").map(Cow::Borrowed),
        to_user_name: find_first(body, "<ToUserName>", "</ToUserName>").map(Cow::Borrowed),
        has_clear_fields: contains(body, b"MsgType"),
    })
}

/// Whether the body can hold an `Encrypt` at all; most clear bodies are spared the parsing by it.
pub(in crate::wechat) fn may_be_encrypted(body: &[u8]) -> bool {
    contains(body, b"ncrypt")
}

fn contains(body: &[u8], needle: &[u8]) -> bool {
    match std::str::from_utf8(body) {
        Ok(text) => std::str::from_utf8(needle).is_ok_and(|needle| text.contains(needle)),
        Err(_) => body.windows(needle.len()).any(|window| window == needle),
    }
}

fn find_last<'b>(body: &'b [u8], opening: &str, closing: &str) -> Option<&'b str> {
    let text = longest_utf8_suffix(body);
    let (_, after) = text.rsplit_once(opening)?;
    let (inner, _) = after.split_once(closing)?;
    Some(without_cdata(inner))
}

fn find_first<'b>(body: &'b [u8], opening: &str, closing: &str) -> Option<&'b str> {
    let valid = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(body.get(..error.valid_up_to())?).ok()?,
    };
    let (_, after) = valid.split_once(opening)?;
    let (inner, _) = after.split_once(closing)?;
    Some(without_cdata(inner))
}

/// The part of `body` behind its last byte that is not UTF-8.
fn longest_utf8_suffix(mut body: &[u8]) -> &str {
    loop {
        match std::str::from_utf8(body) {
            Ok(text) => return text,
            Err(error) => {
                let skip = error.valid_up_to() + error.error_len().unwrap_or(1);
                body = body.get(skip..).unwrap_or_default();
            }
        }
    }
}

fn without_cdata(text: &str) -> &str {
    let text = text.trim_ascii();
    text.strip_prefix("<![CDATA[")
        .and_then(|text| text.strip_suffix("]]>"))
        .unwrap_or(text)
}

/// Writes an encrypted push, as WeChat sends it in secure mode.
pub fn push(to_user_name: &str, encrypt: &str, format: Format) -> String {
    let fields = Fields::new()
        .with("ToUserName", to_user_name)
        .with("Encrypt", encrypt);
    fields.render(format)
}

/// An encrypted and signed reply, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedReply {
    /// The encrypted message, base64.
    pub encrypt: String,
    /// The signature over token, timestamp, nonce and `encrypt`.
    pub msg_signature: String,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// The nonce of the push that is answered.
    pub nonce: String,
}

impl SealedReply {
    /// Encrypts `message` and signs it; `random` as in [`crypto::encrypt_with_random`], drawn afresh if absent.
    pub fn seal(
        key: &AesKey,
        token: &str,
        app_id: &str,
        message: &[u8],
        timestamp: i64,
        nonce: &str,
        random: Option<&[u8; 16]>,
    ) -> Self {
        let encrypt = match random {
            Some(random) => crypto::encrypt_with_random(key, app_id, message, random),
            None => crypto::encrypt(key, app_id, message),
        };
        let msg_signature = signature::sign(&[token, &timestamp.to_string(), nonce, &encrypt]);
        Self {
            encrypt,
            msg_signature,
            timestamp,
            nonce: nonce.to_owned(),
        }
    }

    /// The reply as XML.
    pub fn to_xml(&self) -> String {
        self.to_fields().to_xml()
    }

    /// The reply as JSON, with `TimeStamp` as a number.
    pub fn to_json(&self) -> String {
        self.to_fields().to_json()
    }

    fn to_fields(&self) -> Fields<'_> {
        Fields::new()
            .with("Encrypt", self.encrypt.as_str())
            .with("MsgSignature", self.msg_signature.as_str())
            .with("TimeStamp", self.timestamp)
            .with("Nonce", self.nonce.as_str())
    }
}
