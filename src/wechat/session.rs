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
