//! Every channel against everything that can happen to a send. What the simulator and the endpoint
//! saw is the truth: nobody sees a message twice, and nobody is promised one that never was.

mod codes;
mod crash;
mod pairs;
mod silence;

use std::collections::BTreeSet;

use queqiao::bridge::routes::Channel;
use queqiao::db::Engine;
use serde_json::{Value, json};

use super::customer::CUSTOM_SEND;
use super::ways::{self, MP_SEND, OA_SEND, TEMPLATE_SEND, Ways};
use crate::invariants::{MP, OA};
use crate::support::Fixture;
use crate::support::receiver::Receiver;

/// All channels.
const ALL: [&str; 5] = [
    "template",
    "mp_subscribe",
    "oa_subscribe",
    "customer",
    "webhook",
];
/// Those that go through WeChat.
const WECHAT: [&str; 4] = ["template", "mp_subscribe", "oa_subscribe", "customer"];

/// People with all ways to reach them, and an endpoint of the business.
pub(super) struct Matrix {
    ways: Ways,
    receiver: Receiver,
    endpoint: i64,
}

impl Fixture for Matrix {
    async fn on(engine: Engine) -> Self {
        let ways = Ways::on(engine).await;
        let receiver = Receiver::start();
        // It wants no events, so all that it is sent are notifications.
        let body = json!({"url": receiver.url, "events": ["webhook.disabled"]});
        let made = ways
            .stage
            .app
            .post(&ways.stage.key, "/webhooks", body)
            .await;
        let endpoint = made.ok(201)["id"].as_i64().unwrap();
        Self {
            ways,
            receiver,
            endpoint,
        }
    }
}

#[test]
fn no_channel_is_left_out() {
    let all: Vec<&str> = Channel::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(all, ALL);
    let has_account = |one: &&Channel| !one.traits().accounts.is_empty();
    let wechat = Channel::ALL.iter().filter(has_account);
    let wechat: Vec<&str> = wechat.map(|one| one.as_str()).collect();
    assert_eq!(wechat, WECHAT);
}

fn path(channel: &str) -> &'static str {
    match channel {
        "template" => TEMPLATE_SEND,
        "mp_subscribe" => MP_SEND,
        "oa_subscribe" => OA_SEND,
        _ => CUSTOM_SEND,
    }
}

impl Matrix {
    fn route(&self, channel: &str) -> Value {
        match channel {
            "customer" => json!({"channel": channel, "account": OA, "text": "{{ params.title }}"}),
            "webhook" => json!({"channel": channel, "endpoint": self.endpoint,
                "fields": {"title": "{{ params.title }}"}}),
            _ => ways::route(channel),
        }
    }

    async fn routes(&self, channels: &[&str]) {
        let routes: Vec<Value> = channels.iter().map(|one| self.route(one)).collect();
        self.ways.set_routes(json!(routes)).await;
    }

    /// A staff member, by the number of the person.
    async fn member(&self, person: u32) -> String {
        let staff = format!("s{person}");
        self.ways.member(&staff, person).await;
        staff
    }

    /// The person does what one message of the channel takes.
    async fn permit(&self, channel: &str, person: u32) {
        match channel {
            "mp_subscribe" => self.ways.allow(MP, person).await,
            "oa_subscribe" => self.ways.allow(OA, person).await,
            "customer" => self.ways.writes(person).await,
            _ => {}
        }
    }

    /// How many messages a person saw: at WeChat, and what the endpoint took for them. A repetition
    /// under the same id is one.
    fn shown(&self, person: u32) -> usize {
        let staff = format!("s{person}");
        let taken = self.receiver.taken().into_iter();
        let own = taken.filter(|post| post.json()["data"]["staff_id"] == staff);
        let ids: BTreeSet<String> = own.map(|post| post.id).collect();
        self.ways.seen(person) + ids.len()
    }

    /// Calls of a channel so far.
    fn calls(&self, channel: &str) -> u64 {
        match channel {
            "webhook" => self.receiver.posts().len() as u64,
            _ => self.ways.stage.world().calls(path(channel), None).unwrap(),
        }
    }
}
