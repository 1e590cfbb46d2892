//! Subscription messages: of mini-programs (WeChat's documentation of subscribeMessage.send) and of service accounts
//! (the guide's page on subscription notices, bizsend). Each needs a permission that the person gave for its template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::{AccessToken, Client};
use super::error::CallError;
use super::template::{MiniProgramLink, SendReceipt, values};

/// One message of a mini-program to one of its users. Borrowed: many are built at once from one rendered message.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SubscribeMessage<'a> {
    /// The user's openid in the mini-program.
    pub touser: &'a str,
    /// The template's id in the mini-program.
    pub template_id: &'a str,
    /// Page of the mini-program that a tap opens, with query; a tap does nothing without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<&'a str>,
    /// Which version a tap opens; WeChat takes the released one if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miniprogram_state: Option<MiniProgramState>,
    /// Language of what WeChat writes around the values; Chinese if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<Language>,
    /// Template key (`thing2`) to text: every key of the template, none empty.
    #[serde(serialize_with = "values")]
    pub data: &'a BTreeMap<String, String>,
}

/// One message of a service account to one person who subscribed to its template.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BizSubscribeMessage<'a> {
    /// The person's openid in the service account.
    pub touser: &'a str,
    /// The subscription template's id in the service account.
    pub template_id: &'a str,
    /// Web page that a tap opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<&'a str>,
    /// Mini-program page that a tap opens; wins over `page`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miniprogram: Option<MiniProgramLink<'a>>,
    /// Template key to text: every key of the template, none empty.
    #[serde(serialize_with = "values")]
    pub data: &'a BTreeMap<String, String>,
}

/// A version of a mini-program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MiniProgramState {
    /// The developer's.
    Developer,
    /// The trial version.
    Trial,
    /// The released one; the page must exist in it.
    Formal,
}

/// A language that subscription messages are shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Language {
    /// Simplified Chinese.
    #[serde(rename = "zh_CN")]
    SimplifiedChinese,
    /// English.
    #[serde(rename = "en_US")]
    English,
    /// Traditional Chinese as in Hong Kong.
    #[serde(rename = "zh_HK")]
    HongKongChinese,
    /// Traditional Chinese as in Taiwan.
    #[serde(rename = "zh_TW")]
    TaiwanChinese,
}

impl Client {
    /// `POST /cgi-bin/message/subscribe/send`. WeChat offers no id that makes a repeat harmless: after an ambiguous
    /// failure ([`CallError::is_ambiguous`]) the message must not be sent again. Two calls for one openid at the same
    /// time are refused (43108).
    pub async fn send_subscribe(
        &self,
        token: &AccessToken,
        message: &SubscribeMessage<'_>,
    ) -> Result<SendReceipt, CallError> {
        let query = [("access_token", token.expose())];
        self.post("/cgi-bin/message/subscribe/send", &query, message)
            .await
    }

    /// `POST /cgi-bin/message/subscribe/bizsend`; the rest as [`Client::send_subscribe`].
    pub async fn send_biz_subscribe(
        &self,
        token: &AccessToken,
        message: &BizSubscribeMessage<'_>,
    ) -> Result<SendReceipt, CallError> {
        let query = [("access_token", token.expose())];
        self.post("/cgi-bin/message/subscribe/bizsend", &query, message)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};
    use crate::wechat::error::Class;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn bare(data: &BTreeMap<String, String>) -> SubscribeMessage<'_> {
        SubscribeMessage {
            touser: "oA",
            template_id: "TPL",
            page: None,
            miniprogram_state: None,
            lang: None,
            data,
        }
    }

    #[tokio::test]
    async fn a_message_goes_out_in_full_and_unescaped() {
        let data = data(&[("thing1", "蓝色雨伞"), ("amount2", "￥39.80")]);
        let message = SubscribeMessage {
            page: Some("pages/order?id=1"),
            miniprogram_state: Some(MiniProgramState::Formal),
            lang: Some(Language::HongKongChinese),
            ..bare(&data)
        };
        let stub = Stub::json(r#"{"errcode":0,"errmsg":"ok","msgid":3990000000000000007}"#).await;
        let receipt = stub.client.send_subscribe(&token(), &message).await;
        assert_eq!(receipt.unwrap().msgid, Some(3_990_000_000_000_000_007));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/message/subscribe/send?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"touser":"oA","template_id":"TPL","page":"pages/order?id=1","#.to_owned()
                + r#""miniprogram_state":"formal","lang":"zh_HK","#
                + r#""data":{"amount2":{"value":"￥39.80"},"thing1":{"value":"蓝色雨伞"}}}"#
        );
    }

    #[tokio::test]
    async fn what_is_not_set_is_not_sent_and_the_documented_answer_has_no_msgid() {
        let data = data(&[("thing1", "x")]);
        let stub = Stub::json(r#"{"errcode":0,"errmsg":"ok"}"#).await;
        let receipt = stub.client.send_subscribe(&token(), &bare(&data)).await;
        assert_eq!(receipt, Ok(SendReceipt { msgid: None }));
        assert_eq!(
            stub.request().await.body,
            r#"{"touser":"oA","template_id":"TPL","data":{"thing1":{"value":"x"}}}"#
        );
    }

    #[tokio::test]
    async fn a_service_account_has_its_own_call_and_links() {
        let data = data(&[("thing1", "x")]);
        let message = BizSubscribeMessage {
            touser: "oA",
            template_id: "TPL",
            page: Some("https://example.com/o?a=1"),
            miniprogram: Some(MiniProgramLink {
                appid: "wx0123456789abcdef",
                pagepath: None,
            }),
            data: &data,
        };
        let stub = Stub::json(r#"{"errcode":0,"errmsg":"ok","msgid":"7"}"#).await;
        let receipt = stub.client.send_biz_subscribe(&token(), &message).await;
        assert_eq!(receipt, Ok(SendReceipt { msgid: Some(7) }));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/message/subscribe/bizsend?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"touser":"oA","template_id":"TPL","page":"https://example.com/o?a=1","#.to_owned()
                + r#""miniprogram":{"appid":"wx0123456789abcdef"},"data":{"thing1":{"value":"x"}}}"#
        );
    }

    #[tokio::test]
    async fn every_refusal_says_whom_it_concerns() {
        let data = data(&[]);
        for (errcode, class) in [
            (-1, Class::Retry),
            (40001, Class::RefreshToken),
            (40014, Class::RefreshToken),
            (40003, Class::Recipient),
            (40037, Class::Request),
            (41030, Class::Request),
            (43101, Class::Recipient),
            (43107, Class::Account),
            (43108, Class::Retry),
            (45168, Class::Request),
            (47003, Class::Request),
        ] {
            let body = format!(r#"{{"errcode":{errcode},"errmsg":"refused"}}"#);
            let stub = Stub::json(&body).await;
            let error = stub.client.send_subscribe(&token(), &bare(&data)).await;
            let error = error.unwrap_err();
            assert_eq!((error.errcode(), error.class()), (Some(errcode), class));
            assert!(!error.is_ambiguous(), "a refused message may be sent again");
        }
    }
}
