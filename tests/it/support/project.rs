//! A project in a running Queqiao, and what its app, its people and time do to it.

use std::ops::Deref;
use std::time::Duration;

use queqiao::bridge::Bridge;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::config::Config;
use queqiao::db::Engine;
use queqiao::ids::ProjectId;
use queqiao::simulator::{Origin, PushRecord, SimulatorOptions, World, population};
use queqiao::wechat::client::{Client, ClientOptions};
use serde_json::{Value, json};

use super::api::{Api, NewStaff, by_unionid};
use super::app::Server;
use super::setup::{FOREIGN, MP, OA, template, titled};
use super::{Fixture, Setup, TestApp};

/// A project and its key. As a fixture it has both accounts, 200 people, a template of the official
/// account, and a key that may everything.
pub(crate) struct TestProject {
    pub(crate) app: TestApp,
    pub(crate) project: ProjectId,
    pub(crate) key: String,
    /// The keys of the other projects.
    pub(crate) other_keys: Vec<String>,
}

impl Fixture for TestProject {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, SimulatorOptions::default()).await
    }
}

impl TestProject {
    pub(crate) async fn with(engine: Engine, options: SimulatorOptions) -> Self {
        Self::with_settings(engine, options, |_| {}).await
    }

    pub(crate) async fn with_settings(
        engine: Engine,
        options: SimulatorOptions,
        settings: impl FnOnce(&mut Config),
    ) -> Self {
        Setup::on(engine)
            .wechat(options)
            .settings(settings)
            .people(200)
            .project("one")
            .official(OA)
            .mini_program(MP)
            .template(OA, template("TPL", "Title: {{thing1.DATA}}"))
            .start()
            .await
    }

    /// The API, as the app of this project meets it.
    pub(crate) fn api(&self) -> Api<'_> {
        self.app.api(&self.key)
    }

    pub(crate) fn world(&self) -> &World {
        self.app.simulator.world()
    }

    pub(crate) fn calls(&self, path: &str) -> u64 {
        self.world().calls(path, Some(OA)).unwrap()
    }

    /// Another process, whose calls to WeChat do not wait long.
    pub(crate) fn impatient(&self) -> (Bridge, Server) {
        let mut options = ClientOptions::new(self.app.simulator.base_url());
        options.timeout = Duration::from_millis(300);
        self.app.replica_with(Client::new(options).unwrap())
    }

    /// A person follows; nothing is processed yet.
    pub(crate) async fn follows(&self, person: u32) -> PushRecord {
        let push = self.world().follow(OA, person, Origin::search()).await;
        let push = push.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
        push
    }

    pub(crate) async fn logs_in(&self, person: u32) {
        let code = self.world().log_in(MP, person).unwrap();
        let path = format!("/miniprogram/{MP}/sessions");
        let login = self.app.post(&self.key, &path, json!({"code": code})).await;
        login.ok(200);
    }

    /// The persons with that openid of the official account.
    pub(crate) async fn people(&self, query: &str) -> Vec<Value> {
        let path = format!("/people?{query}");
        let page = self.app.get(&self.key, &path).await.ok(200);
        page["items"].as_array().unwrap().clone()
    }

    /// The one identity of a person in the official account.
    pub(crate) async fn identity(&self, person: u32) -> Value {
        let openid = population::openid(OA, person);
        let people = self.people(&format!("openid={openid}")).await;
        assert_eq!(people.len(), 1, "{people:?}");
        let identities = people[0]["identities"].as_array().unwrap();
        let mut found = identities.iter().filter(|one| one["openid"] == *openid);
        let identity = found.next().unwrap().clone();
        assert_eq!(found.next(), None);
        identity
    }

    pub(crate) async fn events(&self) -> Vec<Value> {
        let page = self.app.get(&self.key, "/events?limit=200").await.ok(200);
        page["items"].as_array().unwrap().clone()
    }

    /// A person follows, and what WeChat says of them is stored.
    pub(crate) async fn new_follower(&self, person: u32) {
        let push = self.world().follow(OA, person, Origin::default()).await;
        let push = push.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
        self.app.drain().await;
    }

    /// A fresh login code of a person.
    pub(crate) fn code(&self, person: u32) -> String {
        self.world().log_in(MP, person).unwrap()
    }

    /// Adds a message type that is not there yet.
    pub(crate) async fn message_type(&self, name: &str, routes: Value) {
        self.api().message_type(name, routes).await;
    }

    /// Adds a staff member who is not there yet, as soon as this is awaited.
    pub(crate) fn staff(&self, staff_id: &str) -> NewStaff<'_> {
        self.api().staff(staff_id)
    }

    /// Adds an endpoint for these types of events, as it is shown once.
    pub(crate) async fn endpoint(&self, url: &str, events: &[&str]) -> Value {
        self.api().endpoint(url, events).await
    }

    /// Binds a staff member, who is there; the binding.
    pub(crate) async fn bind(&self, staff_id: &str, whom: Value) -> Value {
        self.api().bind(staff_id, whom).await
    }

    /// A staff member, bound to a person who follows, and a message type to notify them of.
    pub(crate) async fn reachable(&self, staff_id: &str, person: u32) {
        self.follows(person).await;
        self.app.drain().await;
        let routes = json!([titled(OA, "TPL")]);
        let put = self
            .api()
            .put("/message-types/ping", json!({"routes": routes}));
        assert!([200, 201].contains(&put.await.status));
        self.staff(staff_id).bound_to(by_unionid(person)).await;
    }

    /// Asks to notify one staff member; the path of the deliveries.
    pub(crate) async fn notify(&self, staff_id: &str) -> String {
        let body =
            json!({"message_type": "ping", "staff_ids": [staff_id], "params": {"title": "hi"}});
        let accepted = self
            .app
            .post(&self.key, "/notifications", body)
            .await
            .ok(202);
        assert_eq!(accepted["counts"]["queued"], 1, "{accepted}");
        format!("/notifications/{}/deliveries", accepted["id"])
    }

    /// The only delivery of a notification.
    pub(crate) async fn delivery(&self, path: &str) -> Value {
        let page = self.app.get(&self.key, path).await.ok(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        page["items"][0].clone()
    }

    /// Lets time pass, and all that is due in it happen.
    pub(crate) async fn pass(&self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.app.advance(Duration::from_secs(step));
            self.app.drain().await;
        }
    }
}

/// Two projects with ten people, and a key for each.
pub(crate) struct ApiFixture {
    pub(crate) first: TestProject,
    /// The key of the other project, which has an account of its own.
    pub(crate) other: String,
}

impl Fixture for ApiFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, |first| first).await
    }
}

impl ApiFixture {
    /// With more than that, in the first project. Both keys may everything.
    pub(crate) async fn with(engine: Engine, more: impl FnOnce(Setup) -> Setup) -> Self {
        Self::with_other_key(engine, &[Scope::Admin], more).await
    }

    /// With another key of the other project.
    pub(crate) async fn with_other_key(
        engine: Engine,
        scopes: &[Scope],
        more: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let setup = Setup::on(engine)
            .people(10)
            .project("one")
            .official(OA)
            .mini_program(MP);
        let both = more(setup).project("two").scopes(scopes).official(FOREIGN);
        let mut first = both.start().await;
        let other = first.other_keys.remove(0);
        Self { first, other }
    }
}

impl Deref for ApiFixture {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.first
    }
}
