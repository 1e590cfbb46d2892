//! Writes pushes as WeChat does, for a simulator and for sending test events.

use thiserror::Error;

use crate::wechat::callback::Mode;
use crate::wechat::crypto::{self, AesKey};
use crate::wechat::envelope;
use crate::wechat::fields::Fields;
use crate::wechat::message::kind::EVENT;
use crate::wechat::signature;

pub use crate::wechat::fields::Format;

/// What is needed to send a push as WeChat would.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The callback token.
    pub token: &'a str,
    /// The key of compatible and secure mode.
    pub aes_key: Option<&'a AesKey>,
    /// The account's app id.
    pub app_id: &'a str,
    /// The account's original id.
    pub to_user_name: &'a str,
    /// The account's mode.
    pub mode: Mode,
    /// The account's format.
    pub format: Format,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// A number drawn for this push.
    pub nonce: &'a str,
    /// The user.
    pub openid: &'a str,
}

/// A push ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The pairs to append to the callback URL's query.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A push that has to be encrypted, without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the mode `{0}` needs an EncodingAESKey")]
pub struct NoAesKey(pub Mode);

/// The fields every push begins with.
pub fn message<'a>(to: &'a str, from: &'a str, create_time: i64, msg_type: &'a str) -> Fields<'a> {
    Fields::new()
        .with("ToUserName", to)
        .with("FromUserName", from)
        .with("CreateTime", create_time)
        .with("MsgType", msg_type)
}

/// The fields every event begins with.
pub fn event<'a>(to: &'a str, from: &'a str, create_time: i64, name: &'a str) -> Fields<'a> {
    message(to, from, create_time, EVENT).with("Event", name)
}

/// A text message.
pub fn text<'a>(
    to: &'a str,
    from: &'a str,
    create_time: i64,
    content: &'a str,
    msg_id: i64,
) -> Fields<'a> {
    message(to, from, create_time, "text")
        .with("Content", content)
        .with("MsgId", msg_id)
}

/// Writes a push in clear, with the texts in it as they are: WeChat does not escape them in XML.
pub fn render(fields: &Fields<'_>, format: Format) -> String {
    match format {
        Format::Xml => fields.to_xml_as_wechat(),
        Format::Json => fields.to_json(),
    }
}

/// Writes, encrypts and signs a push as the account's mode demands.
pub fn sign_and_seal(fields: &Fields<'_>, sender: &Sender<'_>) -> Result<Signed, NoAesKey> {
    seal_clear(&render(fields, sender.format), Some(fields), sender)
}

/// [`sign_and_seal`] for a body that is written already, well-formed or not. In compatible mode it goes encrypted
/// only, since there is nothing to put the clear fields into.
pub fn sign_and_seal_body(clear: &str, sender: &Sender<'_>) -> Result<Signed, NoAesKey> {
    seal_clear(clear, None, sender)
}

fn seal_clear(
    clear: &str,
    fields: Option<&Fields<'_>>,
    sender: &Sender<'_>,
) -> Result<Signed, NoAesKey> {
    let timestamp = sender.timestamp.to_string();
    let signature = signature::sign(&[sender.token, &timestamp, sender.nonce]);
    let mut query = vec![
        ("signature", signature),
        ("timestamp", timestamp.clone()),
        ("nonce", sender.nonce.to_owned()),
        ("openid", sender.openid.to_owned()),
    ];
    if sender.mode == Mode::Plain {
        return Ok(Signed {
            query,
            body: clear.as_bytes().to_vec(),
        });
    }
    let key = sender.aes_key.ok_or(NoAesKey(sender.mode))?;
    let encrypt = crypto::encrypt(key, sender.app_id, clear.as_bytes());
    let msg_signature = signature::sign(&[sender.token, &timestamp, sender.nonce, &encrypt]);
    query.push(("encrypt_type", "aes".to_owned()));
    query.push(("msg_signature", msg_signature));
    let body = match (fields, sender.mode) {
        (Some(fields), Mode::Compatible) => render(
            &fields.clone().with("Encrypt", encrypt.as_str()),
            sender.format,
        ),
        _ => envelope::push(sender.to_user_name, &encrypt, sender.format),
    };
    Ok(Signed {
        query,
        body: body.into_bytes(),
    })
}

#[cfg(test)]
mod tests;
