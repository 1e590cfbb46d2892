//! What always holds, whatever goes wrong: one test for each promise of the data path, from the
//! callback to what the person sees.

mod again;
mod duplicates;
mod faults;
mod import;
mod link;
mod outage;
mod overdue;
mod profile;
mod progress;
mod reason;
mod receipt;
mod send;
mod strangers;
mod token;
mod truth;

use std::time::Duration;

use queqiao::bridge::Bridge;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::config::Config;
use queqiao::db::Engine;
use queqiao::ids::ProjectId;
use queqiao::simulator::{
    Kind, Origin, PushRecord, SimulatorOptions, TemplateSettings, World, population,
};
use queqiao::wechat::client::{Client, ClientOptions};
use serde_json::{Value, json};

use crate::support::app::Server;
use crate::support::{Fixture, TestApp};

/// The project of the stage.
pub(crate) const ONE: ProjectId = ProjectId(1);
/// The official account and the mini-program.
pub(crate) const OA: &str = "wx00000000000000a1";
pub(crate) const MP: &str = "wx00000000000000b1";
pub(crate) const INFO: &str = "/cgi-bin/user/info";
pub(crate) const BATCH: &str = "/cgi-bin/user/info/batchget";
pub(crate) const SEND: &str = "/cgi-bin/message/template/send";
pub(crate) const STABLE_TOKEN: &str = "/cgi-bin/stable_token";

/// A project with both accounts, people, a template, and a key that may everything.
pub(crate) struct Stage {
    pub(crate) app: TestApp,
    pub(crate) key: String,
}

impl Fixture for Stage {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, SimulatorOptions::default()).await
    }
}

impl Stage {
    pub(crate) async fn with(engine: Engine, options: SimulatorOptions) -> Self {
        Self::with_settings(engine, options, |_| {}).await
    }

    pub(crate) async fn with_settings(
        engine: Engine,
        options: SimulatorOptions,
        settings: impl FnOnce(&mut Config),
    ) -> Self {
        let app = TestApp::with_settings(engine, options, settings).await;
        let project = app.project("one").await;
        app.account(project, OA, Kind::OfficialAccount).await;
        app.account(project, MP, Kind::MiniProgram).await;
        let key = app.key(project, &[Scope::Admin]).await;
        let world = app.simulator.world();
        world.add_people(200);
        let template = TemplateSettings {
            template_id: "TPL".to_owned(),
            title: "Notice".to_owned(),
            content: "Title: {{thing1.DATA}}".to_owned(),
            ..TemplateSettings::default()
        };
        world.add_template(OA, &template).unwrap();
        Self { app, key }
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

    /// A staff member, bound to a person who follows, and a message type to notify them of.
    pub(crate) async fn staff(&self, staff_id: &str, person: u32) {
        self.follows(person).await;
        self.app.drain().await;
        let fields = json!({"thing1": "{{ params.title }}"});
        let routes = json!([{"account": OA, "template_id": "TPL", "fields": fields}]);
        let put = self
            .app
            .put(&self.key, "/message-types/ping", json!({"routes": routes}));
        assert!([200, 201].contains(&put.await.status));
        let staff = format!("/staff/{staff_id}");
        self.app.put(&self.key, &staff, json!({})).await.ok(201);
        let bind = json!({"unionid": population::unionid(person)});
        let bound = self
            .app
            .post(&self.key, &format!("{staff}/bindings"), bind)
            .await;
        bound.ok(201);
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
