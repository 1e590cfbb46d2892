//! Template messages of service accounts (WeChat guide, sendTemplateMessage).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::client::{AccessToken, Client, lenient};
use super::error::{CallError, Class};

/// Longest `client_msg_id`, in bytes; taken from the mass-send call, as the guide names no limit for this one.
pub const CLIENT_MSG_ID_MAX: usize = 32;

/// One message to one follower. Borrowed: many are built at once from one rendered message.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TemplateMessage<'a> {
    /// The follower's openid in the sending account.
    pub touser: &'a str,
    /// The template's id in the sending account.
    pub template_id: &'a str,
    /// Page that a tap opens, and the fallback where the mini-program cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// Mini-program page that a tap opens; wins over `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miniprogram: Option<MiniProgramLink<'a>>,
    /// WeChat sends the same openid + id once within 10 minutes. At most [`CLIENT_MSG_ID_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_msg_id: Option<&'a str>,
    /// Template key (`thing2`) to text; sent as `{"thing2":{"value":"…"}}`.
    #[serde(serialize_with = "values")]
    pub data: &'a BTreeMap<String, String>,
}

/// A page of a mini-program that is linked with the sending account.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MiniProgramLink<'a> {
    /// The mini-program's app_id.
    pub appid: &'a str,
    /// Relative path with query; its home page without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagepath: Option<&'a str>,
}

#[derive(Serialize)]
struct FieldValue<'a> {
    value: &'a str,
}

fn values<S: Serializer>(data: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(data.iter().map(|(key, value)| (key, FieldValue { value })))
}

/// WeChat took the message; whether it reached the reader comes as a TEMPLATESENDJOBFINISH push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SendReceipt {
    /// Joins the message with its push. 64 bits: more than a JSON reader with doubles can hold.
    #[serde(default, deserialize_with = "lenient::int")]
    pub msgid: Option<i64>,
}

impl Client {
    /// `POST /cgi-bin/message/template/send`. After an ambiguous failure repeat it only with the same
    /// `client_msg_id`, and within its 10 minutes.
    pub async fn send_template(
        &self,
        token: &AccessToken,
        message: &TemplateMessage<'_>,
    ) -> Result<SendReceipt, CallError> {
        let query = [("access_token", token.expose())];
        let answer = self
            .post("/cgi-bin/message/template/send", &query, message)
            .await;
        match answer {
            // "This id was sent already" is what a repeat hopes to hear.
            Err(CallError::Api(error)) if error.class() == Class::Success => {
                Ok(SendReceipt { msgid: None })
            }
            answer => answer,
        }
    }
}
