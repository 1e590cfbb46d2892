//! What is not to be sent any more is not sent, whatever it waited for: its turn, a place at the
//! endpoint, or the account's token.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::db::Engine;
use queqiao::simulator::Held;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::customer::CUSTOM_SEND;
use super::endpoint::EndpointFixture;
use super::kept::execute;
use super::routes::{MP_SEND, OA_SEND, TEMPLATE_SEND, route};
use crate::invariants::STABLE_TOKEN;
use crate::support::Fixture;
use crate::support::receiver::Receiver;
use crate::support::setup::{MP, OA};

/// What a message waits for while something is done to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    /// Another message to the same person, on a channel that takes one at a time.
    Turn,
    /// Another post to the same endpoint.
    Gate,
    /// The access token.
    Token,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Expires,
    IsCancelled,
    /// Its staff member is deleted.
    Leaves,
    /// Its staff member is bound to somebody else.
    Moves,
}

const WAITS: [(Wait, &str); 7] = [
    (Wait::Turn, "mp_subscribe"),
    (Wait::Turn, "oa_subscribe"),
    (Wait::Gate, "webhook"),
    (Wait::Token, "template"),
    (Wait::Token, "mp_subscribe"),
    (Wait::Token, "oa_subscribe"),
    (Wait::Token, "customer"),
];

fn path(channel: &str) -> &'static str {
    match channel {
        "mp_subscribe" => MP_SEND,
        "oa_subscribe" => OA_SEND,
        "customer" => CUSTOM_SEND,
        _ => TEMPLATE_SEND,
    }
}

/// An endpoint that takes one post at a time, and calls that are counted.
struct WaitFixture {
    endpoint: EndpointFixture,
}

