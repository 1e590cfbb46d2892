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

pub(super) fn values<S: Serializer>(
    data: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(data.iter().map(|(key, value)| (key, FieldValue { value })))
}

/// WeChat took the message; whether it reached the reader comes as a push: TEMPLATESENDJOBFINISH, or
/// subscribe_msg_sent_event for a subscription message.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn bare(data: &BTreeMap<String, String>) -> TemplateMessage<'_> {
        TemplateMessage {
            touser: "oA",
            template_id: "TPL",
            url: None,
            miniprogram: None,
            client_msg_id: None,
            data,
        }
    }

    #[tokio::test]
    async fn a_message_goes_out_in_full_and_unescaped() {
        let data = data(&[("thing2", "已发货 <A&B>"), ("time3", "2026-01-01 12:00")]);
        let message = TemplateMessage {
            url: Some("https://example.com/o?a=1&b=2"),
            miniprogram: Some(MiniProgramLink {
                appid: "wx0123456789abcdef",
                pagepath: Some("pages/order?id=1"),
            }),
            client_msg_id: Some("order-1-paid"),
            ..bare(&data)
        };
        let stub = Stub::json(r#"{"errcode":0,"errmsg":"ok","msgid":3990000000000000007}"#).await;
        let receipt = stub.client.send_template(&token(), &message).await;
        assert_eq!(receipt.unwrap().msgid, Some(3_990_000_000_000_000_007));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/message/template/send?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"touser":"oA","template_id":"TPL","url":"https://example.com/o?a=1&b=2","#
                .to_owned()
                + r#""miniprogram":{"appid":"wx0123456789abcdef","pagepath":"pages/order?id=1"},"#
                + r#""client_msg_id":"order-1-paid","#
                + r#""data":{"thing2":{"value":"已发货 <A&B>"},"time3":{"value":"2026-01-01 12:00"}}}"#
        );
    }

    #[tokio::test]
    async fn what_is_not_set_is_not_sent() {
        let data = data(&[("thing2", "x")]);
        let stub = Stub::json(r#"{"errcode":0}"#).await;
        stub.client
            .send_template(&token(), &bare(&data))
            .await
            .unwrap();
        assert_eq!(
            stub.request().await.body,
            r#"{"touser":"oA","template_id":"TPL","data":{"thing2":{"value":"x"}}}"#
        );
    }

    #[tokio::test]
    async fn a_send_is_accepted_whatever_its_msgid_looks_like() {
        let data = data(&[]);
        for (body, msgid) in [
            (
                r#"{"errcode":0,"msgid":"3990000000000000009"}"#,
                Some(3_990_000_000_000_000_009),
            ),
            (
                r#"{"errcode":0,"msgid":9223372036854775807}"#,
                Some(i64::MAX),
            ),
            (r#"{"errcode":0,"msgid":99999999999999999999}"#, None),
            (r#"{"errcode":0,"msgid":null}"#, None),
            (r#"{"errcode":45065,"errmsg":"clientmsgid exist"}"#, None),
        ] {
            let stub = Stub::json(body).await;
            let receipt = stub.client.send_template(&token(), &bare(&data)).await;
            assert_eq!(receipt, Ok(SendReceipt { msgid }), "{body}");
        }
    }

    #[tokio::test]
    async fn a_refused_field_is_named() {
        let body = r#"{"errcode":47003,"errmsg":"argument invalid! data.thing1.value invalid rid: 69560000-0a0b0c0d-01020304"}"#;
        let stub = Stub::json(body).await;
        let data = data(&[]);
        match stub.client.send_template(&token(), &bare(&data)).await {
            Err(CallError::Api(error)) => assert_eq!(error.refused_field(), Some("thing1")),
            other => panic!("{other:?}"),
        }
    }
}
