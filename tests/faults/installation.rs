//! An installation: a database, a data directory, the accounts; and its tables, for whoever reconciles.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use diesel::connection::SimpleConnection as _;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::sql_types::BigInt;
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, SqliteConnection, sql_query};
use serde_json::Value;

use super::context::Context;
use super::process::{self, Process};

pub(crate) const SERVICE: &str = "wx00000000000000a1";
pub(crate) const MINI: &str = "wx00000000000000b2";
pub(crate) const TOKEN: &str = "faultstoken7";
pub(crate) const AES_KEY: &str = "Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// How long a look into the database may take, seconds.
const PATIENCE: u64 = 30;
/// How often what is waited for is looked at.
const AGAIN: Duration = Duration::from_millis(100);

/// Which engine; where its files are.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// A database of that name on the runner's cluster.
    Postgres { name: String },
    /// A file in the data directory.
    Sqlite,
}

/// A count.
#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

pub(crate) struct Installation {
    pub(crate) directory: PathBuf,
    data: PathBuf,
    storage: Storage,
    database_url: String,
    program: PathBuf,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) key: String,
    http: reqwest::Client,
}

impl Installation {
    /// A new one, with a project, its accounts and a key for everything. `with_wechat` says whether it may call
    /// WeChat, which needs the AppSecret.
    pub(crate) fn new(
        context: &mut Context,
        name: &str,
        storage: Storage,
        settings: &[(&str, &str)],
        with_wechat: bool,
    ) -> Result<Self> {
        let directory = context.directory.join(name);
        let data = directory.join("data");
        fs::create_dir_all(&directory)?;
        Self::in_directories(context, (directory, data), storage, settings, with_wechat)
    }

    /// The same, where its files are given.
    pub(crate) fn in_directories(
        context: &mut Context,
        (directory, data): (PathBuf, PathBuf),
        storage: Storage,
        settings: &[(&str, &str)],
        with_wechat: bool,
    ) -> Result<Self> {
        let database_url = match &storage {
            Storage::Postgres { name } => context.cluster()?.url(name),
            Storage::Sqlite => format!("sqlite://{}/queqiao.db", data.display()),
        };
        let defaults = [
            ("QUEQIAO_MASTER_KEY", MASTER_KEY),
            ("QUEQIAO_SERVER__WORKERS", "2"),
            ("QUEQIAO_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true"),
            (
                "RUST_LOG",
                "warn,queqiao=info,queqiao::bridge::profile=error",
            ),
        ];
        let settings = defaults.iter().chain(settings);
        let mut new = Self {
            directory,
            data,
            storage,
            database_url,
            program: context.program.clone(),
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            key: String::new(),
            http: process::client(Duration::from_secs(20))?,
        };
        new.set_up(with_wechat)?;
        Ok(new)
    }

    fn set_up(&mut self, with_wechat: bool) -> Result<()> {
        fs::create_dir_all(&self.data)?;
        self.run(&["projects", "add", "acme"])?;
        let accounts = [(SERVICE, "official_account"), (MINI, "mini_program")];
        for (app_id, kind) in accounts.into_iter().take(if with_wechat { 2 } else { 1 }) {
            let mut arguments = vec![
                "accounts", "add", app_id, "--kind", kind, "--name", kind, "--mode", "plain",
            ];
            arguments.extend(["--token", TOKEN, "--aes-key", AES_KEY]);
            if with_wechat {
                arguments.extend(["--secret", SECRET]);
            }
            self.run(&arguments)?;
        }
        let said = self.run(&[
            "keys",
            "add",
            "all",
            "--scopes",
            "notify,read,token,webhooks,admin",
        ])?;
        let key = said.split_whitespace().find(|word| word.starts_with("qq_"));
        key.context("no key is shown")?.clone_into(&mut self.key);
        Ok(())
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.settings.clone();
        environment.push(("DATABASE_URL".to_owned(), self.database_url.clone()));
        environment.push((
            "QUEQIAO_DATA_DIR".to_owned(),
            self.data.display().to_string(),
        ));
        environment
    }

    /// Runs a command to its end; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        process::clean(&mut command);
        command
            .args(arguments)
            .envs(self.environment())
            .current_dir(&self.directory);
        let done = tokio::task::block_in_place(|| command.output())?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("queqiao {}: {said}", arguments.first().unwrap_or(&""));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// `queqiao serve` on a port of its own; not started. A second replica has a data directory of its own.
    pub(crate) fn server(&self, context: &mut Context, replica: &str) -> Result<Process> {
        let port = process::free_port(&mut context.dice)?;
        let arguments = ["serve", "--bind", &format!("127.0.0.1:{port}")];
        let arguments = arguments.map(str::to_owned).to_vec();
        let mut environment = self.environment();
        if replica != "one" {
            let data = self.directory.join(format!("data-{replica}"));
            fs::create_dir_all(&data)?;
            environment.push(("QUEQIAO_DATA_DIR".to_owned(), data.display().to_string()));
        }
        let log = self.directory.join(format!("{replica}.log"));
        Ok(Process::new(
            &self.program,
            arguments,
            environment,
            log,
            port,
        ))
    }

    /// Asks the API of a server; status and answer.
    pub(crate) async fn api(
        &self,
        port: u16,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let url = format!("http://127.0.0.1:{port}/api/v1{path}");
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            if let Some(key) = body
                .get("params")
                .and_then(|params| params.get("order")?.as_str())
            {
                request = request.header("Idempotency-Key", key);
            }
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// The same, where nothing but success will do.
    pub(crate) async fn must(
        &self,
        port: u16,
        method: reqwest::Method,
        path: &str,
        body: Value,
    ) -> Result<Value> {
        match self.api(port, method, path, Some(body)).await? {
            (200..=299, answer) => Ok(answer),
            (status, answer) => bail!("{path}: {status} {answer}"),
        }
    }

    /// What a query finds.
    pub(crate) fn rows<T>(&self, sql: &str) -> Result<Vec<T>>
    where
        T: QueryableByName<Pg> + QueryableByName<Sqlite> + 'static,
    {
        tokio::task::block_in_place(|| match &self.storage {
            Storage::Postgres { .. } => {
                let more = format!(
                    "&connect_timeout={PATIENCE}&options=-c%20statement_timeout%3D{PATIENCE}000"
                );
                let mut connection =
                    PgConnection::establish(&format!("{}{more}", self.database_url))?;
                Ok(sql_query(sql).load(&mut connection)?)
            }
            Storage::Sqlite => {
                let file = self.database_url.trim_start_matches("sqlite://");
                let mut connection = SqliteConnection::establish(file)?;
                connection.batch_execute(&format!("PRAGMA busy_timeout = {PATIENCE}000"))?;
                Ok(sql_query(sql).load(&mut connection)?)
            }
        })
    }

    /// How many a query counts, as `count`.
    pub(crate) fn count(&self, sql: &str) -> Result<i64> {
        let rows: Vec<Count> = self.rows(&format!("SELECT COUNT(*) AS count FROM {sql}"))?;
        Ok(rows.first().map_or(0, |row| row.count))
    }

    /// Waits until a query counts nothing; in which time, or none if it never did.
    pub(crate) async fn until_none(&self, sql: &str, most: Duration) -> Result<Option<Duration>> {
        let started = Instant::now();
        while self.count(sql)? > 0 {
            if started.elapsed() > most {
                return Ok(None);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(Some(started.elapsed()))
    }
}