/// What holds a message up, until it is dropped.
enum Hold<'r> {
    Wechat(#[allow(dead_code, reason = "dropped")] Held),
    Endpoint(#[allow(dead_code, reason = "dropped")] MutexGuard<'r, ()>),
}

impl Fixture for WaitFixture {
    async fn on(engine: Engine) -> Self {
        let endpoint = EndpointFixture::with(engine, |config| {
            config.webhooks.concurrency = 1;
            config.deliver.consent_wait_seconds = 0;
            // Calls are counted where there is a limit.
            config.budgets.subscribe_bizsend.per_day = 1_000;
            config.budgets.custom_send.per_day = 1_000;
        });
        Self {
            endpoint: endpoint.await,
        }
    }
}

impl WaitFixture {
    /// A member who may be sent two messages on that channel.
    async fn member(&self, channel: &str, staff: &str, person: u32) {
        self.endpoint.member(staff, person).await;
        let own = match channel {
            "webhook" => json!({"channel": "webhook", "endpoint": self.endpoint.id, "fields": {}}),
            "customer" => {
                json!({"channel": "customer", "account": OA, "text": "{{ params.title }}"})
            }
            other => route(other),
        };
        match channel {
            "customer" => self.endpoint.writes(person).await,
            "mp_subscribe" | "oa_subscribe" => {
                let account = if channel == "mp_subscribe" { MP } else { OA };
                for _ in 0..2 {
                    self.endpoint.allow(account, person).await;
                    self.endpoint.app.advance(Duration::from_secs(1));
                }
            }
            _ => {}
        }
        self.endpoint.set(json!([own])).await;
    }

    /// Asks to notify somebody; the notification's id.
    async fn ask(&self, staff: &str, expires_in: Option<i64>) -> Value {
        let routes = &self.endpoint.routes;
        let mut body =
            json!({"message_type": "ping", "staff_ids": [staff], "params": {"title": "hi"}});
        if let Some(seconds) = expires_in {
            let end = routes.app.clock.now() + chrono::TimeDelta::seconds(seconds);
            body["expires_at"] = json!(end.and_utc().to_rfc3339());
        }
        let accepted = routes
            .app
            .post(&routes.key, "/notifications", body)
            .await
            .ok(202);
        assert_eq!(accepted["counts"]["queued"], 1, "{accepted}");
        accepted["id"].clone()
    }

    async fn happens(&self, cause: Cause, notification: &Value, (staff, person): (&str, u32)) {
        let (app, key) = (&self.endpoint.app, &self.endpoint.key);
        match cause {
            Cause::Expires => {}
            Cause::IsCancelled => {
                let path = format!("/notifications/{notification}/cancel");
                app.call("POST", key, &path, None).await.ok(200);
            }
            Cause::Leaves => {
                app.delete(key, &format!("/staff/{staff}")).await.ok(200);
            }
            Cause::Moves => {
                self.endpoint.unbind(staff).await;
                let other = queqiao::simulator::population::unionid(person + 100);
                self.endpoint.bind(staff, json!({"unionid": other})).await;
            }
        }
    }

    fn calls(&self, channel: &str) -> u64 {
        match channel {
            "webhook" => self.endpoint.receiver.posts().len() as u64,
            _ => self.endpoint.world().calls(path(channel), None).unwrap(),
        }
    }

    async fn hold(&self, wait: Wait, channel: &str) -> Hold<'_> {
        let world = self.endpoint.world();
        match wait {
            Wait::Gate => Hold::Endpoint(self.endpoint.receiver.hold().await),
            Wait::Turn => Hold::Wechat(world.hold_next(path(channel)).unwrap()),
            Wait::Token => Hold::Wechat(world.hold_next(STABLE_TOKEN).unwrap()),
        }
    }

    /// Permissions and counted messages that are left to a person on that channel.
    async fn left(&self, channel: &str, staff: &str, person: u32) -> Value {
        match channel {
            "customer" => self.endpoint.window(person).await,
            // Whoever is no member any more is still allowed it.
            "webhook" | "template" => Value::Null,
            _ => json!(self.endpoint.left(staff).await),
        }
    }

    /// Calls that are counted of an account today.
    async fn counted(&self) -> i64 {
        let look = self.endpoint.app.bridge.db.read(|conn| {
            use diesel::prelude::*;
            let counts = queqiao::db::schema::budgets::table;
            let used: Vec<i64> = counts
                .select(queqiao::db::schema::budgets::used)
                .load(conn)
                .map_err(queqiao::db::DbError::from)?;
            Ok::<_, queqiao::db::DbError>(used.into_iter().sum())
        });
        look.await.unwrap()
    }

    async fn run(&self, (wait, channel): (Wait, &str), cause: Cause, person: u32) {
        let what = format!("{wait:?} {channel} {cause:?}");
        let staff = format!("s{person}");
        let routes = &self.endpoint.routes;
        self.member(channel, &staff, person).await;
        if wait == Wait::Token {
            routes.app.advance(Duration::from_secs(7_200));
        }
        let (calls, counted) = (self.calls(channel), self.counted().await);
        let left = self.left(channel, &staff, person).await;
        // One goes first, where it is that which is waited for.
        let first = u64::from(wait != Wait::Token);
        if first == 1 {
            self.ask(&staff, None).await;
        }
        let expires_in = (cause == Cause::Expires).then_some(30);
        let waiting = self.ask(&staff, expires_in).await;
        self.send_while(
            wait,
            channel,
            self.happens(cause, &waiting, (&staff, person)),
        )
        .await;
        // An endpoint is there for the staff member, whoever they are bound to.
        let second = u64::from(cause == Cause::Moves && channel == "webhook");
        assert_eq!(self.calls(channel) - calls, first + second, "{what}");
        let list = format!("/notifications/{waiting}/deliveries");
        if let Some(end) = end(cause) {
            let delivery = routes.delivery(&list).await;
            let finished = json!(routes.app.clock.now().and_utc());
            let found = (&delivery["state"], &delivery["finished_at"]);
            assert_eq!(
                found,
                (&json!(end), &finished),
                "at once: {what}: {delivery}"
            );
        }
        routes.app.drain().await;
        let delivery = routes.delivery(&list).await;
        let state = delivery["state"].as_str().unwrap();
        let expected = match end(cause) {
            Some(end) => end,
            None if second == 1 => "delivered",
            None => "unreachable",
        };
        assert_eq!(state, expected, "{what}: {delivery}");
        if cause == Cause::Leaves {
            assert_eq!(delivery["reason"], "not_bound", "{what}: {delivery}");
        }
        assert_eq!(self.calls(channel) - calls, first + second, "{what}");
        let tries = delivery["attempts"].as_array().unwrap().len();
        assert_eq!(tries as u64, second, "{what}: {delivery}");
        // What it was to use is there for others.
        if let (Some(before), true) = (
            left.as_i64(),
            cause != Cause::Leaves && cause != Cause::Moves,
        ) {
            let after = self.left(channel, &staff, person).await;
            assert_eq!(after, before - first as i64, "permissions of {what}");
        }
        let made = if channel == "webhook" {
            0
        } else {
            first as i64
        };
        assert_eq!(self.counted().await - counted, made, "calls of {what}");
    }

    /// Sends what is due, and lets something happen and half a minute pass while that waits.
    async fn send_while(&self, wait: Wait, channel: &str, happens: impl Future<Output = ()>) {
        let routes = &self.endpoint.routes;
        let tokens = || routes.world().calls(STABLE_TOKEN, None).unwrap();
        let before = (self.calls(channel), tokens());
        let held = self.hold(wait, channel).await;
        let bridge = routes.app.bridge.clone();
        let step = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        let has_begun = || match wait {
            Wait::Token => tokens() > before.1,
            Wait::Turn | Wait::Gate => self.calls(channel) > before.0,
        };
        while !has_begun() {
            tokio::task::yield_now().await;
        }
        happens.await;
        routes.app.advance(Duration::from_secs(31));
        drop(held);
        step.await.unwrap().unwrap();
    }
}

