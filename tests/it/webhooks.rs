//! Events out, from the front door to a receiver: what is told, signed, in which order, and what
//! happens while the receiver does not listen.

mod changes;
mod endpoints;
mod erased;
mod failures;
mod private;
mod told;
mod verification;

use std::ops::Deref;
use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::simulator::population;
use serde_json::{Value, json};

use crate::support::api::by_openid;
use crate::support::receiver::{Post, Receiver};
use crate::support::setup::{FOREIGN, MP, OA, template, titled};
use crate::support::{ApiFixture, Fixture};

/// Two projects that may post to this machine, and a receiver.
struct WebhookFixture {
    api: ApiFixture,
    receiver: Receiver,
}

impl Fixture for WebhookFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, true).await
    }
}

impl Deref for WebhookFixture {
    type Target = ApiFixture;

    fn deref(&self) -> &ApiFixture {
        &self.api
    }
}

impl WebhookFixture {
    async fn with(engine: Engine, allow_private: bool) -> Self {
        let api = ApiFixture::with_other_key(engine, &[Scope::Webhooks], |first| {
            first.settings(|config| config.webhooks.allow_private_addresses = allow_private)
        });
        Self {
            api: api.await,
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

    async fn write(&self, person: u32, text: &str) {
        let world = self.app.simulator.world();
        world.send_text(OA, person, text).await.unwrap();
        self.app.drain().await;
    }

    async fn advance(&self, seconds: u64) {
        self.app.advance(Duration::from_secs(seconds));
        self.app.drain().await;
    }

    /// A staff member, bound to a person; the binding's id.
    async fn bound(&self, staff_id: &str, person: u32) -> i64 {
        let bound = self.staff(staff_id).bound_to(by_openid(OA, person)).await;
        self.app.drain().await;
        bound["id"].as_i64().unwrap()
    }

    /// A message type whose messages the simulator takes.
    async fn ping(&self) {
        let listed = template("T", "Title: {{thing1.DATA}}");
        self.world().add_template(OA, &listed).unwrap();
        self.message_type("ping", json!([titled(OA, "T")])).await;
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
