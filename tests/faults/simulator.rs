//! `queqiao simulate`: a WeChat whose record says what people saw. It is never killed, since its record is in its
//! memory.

use std::time::Duration;

use anyhow::{Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::context::Context;
use super::installation::{AES_KEY, Installation, MINI, SECRET, SERVICE, TOKEN};
use super::process::{self, Process};

/// More than any experiment does.
const RECORD: &str = "2000000";

pub(crate) struct Simulator {
    process: Process,
    http: reqwest::Client,
}

impl Simulator {
    /// Starts one with so many people, whose pushes go to that port.
    pub(crate) async fn start(
        context: &mut Context,
        installation: &Installation,
        people: u32,
        callbacks: u16,
    ) -> Result<Self> {
        let port = process::free_port(&mut context.dice)?;
        let (bind, people) = (format!("127.0.0.1:{port}"), people.to_string());
        let callbacks = format!("http://127.0.0.1:{callbacks}");
        let mut arguments = vec!["simulate", "--bind", &bind, "--callbacks", &callbacks];
        arguments.extend([
            "--service",
            SERVICE,
            "--mini-program",
            MINI,
            "--secret",
            SECRET,
        ]);
        arguments.extend(["--token", TOKEN, "--aes-key", AES_KEY, "--mode", "plain"]);
        arguments.extend(["--people", &people, "--record", RECORD]);
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        let log = installation.directory.join("simulator.log");
        let mut process = Process::new(&context.program, arguments, Vec::new(), log, port);
        process.up("/_sim/stats").await?;
        Ok(Self {
            process,
            http: process::client(Duration::from_secs(60))?,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.process.port)
    }

    /// Tells it to do something; what it answers.
    pub(crate) async fn tell(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let url = format!("{}/_sim{path}", self.url());
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("simulator: {path}: {status} {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.tell(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn ask(&self, path: &str) -> Result<Value> {
        self.tell(Method::GET, path, None).await
    }

    /// How often a path was called.
    pub(crate) async fn calls(&self, path: &str) -> Result<u64> {
        let answer = self.ask(&format!("/calls?path={path}")).await?;
        Ok(answer
            .get("calls")
            .and_then(Value::as_u64)
            .unwrap_or_default())
    }

    /// From now on a path is answered so late.
    pub(crate) async fn latency(&self, path: &str, millis: u64) -> Result<()> {
        self.post("/latency", json!({"path": path, "millis": millis}))
            .await?;
        Ok(())
    }

    /// WeChat stands still for a moment.
    pub(crate) async fn stand_still(&self, time: Duration) -> Result<()> {
        self.process.freeze()?;
        tokio::time::sleep(time).await;
        self.process.thaw()
    }
}
