//! A whole Queqiao in the test's process: a migrated database, a clock moved by hand, WeChat
//! played by the simulator, and the server on a free port. Steps run when the test says so.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::bridge::accounts::register::Draft;
use queqiao::bridge::intake::Intake;
use queqiao::bridge::{Bridge, Step};
use queqiao::clock::Clock;
use queqiao::config::Config;
use queqiao::db::{Db, Engine};
use queqiao::ids::ProjectId;
use queqiao::models::account::{AccountKind, TokenSource};
use queqiao::models::project;
use queqiao::simulator::{Kind, Settings, Simulator, SimulatorOptions};
use queqiao::vault::Vault;
use queqiao::web::{self, Listener, Routes, State};
use queqiao::wechat::client::{Client, ClientOptions};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Fixture, TestDb};

/// Rounds after which a drain that finds ever more to do has gone wrong.
const ROUNDS: usize = 10_000;

/// A running Queqiao.
pub(crate) struct TestApp {
    pub(crate) bridge: Bridge,
    pub(crate) clock: Clock,
    pub(crate) simulator: Simulator,
    /// Scheme, host and port.
    pub(crate) url: String,
    http: reqwest::Client,
    pub(crate) server: Server,
    pub(crate) database: TestDb,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success of this status.
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// Asserts that it is a whole problem: status, code and field (empty: none).
    pub(crate) fn refused(&self, status: u16, code: &str, field: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{problem}"
        );
        assert_eq!(problem["type"], format!("urn:queqiao:problem:{code}"));
        for text in ["title", "detail"] {
            assert!(!problem[text].as_str().unwrap().is_empty(), "{problem}");
        }
        problem
    }
}

impl Fixture for TestApp {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, SimulatorOptions::default()).await
    }
}

/// A server on a free port over a bridge; stopped when dropped.
pub(crate) struct Server {
    /// Scheme, host and port.
    pub(crate) url: String,
    pub(crate) handle: ServerHandle,
}

impl Server {
    fn start(bridge: &Bridge) -> Self {
        let (intake, _writer) =
            Intake::start(bridge.db.clone(), &bridge.config.intake, None).unwrap();
        let state = State {
            bridge: bridge.clone(),
            intake,
            metrics: None,
        };
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let routes = Routes::ALL;
        let server = web::serve(vec![Listener { socket, routes }], state).unwrap();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, handle }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The order to stop is sent at once; nobody has to wait for it.
        drop(self.handle.stop(false));
    }
}

impl TestApp {
    /// With a WeChat that has its own ways.
    pub(crate) async fn with(engine: Engine, options: SimulatorOptions) -> Self {
        Self::with_settings(engine, options, |_| {}).await
    }

    /// With settings of its own as well.
    pub(crate) async fn with_settings(
        engine: Engine,
        options: SimulatorOptions,
        settings: impl FnOnce(&mut Config),
    ) -> Self {
        let database = TestDb::new(engine);
        let simulator = Simulator::start(options).await.unwrap();
        let mut config = Config::default();
        config.server.workers = 1;
        settings(&mut config);
        let clock = Clock::manual(Clock::system().now());
        let wechat = Client::new(ClientOptions::new(simulator.base_url())).unwrap();
        let bridge = Bridge::new(
            database.db().clone(),
            clock.clone(),
            wechat,
            Vault::random(),
            Arc::new(config),
        );
        let server = Server::start(&bridge);
        Self {
            bridge,
            clock,
            simulator,
            url: server.url.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            server,
            database,
        }
    }

    /// Another process on the same database, with nothing in its memory.
    pub(crate) fn replica(&self) -> (Bridge, Server) {
        self.replica_with(self.bridge.wechat.clone())
    }

    /// Another process on the same database, which was given another master key.
    pub(crate) fn with_another_master_key(&self) -> Bridge {
        Bridge::new(
            Db::open(&self.database.url(), 4).unwrap(),
            self.clock.clone(),
            self.bridge.wechat.clone(),
            Vault::random(),
            Arc::clone(&self.bridge.config),
        )
    }

    /// Another process that calls WeChat in its own way.
    pub(crate) fn replica_with(&self, wechat: Client) -> (Bridge, Server) {
        let bridge = Bridge::new(
            Db::open(&self.database.url(), 4).unwrap(),
            self.clock.clone(),
            wechat,
            self.bridge.vault.clone(),
            Arc::clone(&self.bridge.config),
        );
        let server = Server::start(&bridge);
        (bridge, server)
    }
}

