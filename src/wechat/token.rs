//! Fetching an access_token (WeChat guide, getStableAccessToken and getAccessToken). When to do so, and that only one
//! process does it at a time, is the caller's business.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::client::{AccessToken, Client, lenient};
use super::error::CallError;

const GRANT_TYPE: &str = "client_credential";

/// A token and its remaining life.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// The token; up to 512 characters.
    pub access_token: AccessToken,
    /// Remaining life, at most 7200 s. With `stable_token` it falls from call to call.
    pub expires_in: Duration,
}

#[derive(Serialize)]
struct StableTokenRequest<'a> {
    grant_type: &'a str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default, deserialize_with = "lenient::text")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "lenient::int")]
    expires_in: Option<i64>,
}

impl TokenAnswer {
    fn into_grant(self) -> Result<TokenGrant, CallError> {
        let access_token = self
            .access_token
            .ok_or_else(|| CallError::malformed("missing field `access_token`"))?;
        let seconds = self
            .expires_in
            .and_then(|seconds| u64::try_from(seconds).ok())
            .ok_or_else(|| CallError::malformed("missing field `expires_in`"))?;
        Ok(TokenGrant {
            access_token: AccessToken::new(access_token),
            expires_in: Duration::from_secs(seconds),
        })
    }
}

impl Client {
    /// `POST /cgi-bin/stable_token`: the same token for everybody who asks until about five minutes before its end.
    /// `force_refresh` makes a new one at once, at most 20 times a day, and invalidates the old one for every other
    /// system of the account. Judge errors by [`token_call_class`](super::error::token_call_class).
    pub async fn stable_token(
        &self,
        app_id: &str,
        secret: &SecretString,
        force_refresh: bool,
    ) -> Result<TokenGrant, CallError> {
        let body = StableTokenRequest {
            grant_type: GRANT_TYPE,
            appid: app_id,
            secret: secret.expose_secret(),
            force_refresh,
        };
        let answer: TokenAnswer = self.post("/cgi-bin/stable_token", &[], &body).await?;
        answer.into_grant()
    }

    /// `GET /cgi-bin/token`: a new token each time, which ends the previous one within five minutes. Judge errors by
    /// [`token_call_class`](super::error::token_call_class).
    pub async fn token(
        &self,
        app_id: &str,
        secret: &SecretString,
    ) -> Result<TokenGrant, CallError> {
        let query = [
            ("grant_type", GRANT_TYPE),
            ("appid", app_id),
            ("secret", secret.expose_secret()),
        ];
        let answer: TokenAnswer = self.get("/cgi-bin/token", &query).await?;
        answer.into_grant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::stub::Stub;
    use crate::wechat::error::{Class, token_call_class};

    const GRANT: &str = r#"{"access_token":"57_abc","expires_in":7200}"#;

    fn secret() -> SecretString {
        SecretString::from("s3cret&+/")
    }

    #[tokio::test]
    async fn stable_token_posts_everything_as_json() {
        let stub = Stub::json(GRANT).await;
        let grant = stub.client.stable_token("wx01", &secret(), false).await;
        let grant = grant.unwrap();
        assert_eq!(grant.access_token.expose(), "57_abc");
        assert_eq!(grant.expires_in, Duration::from_secs(7200));
        assert!(!format!("{grant:?}").contains("57_abc"));
        let request = stub.request().await;
        assert_eq!(request.target, "POST /cgi-bin/stable_token");
        assert!(request.headers.contains("content-type: application/json"));
        assert_eq!(
            request.body,
            r#"{"grant_type":"client_credential","appid":"wx01","secret":"s3cret&+/","force_refresh":false}"#
        );
    }

    #[tokio::test]
    async fn token_asks_with_an_escaped_query() {
        let stub = Stub::json(GRANT).await;
        stub.client.token("wx01", &secret()).await.unwrap();
        assert_eq!(
            stub.request().await.target,
            "GET /cgi-bin/token?grant_type=client_credential&appid=wx01&secret=s3cret%26%2B%2F"
        );
    }

    #[tokio::test]
    async fn a_wrong_secret_is_an_account_fault() {
        let stub = Stub::json(r#"{"errcode":40001,"errmsg":"invalid credential"}"#).await;
        let error = stub.client.token("wx01", &secret()).await.unwrap_err();
        assert_eq!(error.errcode().map(token_call_class), Some(Class::Account));
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_grant_without_a_token_or_a_life_is_malformed() {
        for body in [
            r#"{"expires_in":7200}"#,
            r#"{"access_token":"","expires_in":7200}"#,
            r#"{"access_token":"57_abc"}"#,
            r#"{"access_token":"57_abc","expires_in":-1}"#,
        ] {
            let stub = Stub::json(body).await;
            let error = stub.client.stable_token("wx01", &secret(), true).await;
            let error = error.unwrap_err();
            assert!(matches!(error, CallError::Malformed { .. }), "{body}");
            assert!(!format!("{error:?}").contains("57_abc"));
        }
    }
}
