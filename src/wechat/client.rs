//! The HTTP client for `api.weixin.qq.com`: one connection pool, time limits, and answers judged by errcode.
//!
//! The calls themselves are in the neighbouring rooms: [`token`](super::token), [`user`](super::user),
//! [`session`](super::session), [`template`](super::template), [`library`](super::library).

mod answer;
pub(super) mod lenient;
#[cfg(test)]
pub(super) mod stub;

use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::error::CallError;

/// WeChat's public host ("nearest access point").
pub const DEFAULT_BASE_URL: &str = "https://api.weixin.qq.com";
/// Time limit for making a connection.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for a whole call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections kept; more than the sends in flight at once, so that none is opened twice.
const IDLE_CONNECTIONS: usize = 2048;
/// Shorter than common gateways keep an idle connection: a request on one that was just closed has an unknown fate.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// An access_token; Debug does not show it.
#[derive(Clone, Debug)]
pub struct AccessToken(SecretString);

impl AccessToken {
    /// Wraps a token as WeChat issued it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(SecretString::from(token.into()))
    }

    /// The token itself, to be sent or sealed, never to be logged.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Where WeChat is and how long to wait for it.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Scheme, host and, if need be, a path prefix.
    pub base_url: Url,
    /// Time limit for making a connection; keep it below `timeout`, else every failure to connect looks ambiguous.
    pub connect_timeout: Duration,
    /// Time limit for a whole call.
    pub timeout: Duration,
}

impl ClientOptions {
    /// The default time limits.
    pub fn new(base_url: Url) -> Self {
        Self {
            base_url,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// Why a [`Client`] cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is not one that paths can be added to.
    #[error(
        "the WeChat base_url must be http:// or https:// with a host, without user name, query or fragment, \
         for example {DEFAULT_BASE_URL}"
    )]
    BaseUrl,
    /// The TLS library or the resolver cannot start.
    #[error("the HTTP client cannot start")]
    Http(#[source] reqwest::Error),
}

/// A client for WeChat's API. Clones share the connection pool.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Checks the options and starts an empty pool; nothing is sent.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let ClientOptions {
            base_url,
            connect_timeout,
            timeout,
        } = options;
        let usable = matches!(base_url.scheme(), "http" | "https")
            && base_url.has_host()
            && base_url.username().is_empty()
            && base_url.password().is_none()
            && base_url.query().is_none()
            && base_url.fragment().is_none();
        if !usable {
            return Err(ClientError::BaseUrl);
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("queqiao/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT);
        if is_loopback(&base_url) {
            // A simulator on this machine is out of reach for the machine's proxy.
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(ClientError::Http)?,
            base: base_url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        call(self.http.get(self.url(path)).query(query)).await
    }

    /// POSTs JSON. Chinese and `&<>` go out unescaped: WeChat refuses or shows `\uXXXX` (WeChat guide, 40033).
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        call(self.http.post(self.url(path)).query(query).json(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

async fn call<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, CallError> {
    let response = request.send().await?;
    let status = response.status();
    if !status.is_success() {
        return Err(CallError::Http {
            status: status.as_u16(),
        });
    }
    answer::read(&response.bytes().await?)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