/// How it ends where that is known at once.
fn end(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Expires => Some("expired"),
        Cause::IsCancelled => Some("cancelled"),
        Cause::Leaves | Cause::Moves => None,
    }
}

async fn after_every_wait(waits: &WaitFixture, cause: Cause) {
    for (person, wait) in (1..).zip(WAITS) {
        waits.run(wait, cause, person).await;
    }
}

both_engines! {
    what_expires_while_it_waits_for_anything,
    what_is_cancelled_while_it_waits,
    what_is_for_somebody_who_was_deleted_meanwhile,
    what_is_for_somebody_who_was_bound_anew_meanwhile,
    what_waits_for_an_endpoint_goes_to_where_that_is_by_then,
    what_the_database_cannot_be_asked_about_waits,
}

async fn what_expires_while_it_waits_for_anything(waits: WaitFixture) {
    after_every_wait(&waits, Cause::Expires).await;
}

async fn what_is_cancelled_while_it_waits(waits: WaitFixture) {
    after_every_wait(&waits, Cause::IsCancelled).await;
}

async fn what_is_for_somebody_who_was_deleted_meanwhile(waits: WaitFixture) {
    after_every_wait(&waits, Cause::Leaves).await;
}

async fn what_is_for_somebody_who_was_bound_anew_meanwhile(waits: WaitFixture) {
    after_every_wait(&waits, Cause::Moves).await;
}

async fn what_waits_for_an_endpoint_goes_to_where_that_is_by_then(waits: WaitFixture) {
    waits.member("webhook", "s1", 1).await;
    let routes = &waits.endpoint.routes;
    for _ in 0..3 {
        waits.ask("s1", None).await;
    }
    let other = Receiver::start();
    let moves = async {
        let body = json!({"url": other.url, "events": ["webhook.disabled"]});
        let path = format!("/webhooks/{}", waits.endpoint.id);
        routes.app.put(&routes.key, &path, body).await.ok(200);
    };
    waits.send_while(Wait::Gate, "webhook", moves).await;
    routes.app.drain().await;
    assert_eq!(
        (waits.endpoint.receiver.posts().len(), other.posts().len()),
        (1, 2)
    );
}

async fn what_the_database_cannot_be_asked_about_waits(waits: WaitFixture) {
    waits.member("webhook", "s1", 1).await;
    let routes = &waits.endpoint.routes;
    waits.ask("s1", None).await;
    let second = waits.ask("s1", None).await;
    let held = waits.endpoint.receiver.hold().await;
    let bridge = routes.app.bridge.clone();
    let step = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    waits.endpoint.receiver.wait_for(1).await;
    execute(
        &routes.app.bridge.db,
        "ALTER TABLE staff RENAME TO staff_away",
    )
    .await;
    routes.app.advance(Duration::from_secs(2));
    drop(held);
    let recorded = step.await.unwrap();
    execute(
        &routes.app.bridge.db,
        "ALTER TABLE staff_away RENAME TO staff",
    )
    .await;
    recorded.unwrap();
    let list = format!("/notifications/{second}/deliveries");
    let delivery = routes.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&json!("queued"), &json!([])),
        "{delivery}"
    );
    assert_eq!(waits.endpoint.receiver.posts().len(), 1);
    routes.pass(2, 1).await;
    assert_eq!(routes.delivery(&list).await["state"], "delivered");
    assert_eq!(waits.endpoint.receiver.posts().len(), 2);
}
