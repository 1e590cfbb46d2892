//! The door for WeChat's pushes: who signed, in which mode, and what the clear text is (WeChat guide, message push).

mod query;
mod refusal;
mod window;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::wechat::crypto::{self, AesKey};
use crate::wechat::envelope::{self, Envelope};
use crate::wechat::fields::Fields;
use crate::wechat::signature;

pub use query::Query;
pub use refusal::Refusal;
pub use window::Window;

/// The longest body of a container check; anything longer is not parsed for it.
pub const CONTAINER_CHECK_LENGTH: usize = 128;

/// How WeChat sends pushes to an account, as chosen in its console. A change there takes effect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In clear.
    Plain,
    /// In clear and encrypted side by side.
    Compatible,
    /// Encrypted only.
    Secure,
}

/// A text that names no [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the encryption mode must be `plain`, `compatible` or `secure`")]
pub struct UnknownMode;

impl Mode {
    /// The name used in configuration, storage and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Compatible => "compatible",
            Mode::Secure => "secure",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Mode::Plain, Mode::Compatible, Mode::Secure]
            .into_iter()
            .find(|mode| mode.as_str() == name)
            .ok_or(UnknownMode)
    }
}

/// What an account and WeChat have agreed on.
#[derive(Clone)]
pub struct Credentials {
    /// The account's app id.
    pub app_id: String,
    /// The callback token.
    pub token: String,
    /// The key of compatible and secure mode.
    pub aes_key: Option<AesKey>,
    /// The mode chosen in WeChat's console.
    pub mode: Mode,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("app_id", &self.app_id)
            .field("token", &"redacted")
            .field("aes_key", &self.aes_key)
            .field("mode", &self.mode)
            .finish()
    }
}

/// A push that is WeChat's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'b> {
    /// The message in clear: the body itself, or what it was decrypted to.
    pub plaintext: Cow<'b, [u8]>,
    /// Whether it came encrypted, so that a reply is to be encrypted as well.
    pub encrypted: bool,
}

/// Answers the verification of the URL: the text to send back as it is, if the request is WeChat's and of now.
///
/// It comes in clear in every mode. No signature covers the text: send it as `text/plain`, never as HTML.
/// WeCom (企业微信), another product with almost the same protocol, encrypts it and signs it with `msg_signature`.
pub fn echo<'q>(
    query: &'q Query,
    credentials: &Credentials,
    window: Window,
) -> Result<&'q str, Refusal> {
    if let Err(refusal) = verify_clear(query, credentials) {
        let is_wecom = query.msg_signature.is_some() && query.has_encrypted_echo();
        return Err(if is_wecom {
            Refusal::WecomEcho
        } else {
            refusal
        });
    }
    window.check(stamp(query)?.0)?;
    query.echostr.as_deref().ok_or(Refusal::Missing("echostr"))
}

/// What was verified of a push before its body was read, with the credentials of that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// `signature` is right, so that a body in clear needs no other check.
    is_signed: bool,
}

/// Whether the query of a push can be trusted and is of now: all that can be known before anything of the body is
/// read. WeChat puts `signature` there in every mode. Where it is not, `msg_signature` covers the same time and has to
/// wait for the body.
pub fn admit(
    query: &Query,
    credentials: &Credentials,
    window: Window,
) -> Result<Admission, Refusal> {
    let is_signed = query.signature.is_some() || query.msg_signature.is_none();
    if is_signed {
        verify_clear(query, credentials)?;
    }
    window.check(stamp(query)?.0)?;
    Ok(Admission { is_signed })
}

/// Verifies and, where needed, decrypts a push that was admitted by its query.
///
/// An account in secure mode accepts nothing in clear. The other two modes open an encrypted body too, since a
/// switch of modes in WeChat's console takes effect at once.
pub fn open<'b>(
    query: &Query,
    body: &'b [u8],
    credentials: &Credentials,
) -> Result<Opened<'b>, Refusal> {
    open_admitted(query, body, credentials, Admission::default())
}

/// As [`open`]; what [`admit`] has verified of this query with these credentials is not verified again.
pub fn open_admitted<'b>(
    query: &Query,
    body: &'b [u8],
    credentials: &Credentials,
    admission: Admission,
) -> Result<Opened<'b>, Refusal> {
    let open_clear = || {
        if !admission.is_signed {
            verify_clear(query, credentials)?;
        }
        Ok(Opened {
            plaintext: Cow::Borrowed(body),
            encrypted: false,
        })
    };
    let announced = query.encrypt_type.as_deref() == Some("aes");
    let envelope =
        if announced || credentials.mode == Mode::Secure || envelope::may_be_encrypted(body) {
            envelope::read(body)
        } else {
            Envelope::default()
        };
    match envelope.encrypt {
        // A user's text can bring a false `Encrypt` into a clear body; it comes without its signature.
        Some(_)
            if credentials.mode == Mode::Plain
                && !announced
                && envelope.has_clear_fields
                && query.msg_signature.is_none() =>
        {
            open_clear()
        }
        Some(encrypt) => open_encrypted(query, &encrypt, credentials),
        None if credentials.mode == Mode::Secure => Err(Refusal::Unencrypted),
        None if announced => Err(Refusal::NothingEncrypted),
        None => open_clear(),
    }
}

fn open_encrypted(
    query: &Query,
    encrypt: &str,
    credentials: &Credentials,
) -> Result<Opened<'static>, Refusal> {
    let (timestamp, nonce) = stamp(query)?;
    let given = query.msg_signature.as_deref();
    let given = given.ok_or(Refusal::Missing("msg_signature"))?;
    let is_signed =
        |encrypt: &str| signature::verify(given, &[&credentials.token, timestamp, nonce, encrypt]);
    // What stands between WeChat and here may break long lines. WeChat signs the text without white space;
    // a sender that wraps its base64 signs it as it is.
    let joined = without_white_space(encrypt);
    let is_genuine = is_signed(&joined) || joined.len() < encrypt.len() && is_signed(encrypt);
    if !is_genuine {
        return Err(Refusal::WrongMsgSignature);
    }
    let key = credentials.aes_key.as_ref().ok_or(Refusal::NoAesKey)?;
    let plaintext = crypto::decrypt(key, &credentials.app_id, &joined)?;
    Ok(Opened {
        plaintext: Cow::Owned(plaintext),
        encrypted: true,
    })
}

fn without_white_space(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_whitespace) {
        Cow::Owned(text.split_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn verify_clear(query: &Query, credentials: &Credentials) -> Result<(), Refusal> {
    let (timestamp, nonce) = stamp(query)?;
    let given = query.signature.as_deref();
    let given = given.ok_or(Refusal::Missing("signature"))?;
    if signature::verify(given, &[&credentials.token, timestamp, nonce]) {
        Ok(())
    } else {
        Err(Refusal::WrongSignature)
    }
}

fn stamp(query: &Query) -> Result<(&str, &str), Refusal> {
    let timestamp = query.timestamp.as_deref();
    let nonce = query.nonce.as_deref();
    Ok((
        timestamp.ok_or(Refusal::Missing("timestamp"))?,
        nonce.ok_or(Refusal::Missing("nonce"))?,
    ))
}

/// Whether this is the unsigned probe of WeChat's cloud hosting, which wants `success` and carries nothing.
pub fn is_container_check(body: &[u8]) -> bool {
    body.len() <= CONTAINER_CHECK_LENGTH
        && Fields::parse(body).is_ok_and(|fields| {
            fields.len() == 1 && fields.text("action") == Some("CheckContainerPath")
        })
}

#[cfg(test)]
mod tests;
