//! Mini-program login (WeChat guide, code2Session).

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::client::{Client, lenient};
use super::error::CallError;

/// Who logged in.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// The user in this mini-program.
    pub openid: String,
    /// The person across accounts; absent unless the mini-program is bound to an Open Platform account. Compare it
    /// exactly.
    #[serde(default, deserialize_with = "lenient::text")]
    pub unionid: Option<String>,
    /// The user's session secret; never leaves the service.
    #[serde(deserialize_with = "secret")]
    pub session_key: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

impl Client {
    /// `GET /sns/jscode2session`. A code works once and for five minutes; 40029 and 40163 are final for it, and after
    /// an ambiguous failure it may be used up.
    pub async fn code_to_session(
        &self,
        app_id: &str,
        secret: &SecretString,
        code: &str,
    ) -> Result<Session, CallError> {
        let query = [
            ("appid", app_id),
            ("secret", secret.expose_secret()),
            ("js_code", code),
            ("grant_type", "authorization_code"),
        ];
        self.get("/sns/jscode2session", &query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::Stub;

    async fn log_in(stub: &Stub) -> Result<Session, CallError> {
        let secret = SecretString::from("s3cret");
        stub.client.code_to_session("wx01", &secret, "c/0+1").await
    }

    #[tokio::test]
    async fn a_code_becomes_a_session_whose_key_is_not_shown() {
        let stub = Stub::json(r#"{"session_key":"aGk=","openid":"oA","unionid":" oU"}"#).await;
        let session = log_in(&stub).await.unwrap();
        assert_eq!(session.openid, "oA");
        assert_eq!(session.unionid.as_deref(), Some(" oU"));
        assert_eq!(session.session_key.expose_secret(), "aGk=");
        assert!(!format!("{session:?}").contains("aGk="));
        assert_eq!(
            stub.request().await.target,
            "GET /sns/jscode2session?appid=wx01&secret=s3cret&js_code=c%2F0%2B1&grant_type=authorization_code"
        );
    }

    #[tokio::test]
    async fn an_unbound_mini_program_has_no_unionid() {
        for body in [
            r#"{"session_key":"aGk=","openid":"oA"}"#,
            r#"{"session_key":"aGk=","openid":"oA","unionid":""}"#,
        ] {
            let session = log_in(&Stub::json(body).await).await.unwrap();
            assert_eq!(session.unionid, None, "{body}");
        }
    }

    #[tokio::test]
    async fn a_used_code_is_an_api_error_and_a_session_without_a_key_is_none() {
        let stub = Stub::json(r#"{"errcode":40163,"errmsg":"code been used"}"#).await;
        assert_eq!(log_in(&stub).await.unwrap_err().errcode(), Some(40163));
        let error = log_in(&Stub::json(r#"{"openid":"oA"}"#).await).await;
        assert_eq!(
            error.unwrap_err().to_string().split(" at ").next(),
            Some("WeChat's answer cannot be read: missing field `session_key`")
        );
    }
}
