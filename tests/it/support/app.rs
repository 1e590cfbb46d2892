//! A whole Queqiao in the test's process: a migrated database, a clock moved by hand, WeChat
//! played by the simulator, and the server on a free port. Steps run when the test says so.

use queqiao::bridge::steps::StepName;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use chrono::NaiveDateTime;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::bridge::accounts::register::Draft;
use queqiao::bridge::intake::Intake;
use queqiao::bridge::{Bridge, Step};
use queqiao::clock::Clock;
use queqiao::config::Config;
use queqiao::db::{Db, Engine};
use queqiao::ids::{AccountId, ProjectId};
use queqiao::models::account::{AccountKind, TokenSource};
use queqiao::models::actor::Actor;
use queqiao::models::project;
use queqiao::simulator::{Kind, Settings, Simulator, SimulatorOptions, World};
use queqiao::vault::Vault;
use queqiao::web::{self, Listener, Routes, State};
use queqiao::wechat::client::{Client, ClientOptions};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::TestDb;
use super::api::{self, Api};

/// The steps that do what is due, in the order of the data path.
const DRAINED: [StepName; 9] = [
    StepName::Process,
    StepName::Erase,
    StepName::Profile,
    StepName::Import,
    StepName::Undone,
    StepName::Deliver,
    StepName::Receipts,
    StepName::Overdue,
    StepName::Webhooks,
];

/// Rounds after which a drain that finds ever more to do has gone wrong.
const ROUNDS: usize = 10_000;

/// A Queqiao that listens nowhere, with a clock that is moved by hand.
pub(crate) struct TestBridge {
    pub(crate) bridge: Bridge,
    pub(crate) clock: Clock,
    pub(crate) simulator: Simulator,
    pub(crate) database: TestDb,
}

impl TestBridge {
    pub(crate) async fn new(
        engine: Engine,
        options: SimulatorOptions,
        config: Config,
        now: NaiveDateTime,
    ) -> Self {
        let database = TestDb::new(engine);
        let simulator = Simulator::start(options).await.unwrap();
        let clock = Clock::manual(now);
        let bridge = Bridge::new(
            database.db().clone(),
            clock.clone(),
            Client::new(ClientOptions::new(simulator.base_url())).unwrap(),
            Vault::random(),
            Arc::new(config),
        );
        Self {
            bridge,
            clock,
            simulator,
            database,
        }
    }
}

/// The settings of a test: the defaults, with one worker.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.server.workers = 1;
    config
}

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
    /// Lets it listen.
    pub(crate) fn over(test: TestBridge) -> Self {
        let TestBridge {
            bridge,
            clock,
            simulator,
            database,
        } = test;
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
        add_project(&self.bridge, name).await
    }

    pub(crate) async fn key(&self, project: ProjectId, scopes: &[Scope]) -> String {
        let (key, _) = self
            .bridge
            .keys
            .create(project, "test", scopes, &Actor::CommandLine)
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
        let world = self.simulator.world();
        add_account(&self.bridge, world, project, settings, welcome).await;
    }

    /// Runs all steps until nothing is due, moving the clock where something is due soon.
    pub(crate) async fn drain(&self) {
        self.drain_by(&self.bridge).await;
    }

    /// The same, by a replica.
    pub(crate) async fn drain_by(&self, bridge: &Bridge) {
        for _ in 0..ROUNDS {
            self.simulator.world().results_arrived().await;
            let mut steps = Vec::with_capacity(DRAINED.len());
            for step in DRAINED {
                steps.push(bridge.run(step).await.unwrap());
            }
            bridge.hastened().await;
            bridge.webhooks.settled().await;
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

    /// The API, as whoever has that key meets it.
    pub(crate) fn api<'a>(&'a self, key: &'a str) -> Api<'a> {
        Api {
            http: &self.http,
            url: &self.url,
            key,
        }
    }

    /// Calls the API; `path` is below `/api/v1`.
    pub(crate) async fn call(
        &self,
        method: &str,
        key: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.api(key).call(method, path, body).await
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        api::send(request).await
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

/// Adds a project, of the bridge's present moment.
pub(crate) async fn add_project(bridge: &Bridge, name: &str) -> ProjectId {
    let (name, now) = (name.to_owned(), bridge.clock.now());
    let create = bridge
        .db
        .write(move |conn| project::create(conn, &name, now));
    create.await.unwrap().id
}

/// Adds an account with these settings, on both sides.
pub(crate) async fn add_account(
    bridge: &Bridge,
    world: &World,
    project: ProjectId,
    settings: Settings,
    welcome: Option<&str>,
) -> AccountId {
    let draft = Draft {
        welcome_text: welcome.map(str::to_owned),
        ..draft(project, &settings)
    };
    world.add_account(settings);
    bridge.add_account(draft).await.unwrap().id
}

/// What the simulator calls so, as accounts do.
pub(crate) fn kind(kind: Kind) -> AccountKind {
    match kind {
        Kind::OfficialAccount => AccountKind::OfficialAccount,
        Kind::MiniProgram => AccountKind::MiniProgram,
    }
}

/// An account of the simulator, as an operator describes it.
pub(crate) fn draft(project: ProjectId, settings: &Settings) -> Draft {
    Draft {
        project_id: project,
        name: settings.app_id.clone(),
        app_id: settings.app_id.clone(),
        kind: kind(settings.kind),
        mode: settings.mode,
        callback_token: settings.token.clone().into(),
        // A test account has none.
        aes_key: (!settings.test_account).then(|| settings.encoding_aes_key.clone().into()),
        secret: Some(settings.secret.clone().into()),
        token_source: TokenSource::StableToken,
        welcome_text: None,
    }
}
