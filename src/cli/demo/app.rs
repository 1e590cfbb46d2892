//! The demo's business app: it knows Queqiao's API and nothing else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// How long the demo waits for something to come about.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

pub(super) struct App {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl App {
    pub(super) fn new(address: SocketAddr, key: &str) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            base: format!("http://{address}/api/v1"),
            key: key.to_owned(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.exchange(self.request(Method::GET, path)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.exchange(self.request(Method::PUT, path).json(body))
            .await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.exchange(self.request(Method::POST, path).json(body))
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value> {
        self.exchange(self.request(Method::DELETE, path)).await
    }

    pub(super) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Value> {
        let request = self
            .request(Method::POST, path)
            .header("Idempotency-Key", key);
        self.exchange(request.json(body)).await
    }

    /// Looks at a path until it shows what is expected; returns what it showed last.
    pub(super) async fn watch(
        &self,
        path: &str,
        is_there: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let started = Instant::now();
        loop {
            let value = self.get(path).await?;
            if is_there(&value) || started.elapsed() > PATIENCE {
                return Ok(value);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key)
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let path = response.url().path().to_owned();
        let status = response.status();
        let body = response.text().await?;
        if !status.is_success() {
            bail!("{path}: Queqiao answered {status}: {body}");
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).context("Queqiao's answer is not JSON")
    }
}

/// The list in an answer, or nothing.
pub(super) fn items(value: &Value) -> &[Value] {
    value
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A text in an answer, or nothing.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
