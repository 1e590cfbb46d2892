//! QR codes with a scene (WeChat guide, createQRCode): whoever scans one follows the account, or
//! opens its chat, and the account is told the scene.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::client::{AccessToken, Client, lenient};
use super::error::CallError;

/// Longest scene, in bytes (WeChat's documentation of qrcode/create: 1 to 64).
pub const SCENE_MAX: usize = 64;
/// Longest life of a temporary code: 30 days (the same documentation).
pub const LIFE_MAX: Duration = Duration::from_secs(2_592_000);

const PICTURE: &str = "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=";

/// A temporary code. Its Debug shows neither ticket nor address, as either is as good as the scene.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// Fetches the picture.
    pub ticket: String,
    /// What the picture says: `http://weixin.qq.com/q/…`, to draw it oneself.
    pub url: String,
    /// How long it can be scanned.
    pub life: Duration,
}

impl QrCode {
    /// Where WeChat shows the picture, to anybody.
    pub fn picture_url(&self) -> String {
        let mut url = PICTURE.to_owned();
        url.extend(form_urlencoded::byte_serialize(self.ticket.as_bytes()));
        url
    }
}

impl std::fmt::Debug for QrCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QrCode")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a> {
    expire_seconds: u64,
    action_name: &'static str,
    action_info: ActionInfo<'a>,
}

#[derive(Serialize)]
struct ActionInfo<'a> {
    scene: Scene<'a>,
}

#[derive(Serialize)]
struct Scene<'a> {
    scene_str: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "lenient::text")]
    ticket: Option<String>,
    #[serde(default, deserialize_with = "lenient::int")]
    expire_seconds: Option<i64>,
    #[serde(default, deserialize_with = "lenient::text")]
    url: Option<String>,
}

impl Client {
    /// `POST /cgi-bin/qrcode/create` with `QR_STR_SCENE`: a temporary code, for as long as WeChat
    /// answers, which may be less than asked for. `scene` has at most [`SCENE_MAX`] bytes, `life`
    /// is at most [`LIFE_MAX`].
    pub async fn create_qr_code(
        &self,
        token: &AccessToken,
        scene: &str,
        life: Duration,
    ) -> Result<QrCode, CallError> {
        let request = Request {
            expire_seconds: life.as_secs(),
            action_name: "QR_STR_SCENE",
            action_info: ActionInfo {
                scene: Scene { scene_str: scene },
            },
        };
        let query = [("access_token", token.expose())];
        let answer: Answer = self
            .post("/cgi-bin/qrcode/create", &query, &request)
            .await?;
        let missing = |field: &str| CallError::malformed(format!("missing field `{field}`"));
        let given = answer
            .expire_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Ok(QrCode {
            ticket: answer.ticket.ok_or_else(|| missing("ticket"))?,
            url: answer.url.ok_or_else(|| missing("url"))?,
            life: given.map_or(life, |given| life.min(Duration::from_secs(given))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};

    const LIFE: Duration = Duration::from_secs(3_600);

    async fn create(body: &str) -> (Result<QrCode, CallError>, Stub) {
        let stub = Stub::json(body).await;
        let code = stub.client.create_qr_code(&token(), "qqi_a-_b", LIFE).await;
        (code, stub)
    }

    #[tokio::test]
    async fn a_scene_becomes_a_ticket_and_an_address() {
        let body =
            r#"{"ticket":"gQH+8/A=","expire_seconds":60,"url":"http://weixin.qq.com/q/02x"}"#;
        let (code, stub) = create(body).await;
        let code = code.unwrap();
        assert_eq!(code.url, "http://weixin.qq.com/q/02x");
        assert_eq!(code.life, Duration::from_secs(60));
        assert_eq!(
            code.picture_url(),
            "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=gQH%2B8%2FA%3D"
        );
        assert!(!format!("{code:?}").contains("gQH"));
        let request = stub.request().await;
        assert_eq!(
            request.target,
            format!("POST /cgi-bin/qrcode/create?access_token={TOKEN}")
        );
        assert_eq!(
            request.body,
            r#"{"expire_seconds":3600,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"qqi_a-_b"}}}"#
        );
    }

    #[tokio::test]
    async fn a_code_lives_no_longer_than_asked_for() {
        for (body, seconds) in [
            (r#"{"ticket":"t","url":"u"}"#, 3_600),
            (r#"{"ticket":"t","url":"u","expire_seconds":"30"}"#, 30),
            (r#"{"ticket":"t","url":"u","expire_seconds":-1}"#, 3_600),
            (r#"{"ticket":"t","url":"u","expire_seconds":99999}"#, 3_600),
        ] {
            let life = create(body).await.0.unwrap().life;
            assert_eq!(life, Duration::from_secs(seconds), "{body}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_code_is_malformed_and_a_refusal_is_told() {
        for body in [
            r#"{"ticket":"t"}"#,
            r#"{"url":"u"}"#,
            r#"{"ticket":"","url":"u"}"#,
        ] {
            let refused = create(body).await.0.unwrap_err();
            assert!(matches!(refused, CallError::Malformed { .. }), "{body}");
        }
        let (refused, _) =
            create(r#"{"errcode":45009,"errmsg":"reach max api daily quota limit"}"#).await;
        assert_eq!(refused.unwrap_err().errcode(), Some(45009));
    }
}
