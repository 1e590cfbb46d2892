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
use super::endpoint::EndpointFixture;
use super::routes::{self, MP_SEND, OA_SEND, TEMPLATE_SEND};
use crate::support::Fixture;
use crate::support::setup::{MP, OA};

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
    endpoint: EndpointFixture,
}

impl Fixture for Matrix {
    async fn on(engine: Engine) -> Self {
        let endpoint = EndpointFixture::on(engine).await;
        Self { endpoint }
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
            "webhook" => json!({"channel": channel, "endpoint": self.endpoint.id,
                "fields": {"title": "{{ params.title }}"}}),
            _ => routes::route(channel),
        }
    }

    async fn channels(&self, channels: &[&str]) {
        let routes: Vec<Value> = channels.iter().map(|one| self.route(one)).collect();
        self.endpoint.set(json!(routes)).await;
    }

    /// A staff member, by the number of the person.
    async fn member(&self, person: u32) -> String {
        let staff = format!("s{person}");
        self.endpoint.member(&staff, person).await;
        staff
    }

    /// The person does what one message of the channel takes.
    async fn permit(&self, channel: &str, person: u32) {
        match channel {
            "mp_subscribe" => self.endpoint.allow(MP, person).await,
            "oa_subscribe" => self.endpoint.allow(OA, person).await,
            "customer" => self.endpoint.writes(person).await,
            _ => {}
        }
    }

    /// How many messages a person saw: at WeChat, and what the endpoint took for them. A repetition
    /// under the same id is one.
    fn shown(&self, person: u32) -> usize {
        let staff = format!("s{person}");
        let taken = self.endpoint.receiver.taken().into_iter();
        let own = taken.filter(|post| post.json()["data"]["staff_id"] == staff);
        let ids: BTreeSet<String> = own.map(|post| post.id).collect();
        self.endpoint.seen(person) + ids.len()
    }

    /// Calls of a channel so far.
    fn calls(&self, channel: &str) -> u64 {
        match channel {
            "webhook" => self.endpoint.receiver.posts().len() as u64,
            _ => self.endpoint.world().calls(path(channel), None).unwrap(),
        }
    }
}
