//! Everything through HTTP, with a client of the tests' own: what Queqiao sees, and what it must cope with.

mod callback;
mod cancellation;
mod customer;
mod faults;
mod library;
mod login;
mod pushes;
mod qrcodes;
mod stub;
mod subscriptions;
mod templates;
mod tokens;
mod users;

use std::time::Duration;

use serde_json::{Value, json};

use super::{Kind, Settings, Simulator, SimulatorOptions, TemplateSettings, World};

const OFFICIAL: &str = "wx00000000000000aa";
const MINI: &str = "wx00000000000000bb";
const SECRET: &str = "s3cret";

/// A simulator with an official account and a mini-program, ten people, and retries without pause.
struct Sim {
    simulator: Simulator,
    http: reqwest::Client,
}

impl Sim {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut SimulatorOptions)) -> Self {
        let mut options = SimulatorOptions {
            workers: 1,
            page_size: 3,
            push_retry_delay: Duration::ZERO,
            ..SimulatorOptions::default()
        };
        change(&mut options);
        let simulator = Simulator::start(options).await.unwrap();
        for (app_id, kind) in [(OFFICIAL, Kind::OfficialAccount), (MINI, Kind::MiniProgram)] {
            let mut settings = Settings::new(app_id, kind);
            SECRET.clone_into(&mut settings.secret);
            simulator.world().add_account(settings);
        }
        assert_eq!(simulator.world().add_people(10), 10);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, http }
    }

    fn world(&self) -> &World {
        self.simulator.world()
    }

    fn url(&self, path_and_query: &str) -> String {
        format!(
            "{}{path_and_query}",
            self.simulator.base_url().as_str().trim_end_matches('/')
        )
    }

    async fn get(&self, path_and_query: &str) -> Value {
        let request = self.http.get(self.url(path_and_query));
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path_and_query: &str, body: &Value) -> Value {
        let request = self.http.post(self.url(path_and_query)).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Tells the simulator to do something, under `/_sim`.
    async fn control(&self, method: &str, path: &str, body: &Value) {
        let method = method.parse().unwrap();
        let request = self.http.request(method, self.url(&format!("/_sim{path}")));
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    async fn token_of(&self, app_id: &str, secret: &str) -> String {
        let body = json!({"grant_type": "client_credential", "appid": app_id, "secret": secret});
        let grant = self.post("/cgi-bin/stable_token", &body).await;
        grant["access_token"].as_str().unwrap().to_owned()
    }

    async fn stable_token(&self, force: bool) -> Value {
        let body = json!({"grant_type": "client_credential", "appid": OFFICIAL, "secret": SECRET, "force_refresh": force});
        self.post("/cgi-bin/stable_token", &body).await
    }

    async fn token(&self) -> String {
        let grant = self.stable_token(false).await;
        grant["access_token"].as_str().unwrap().to_owned()
    }

    fn template(&self, content: &str) -> String {
        let settings = TemplateSettings {
            content: content.to_owned(),
            ..TemplateSettings::default()
        };
        self.world().add_template(OFFICIAL, &settings).unwrap()
    }
}

/// The errcode, after a look at the shape that all errors have.
fn errcode(answer: &Value) -> i64 {
    let errmsg = answer["errmsg"].as_str().unwrap();
    let (_, rid) = errmsg.split_once(" rid: ").unwrap();
    let groups: Vec<_> = rid
        .split('-')
        .map(|group| u32::from_str_radix(group, 16))
        .collect();
    assert!(
        groups.len() == 3 && groups.iter().all(Result::is_ok),
        "{errmsg}"
    );
    answer["errcode"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_wrong_methods_have_wechats_codes() {
    let sim = Sim::start().await;
    assert_eq!(errcode(&sim.get("/cgi-bin/menu/create").await), 40066);
    assert_eq!(
        errcode(&sim.get("/cgi-bin/message/template/send").await),
        43002
    );
    assert_eq!(errcode(&sim.get("/cgi-bin/stable_token").await), 43002);
    let post = sim.post("/cgi-bin/user/get", &json!({})).await;
    assert_eq!(errcode(&post), 43001);
    let empty = sim
        .http
        .post(sim.url("/cgi-bin/user/info/batchget?access_token=x"));
    let empty: Value = empty.send().await.unwrap().json().await.unwrap();
    assert_eq!(errcode(&empty), 44002);
    sim.simulator.stop().await.unwrap();
}

#[tokio::test]
async fn answers_have_wechats_content_types_and_every_call_is_counted() {
    let sim = Sim::start().await;
    let content_type = async |path: String| {
        let response = sim.http.get(sim.url(&path)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let token = sim.token().await;
    let success = content_type(format!("/cgi-bin/user/get?access_token={token}")).await;
    assert_eq!(success, "application/json; encoding=utf-8");
    assert_eq!(
        content_type("/cgi-bin/user/get".to_owned()).await,
        "text/plain"
    );
    assert_eq!(
        content_type("/sns/jscode2session".to_owned()).await,
        "text/plain"
    );
    let calls = |path, app_id| sim.world().calls(path, app_id).unwrap();
    assert_eq!(calls("/cgi-bin/user/get", None), 2);
    assert_eq!(calls("/cgi-bin/user/get", Some(OFFICIAL)), 1);
    assert_eq!(calls("/cgi-bin/stable_token", Some(OFFICIAL)), 1);
    assert_eq!(calls("/sns/jscode2session", Some(MINI)), 0);
    let stats = sim.get("/_sim/stats").await;
    assert_eq!(stats["calls"]["/cgi-bin/user/get"], 2);
}

#[tokio::test]
async fn many_people_cost_little() {
    let sim = Sim::start_with(|options| options.page_size = 10_000).await;
    let start = std::time::Instant::now();
    sim.world().add_people(300_000);
    let origin = super::Origin::search();
    sim.world()
        .add_followers(OFFICIAL, 0..300_000, &origin)
        .unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    let token = sim.token().await;
    let page = sim
        .get(&format!("/cgi-bin/user/get?access_token={token}"))
        .await;
    assert_eq!(
        (&page["total"], &page["count"]),
        (&json!(300_000), &json!(10_000))
    );
}
