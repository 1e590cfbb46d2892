//! Customer messages, as texts (WeChat's documentation of sendCustomMessage, for service accounts and mini-programs):
//! allowed for a while after the person did something.

mod text;

use serde::{Deserialize, Serialize};

use super::client::{AccessToken, Client};
use super::error::CallError;

pub use text::{MiniProgramTextLink, RichText};

/// Longest text, in bytes of UTF-8, its links included. WeChat's documentation names none; longer ones were refused
/// with 45002 (WeChat community, question on the size of `content`).
pub const TEXT_MAX_BYTES: usize = 2048;

/// One text to one person. It has no id of the sender's and brings no receipt.
#[derive(Clone, Copy, Debug)]
pub struct CustomText<'a> {
    /// The person's openid in the sending account.
    pub touser: &'a str,
    /// What they read; at most [`TEXT_MAX_BYTES`] and not empty.
    pub content: &'a RichText,
}

#[derive(Serialize)]
struct Body<'a> {
    touser: &'a str,
    msgtype: &'static str,
    text: Text<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    content: &'a str,
}

/// WeChat shows the message, and says nothing else of it.
#[derive(Deserialize)]
struct Shown {}

impl Client {
    /// `POST /cgi-bin/message/custom/send`. WeChat offers no id that makes a repeat harmless: after an ambiguous
    /// failure ([`CallError::is_ambiguous`]) the text must not be sent again. Success is all that is ever heard of it.
    /// 45015 and 45047 say that the person must do something first.
    pub async fn send_custom_text(
        &self,
        token: &AccessToken,
        message: &CustomText<'_>,
    ) -> Result<(), CallError> {
        let query = [("access_token", token.expose())];
        let body = Body {
            touser: message.touser,
            msgtype: "text",
            text: Text {
                content: message.content.as_str(),
            },
        };
        let Shown {} = self
            .post("/cgi-bin/message/custom/send", &query, &body)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};
    use crate::wechat::error::Class;

    #[tokio::test]
    async fn a_text_goes_out_unescaped_with_its_link() {
        let mut content = RichText::default();
        content
            .words("订单 <1> 已发货\n")
            .mini_program_link(&MiniProgramTextLink {
                app_id: "wx0123456789abcdef",
                path: Some("pages/order?id=1"),
                href: Some("https://example.com/o?a=1&b=2"),
                words: "查看",
            });
        let message = CustomText {
            touser: "oA",
            content: &content,
        };
        let stub = Stub::json(r#"{"errcode":0,"errmsg":"ok"}"#).await;
        let sent = stub.client.send_custom_text(&token(), &message).await;
        assert_eq!(sent, Ok(()));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/message/custom/send?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"touser":"oA","msgtype":"text","text":{"content":"订单 ＜1＞ 已发货\n"#.to_owned()
                + r#"<a data-miniprogram-appid=\"wx0123456789abcdef\" data-miniprogram-path=\"pages/order?id=1\" "#
                + r#"href=\"https://example.com/o?a=1&b=2\">查看</a>"}}"#
        );
    }

    #[tokio::test]
    async fn every_refusal_says_whom_it_concerns() {
        let content = RichText::default();
        let message = CustomText {
            touser: "oA",
            content: &content,
        };
        for (errcode, class) in [
            (-1, Class::Retry),
            (40001, Class::RefreshToken),
            (40003, Class::Recipient),
            (43004, Class::Recipient),
            (44004, Class::Request),
            (45002, Class::Request),
            (45009, Class::Quota),
            (45015, Class::Recipient),
            (45047, Class::Recipient),
            (48001, Class::Account),
            (48002, Class::Recipient),
        ] {
            let body = format!(r#"{{"errcode":{errcode},"errmsg":"refused"}}"#);
            let stub = Stub::json(&body).await;
            let sent = stub.client.send_custom_text(&token(), &message).await;
            let error = sent.unwrap_err();
            assert_eq!((error.errcode(), error.class()), (Some(errcode), class));
            assert!(!error.is_ambiguous(), "a refused text may be sent again");
        }
    }
}
