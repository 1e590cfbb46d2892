//! Staff members with routes to reach them by, and what they saw.

use std::ops::Deref;

use queqiao::config::Config;
use queqiao::db::Engine;
use queqiao::simulator::{
    Choice, Fault, FaultKind, SimulatorOptions, TemplateKind, TemplateSettings, population,
};
use serde_json::{Value, json};

use crate::support::setup::{MP, OA, template, titled};
use crate::support::{Fixture, TestProject};

/// A subscription template, of the same id in both accounts.
pub(super) const ONCE: &str = "tpl-once";
pub(super) const TEMPLATE_SEND: &str = "/cgi-bin/message/template/send";
pub(super) const MP_SEND: &str = "/cgi-bin/message/subscribe/send";
pub(super) const OA_SEND: &str = "/cgi-bin/message/subscribe/bizsend";

/// The channels with their calls.
pub(super) const CHANNELS: [(&str, &str, &str); 3] = [
    ("template", OA, TEMPLATE_SEND),
    ("mp_subscribe", MP, MP_SEND),
    ("oa_subscribe", OA, OA_SEND),
];

/// A project with a template of each kind, whose routes a test chooses.
pub(super) struct RouteFixture(TestProject);

impl Fixture for RouteFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }
}

impl Deref for RouteFixture {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.0
    }
}

impl RouteFixture {
    /// With settings of its own.
    pub(super) async fn with(engine: Engine, settings: impl FnOnce(&mut Config)) -> Self {
        let options = SimulatorOptions::default();
        let project = TestProject::with_settings(engine, options, |config| {
            config.webhooks.allow_private_addresses = true;
            settings(config);
        });
        let project = project.await;
        let once = TemplateSettings {
            kind: TemplateKind::SubscribeOnce,
            ..template(ONCE, "{{thing1.DATA}}")
        };
        for app_id in [OA, MP] {
            project.world().add_template(app_id, &once).unwrap();
        }
        Self(project)
    }
}

pub(super) fn route(channel: &str) -> Value {
    let (account, template) = match channel {
        "template" => (OA, "TPL"),
        "oa_subscribe" => (OA, ONCE),
        _ => (MP, ONCE),
    };
    let mut route = titled(account, template);
    route["channel"] = json!(channel);
    route
}

impl RouteFixture {
    /// A staff member who follows, and is known in the mini-program.
    pub(super) async fn member(&self, staff_id: &str, person: u32) {
        self.reachable(staff_id, person).await;
        self.logs_in(person).await;
    }

    /// The person allows one subscription message of the account.
    pub(super) async fn allow(&self, app_id: &str, person: u32) {
        let choices = [(ONCE, Choice::Accept)];
        let popup = self.world().answer_popup(app_id, person, &choices);
        assert!(popup.await.unwrap().push.unwrap().verdict.is_accepted());
        self.app.drain().await;
    }

    /// We believe that the person allows one more message of the mini-program; WeChat does not.
    pub(super) async fn believe(&self, person: u32) {
        let openid = population::openid(MP, person);
        let body = json!({"openid": openid, "results": {ONCE: "accept"}});
        let path = format!("/miniprogram/{MP}/subscriptions");
        self.app.post(&self.key, &path, body).await.ok(200);
    }

    pub(super) async fn channels(&self, channels: &[&str]) {
        let routes: Vec<Value> = channels.iter().map(|channel| route(channel)).collect();
        self.set(json!(routes)).await;
    }

    pub(super) async fn set(&self, routes: Value) {
        let body = json!({"routes": routes});
        let put = self.app.put(&self.key, "/message-types/ping", body).await;
        assert!([200, 201].contains(&put.status), "{put:?}");
    }

    pub(super) fn refuse(&self, path: &str, errcode: i64) {
        let fault = Fault::at(path, FaultKind::Errcode { errcode }).times(1);
        self.world().add_fault(fault).unwrap();
    }

    /// Notifies, sends all that is due, and returns the delivery.
    pub(super) async fn sent(&self, staff_id: &str) -> Value {
        let path = self.notify(staff_id).await;
        self.app.drain().await;
        self.delivery(&path).await
    }

    /// How many messages a person saw, in both accounts.
    pub(super) fn seen(&self, person: u32) -> usize {
        let seen = |app_id| {
            let openid = population::openid(app_id, person);
            self.world().messages_to(&openid).len()
        };
        seen(OA) + seen(MP)
    }

    /// One-time permissions that we count, in all accounts.
    pub(super) async fn left(&self, staff_id: &str) -> i64 {
        let path = format!("/staff/{staff_id}/credits");
        let credits = self.app.get(&self.key, &path).await.ok(200);
        let items = credits["items"].as_array().unwrap();
        items
            .iter()
            .map(|one| one["one_time_left"].as_i64().unwrap())
            .sum()
    }
}

/// The routes considered, as channel and verdict.
pub(super) fn verdicts(delivery: &Value) -> Vec<(&str, &str)> {
    let routes = delivery["routes"].as_array().unwrap();
    let numbers: Vec<u64> = routes
        .iter()
        .map(|one| one["route"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{delivery}");
    routes
        .iter()
        .map(|one| {
            (
                one["channel"].as_str().unwrap(),
                one["verdict"].as_str().unwrap(),
            )
        })
        .collect()
}