impl TestApp {
    pub(crate) async fn project(&self, name: &str) -> ProjectId {
        let (name, now) = (name.to_owned(), self.clock.now());
        let create = self
            .bridge
            .db
            .write(move |conn| project::create(conn, &name, now));
        create.await.unwrap().id
    }

    pub(crate) async fn key(&self, project: ProjectId, scopes: &[Scope]) -> String {
        let (key, _) = self
            .bridge
            .keys
            .create(project, "test", scopes)
            .await
            .unwrap();
        key.expose_secret().to_owned()
    }

    /// Adds an account here and in the simulator, which pushes its events here.
    pub(crate) async fn account(&self, project: ProjectId, app_id: &str, kind: Kind) {
        self.account_as(project, Settings::new(app_id, kind), None)
            .await;
    }

    /// Adds an account with these settings, on both sides; new followers are welcomed so.
    pub(crate) async fn account_as(
        &self,
        project: ProjectId,
        mut settings: Settings,
        welcome: Option<&str>,
    ) {
        let callback = format!("{}/callback/{}", self.url, settings.app_id);
        settings.callback_url = Some(callback.parse().unwrap());
        let draft = Draft {
            welcome_text: welcome.map(str::to_owned),
            ..draft(project, &settings)
        };
        self.simulator.world().add_account(settings);
        self.bridge.add_account(draft).await.unwrap();
    }

    /// Runs all steps until nothing is due, moving the clock where something is due soon.
    pub(crate) async fn drain(&self) {
        self.drain_by(&self.bridge).await;
    }

    /// The same, by a replica.
    pub(crate) async fn drain_by(&self, bridge: &Bridge) {
        for _ in 0..ROUNDS {
            self.simulator.world().results_arrived().await;
            let steps = [
                bridge.process_step().await.unwrap(),
                bridge.erase_step(None).await.unwrap(),
                bridge.profile_step().await.unwrap(),
                bridge.import_step(None).await.unwrap(),
                bridge.undone_step().await.unwrap(),
                bridge.deliver_step().await.unwrap(),
                bridge.receipt_step().await.unwrap(),
                bridge.overdue_step().await.unwrap(),
                bridge.webhook_step().await.unwrap(),
            ];
            bridge.hastened().await;
            bridge.webhooks_settled().await;
            if steps.contains(&Step::Worked) {
                continue;
            }
            let soonest = steps.iter().filter_map(|step| match step {
                Step::Later(rest) => Some(*rest),
                _ => None,
            });
            match soonest.min() {
                Some(rest) => self.advance(rest),
                None => return,
            }
        }
        panic!("still busy after {ROUNDS} rounds");
    }

    /// Moves both clocks, ours and WeChat's.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.simulator.world().advance(by);
    }

    /// Calls the API; `path` is below `/api/v1`.
    pub(crate) async fn call(
        &self,
        method: &str,
        key: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.request(method, url);
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// A request to build upon; `path` is below the server's root.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.call("GET", key, path, None).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call("POST", key, path, Some(&body)).await
    }

    pub(crate) async fn put(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call("PUT", key, path, Some(&body)).await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> Answer {
        self.call("DELETE", key, path, None).await
    }

    /// Every item of a list, page by page, at most `limit` at a time.
    pub(crate) async fn all_pages(&self, key: &str, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(key, &format!("{path}?limit={limit}{cursor}"))
                .await
                .ok(200);
            let found = page["items"].as_array().unwrap();
            assert!(!found.is_empty() && found.len() <= limit, "{page}");
            items.extend(found.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// An account of the simulator, as an operator describes it.
pub(crate) fn draft(project: ProjectId, settings: &Settings) -> Draft {
    Draft {
        project_id: project,
        name: settings.app_id.clone(),
        app_id: settings.app_id.clone(),
        kind: match settings.kind {
            Kind::OfficialAccount => AccountKind::OfficialAccount,
            Kind::MiniProgram => AccountKind::MiniProgram,
        },
        mode: settings.mode,
        callback_token: settings.token.clone().into(),
        // A test account has none.
        aes_key: (!settings.test_account).then(|| settings.encoding_aes_key.clone().into()),
        secret: Some(settings.secret.clone().into()),
        token_source: TokenSource::StableToken,
        welcome_text: None,
    }
}
