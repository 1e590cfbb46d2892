//! Events out, from the front door to a receiver: what is told, signed, in which order, and what
//! happens while the receiver does not listen.

mod changes;
mod endpoints;
mod erased;
mod failures;
mod private;
mod told;
mod verification;

use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::ids::ProjectId;
use queqiao::simulator::{Kind, Origin, SimulatorOptions, TemplateSettings, population};
use serde_json::{Value, json};

use crate::support::receiver::{Post, Receiver};
use crate::support::{Fixture, TestApp};

const OA: &str = "wx00000000000000a1";
const MP: &str = "wx00000000000000b1";
const FOREIGN: &str = "wx00000000000000a2";

/// A shop with two accounts and ten people, that may post to this machine, and a receiver.
struct Shop {
    app: TestApp,
    project: ProjectId,
    key: String,
    /// The key of another project, with an account of its own.
    other: String,
    receiver: Receiver,
}

impl Fixture for Shop {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, true).await
    }
}

impl Shop {
    async fn with(engine: Engine, allow_private: bool) -> Self {
        let options = SimulatorOptions::default();
        let app = TestApp::with_settings(engine, options, |config| {
            config.webhooks.allow_private_addresses = allow_private;
        });
        let app = app.await;
        let project = app.project("one").await;
        let two = app.project("two").await;
        app.account(project, OA, Kind::OfficialAccount).await;
        app.account(project, MP, Kind::MiniProgram).await;
        app.account(two, FOREIGN, Kind::OfficialAccount).await;
        app.simulator.world().add_people(10);
        let key = app.key(project, &[Scope::Admin]).await;
        let other = app.key(two, &[Scope::Webhooks]).await;
        Self {
            app,
            project,
            key,
            other,
            receiver: Receiver::start(),
        }
    }

    /// Adds the receiver as an endpoint for these types. Returns its id and its secret.
    async fn listen(&self, events: &[&str]) -> (i64, String) {
        self.listen_at(&self.receiver.url, events).await
    }

    async fn listen_at(&self, url: &str, events: &[&str]) -> (i64, String) {
        let body = json!({"url": url, "events": events});
        let answer = self.app.post(&self.key, "/webhooks", body).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        let made = answer.ok(201);
        let secret = made["secret"].as_str().unwrap().to_owned();
        (made["id"].as_i64().unwrap(), secret)
    }

    async fn webhook(&self, id: i64) -> Value {
        self.app
            .get(&self.key, &format!("/webhooks/{id}"))
            .await
            .ok(200)
    }

    /// What was recorded for an endpoint, oldest first.
    async fn deliveries(&self, id: i64) -> Vec<Value> {
        let path = format!("/webhooks/{id}/deliveries");
        let page = self.app.get(&self.key, &path).await.ok(200);
        let mut items = page["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }

    async fn put(&self, id: i64, url: &str, events: &[&str], enabled: bool) -> Value {
        let body = json!({"url": url, "events": events, "enabled": enabled});
        let path = format!("/webhooks/{id}");
        self.app.put(&self.key, &path, body).await.ok(200)
    }

    /// Lets a person follow, up to the stored profile, and what it entails.
    async fn follow(&self, person: u32) {
        let world = self.app.simulator.world();
        let push = world.follow(OA, person, Origin::default()).await.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
        self.app.drain().await;
    }

    async fn write(&self, person: u32, text: &str) {
        let world = self.app.simulator.world();
        world.send_text(OA, person, text).await.unwrap();
        self.app.drain().await;
    }

    async fn advance(&self, seconds: u64) {
        self.app.advance(Duration::from_secs(seconds));
        self.app.drain().await;
    }

    /// A staff member, bound to a person.
    async fn staff(&self, staff_id: &str, person: u32) -> i64 {
        let path = format!("/staff/{staff_id}");
        self.app.put(&self.key, &path, json!({})).await.ok(201);
        let path = format!("{path}/bindings");
        let body = json!({"app_id": OA, "openid": population::openid(OA, person)});
        let bound = self.app.post(&self.key, &path, body).await.ok(201);
        self.app.drain().await;
        bound["id"].as_i64().unwrap()
    }

    /// A message type whose messages the simulator takes.
    async fn message_type(&self) {
        let template = TemplateSettings {
            template_id: "T".to_owned(),
            title: "Notice".to_owned(),
            content: "Title: {{thing1.DATA}}".to_owned(),
            ..TemplateSettings::default()
        };
        let world = self.app.simulator.world();
        world.add_template(OA, &template).unwrap();
        let routes = json!([{"account": OA, "template_id": "T", "fields": {"thing1": "{{ params.title }}"}}]);
        let body = json!({"routes": routes});
        self.app
            .put(&self.key, "/message-types/ping", body)
            .await
            .ok(201);
    }

    async fn notify(&self, staff_id: &str) -> i64 {
        let body =
            json!({"message_type": "ping", "staff_ids": [staff_id], "params": {"title": "hi"}});
        let accepted = self
            .app
            .post(&self.key, "/notifications", body)
            .await
            .ok(202);
        self.app.drain().await;
        accepted["id"].as_i64().unwrap()
    }
}

fn kinds(posts: &[Post]) -> Vec<String> {
    posts.iter().map(Post::kind).collect()
}

/// The texts that a person wrote, as they arrived.
fn texts(posts: &[Post], person: u32) -> Vec<String> {
    let openid = population::openid(OA, person);
    let data = posts.iter().map(|post| post.json()["data"].clone());
    data.filter(|data| data["openid"] == openid.as_str())
        .filter_map(|data| Some(data["message"]["content"]["content"].as_str()?.to_owned()))
        .collect()
}
