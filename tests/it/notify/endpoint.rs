//! Notifications that are posted to an endpoint of the business.

use std::ops::Deref;
use std::time::Duration;

use queqiao::config::Config;
use queqiao::db::Engine;
use serde_json::{Value, json};

use super::routes::{RouteFixture, route, verdicts};
use crate::support::Fixture;
use crate::support::receiver::Receiver;

/// A project with an endpoint, beside what [`RouteFixture`] has.
pub(super) struct EndpointFixture {
    pub(super) routes: RouteFixture,
    pub(super) receiver: Receiver,
    pub(super) id: i64,
    secret: String,
}

/// It wants no events, so that all that it is sent are notifications.
const NOTHING_ELSE: &[&str] = &["webhook.disabled"];

impl Fixture for EndpointFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }
}

impl Deref for EndpointFixture {
    type Target = RouteFixture;

    fn deref(&self) -> &RouteFixture {
        &self.routes
    }
}

impl EndpointFixture {
    /// With settings of its own.
    pub(super) async fn with(engine: Engine, settings: impl FnOnce(&mut Config)) -> Self {
        let routes = RouteFixture::with(engine, settings).await;
        let receiver = Receiver::start();
        let made = routes.endpoint(&receiver.url, NOTHING_ELSE).await;
        Self {
            id: made["id"].as_i64().unwrap(),
            secret: made["secret"].as_str().unwrap().to_owned(),
            routes,
            receiver,
        }
    }
}

fn to(id: i64) -> Value {
    let fields = json!({"thing1": "{{ params.title }}", "for": "{{ staff.name | default('?') }}"});
    json!({"channel": "webhook", "endpoint": id, "fields": fields})
}

both_engines! {
    a_staff_member_whom_wechat_does_not_know_is_reached,
    what_an_endpoint_answers_decides,
    an_endpoint_that_is_not_there_is_said,
    the_trouble_of_one_endpoint_delays_no_other,
}

async fn a_staff_member_whom_wechat_does_not_know_is_reached(endpoint: EndpointFixture) {
    endpoint.member("s1", 1).await;
    endpoint.staff("s2").named("王芳").await;
    endpoint
        .set(json!([route("template"), to(endpoint.id)]))
        .await;
    let delivery = endpoint.sent("s2").await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        verdicts(&delivery),
        [("template", "not_bound"), ("webhook", "taken")]
    );
    assert_eq!(
        (
            &delivery["app_id"],
            &delivery["openid"],
            &delivery["identity_id"]
        ),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let posts = endpoint.receiver.posts();
    assert_eq!(
        (posts.len(), posts[0].signed_by(&endpoint.secret)),
        (1, Some(0))
    );
    assert!(posts[0].id.starts_with("msg_q"), "{:?}", posts[0]);
    let body = posts[0].json();
    assert_eq!(
        (&body["type"], &body["timestamp"]),
        (&json!("notification"), &body["data"]["created_at"])
    );
    let data = &body["data"];
    assert_eq!(data["fields"], json!({"thing1": "hi", "for": "王芳"}));
    assert_eq!(
        (&data["delivery_id"], &data["message_type"]),
        (&delivery["id"], &json!("ping"))
    );
    assert_eq!(
        (&data["staff_id"], &data["staff_name"]),
        (&json!("s2"), &json!("王芳"))
    );
    // Who can be reached at WeChat is reached there.
    let delivery = endpoint.sent("s1").await;
    assert_eq!(
        (verdicts(&delivery), endpoint.receiver.posts().len()),
        (vec![("template", "taken")], 1)
    );
}

async fn what_an_endpoint_answers_decides(endpoint: EndpointFixture) {
    endpoint.member("s1", 1).await;
    endpoint.set(json!([to(endpoint.id)])).await;
    for status in [400, 404, 410, 301] {
        endpoint
            .receiver
            .script(move |_| (status, format!("/status/{status}")));
        let delivery = endpoint.sent("s1").await;
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("failed"), &json!("endpoint_refused")),
            "{status}"
        );
        assert!(
            delivery["detail"]
                .as_str()
                .unwrap()
                .contains(&status.to_string()),
            "{delivery}"
        );
        assert_eq!(
            delivery["attempts"][0]["errcode"],
            Value::Null,
            "it is no code of WeChat's"
        );
    }
    for status in [500, 503, 429] {
        endpoint.receiver.answer(status);
        let before = endpoint.receiver.posts().len();
        let path = endpoint.notify("s1").await;
        endpoint.app.drain().await;
        let waiting = endpoint.delivery(&path).await;
        assert_eq!(
            (&waiting["state"], &waiting["reason"]),
            (&json!("queued"), &json!("retrying")),
            "{status}"
        );
        endpoint.receiver.answer(200);
        endpoint.pass(120, 20).await;
        assert_eq!(
            endpoint.delivery(&path).await["state"],
            "delivered",
            "{status}"
        );
        let posts = endpoint.receiver.posts().split_off(before);
        assert_eq!(
            (posts.len(), &posts[0].id, &posts[0].body),
            (2, &posts[1].id, &posts[1].body),
            "the very same"
        );
    }
    endpoint.receiver.answer(500);
    let path = endpoint.notify("s1").await;
    endpoint.pass(4 * 86_400, 3_600).await;
    let delivery = endpoint.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("gave_up")),
        "{delivery}"
    );
}

async fn an_endpoint_that_is_not_there_is_said(endpoint: EndpointFixture) {
    endpoint.member("s1", 1).await;
    let body = json!({"routes": [to(endpoint.id + 1)]});
    let refused = endpoint
        .app
        .put(&endpoint.key, "/message-types/ping", body)
        .await;
    refused.refused(422, "invalid_field", "routes[0].endpoint");
    endpoint.set(json!([to(endpoint.id)])).await;
    let path = format!("/webhooks/{}", endpoint.id);
    let off =
        json!({"url": endpoint.receiver.url, "events": ["webhook.disabled"], "enabled": false});
    endpoint.app.put(&endpoint.key, &path, off).await.ok(200);
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let looked = endpoint
        .app
        .post(&endpoint.key, "/notifications/preflight", asked)
        .await
        .ok(200);
    let warning = &looked["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["field"]),
        (&json!("endpoint_disabled"), &json!("routes[0].endpoint")),
        "{looked}"
    );
    let told = endpoint
        .app
        .get(&endpoint.key, "/staff/s1/explain?message_type=ping")
        .await
        .ok(200);
    assert!(
        told["next_steps"]
            .to_string()
            .contains("Enable it again with PUT"),
        "{told}"
    );
    let delivery = endpoint.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("endpoint_disabled")),
        "{delivery}"
    );
    endpoint.app.delete(&endpoint.key, &path).await;
    endpoint
        .set_unchecked(json!([to(endpoint.id), route("template")]))
        .await;
    let delivery = endpoint.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        [("webhook", "endpoint_gone"), ("template", "taken")]
    );
    assert_eq!(endpoint.receiver.posts().len(), 0);
}

async fn the_trouble_of_one_endpoint_delays_no_other(endpoint: EndpointFixture) {
    let well = Receiver::start();
    let other = endpoint.endpoint(&well.url, NOTHING_ELSE).await["id"]
        .as_i64()
        .unwrap();
    endpoint.member("s1", 1).await;
    endpoint.receiver.answer(503);
    endpoint.set(json!([to(endpoint.id)])).await;
    let mut ill = vec![endpoint.notify("s1").await];
    endpoint.app.drain().await;
    for _ in 0..5 {
        ill.push(endpoint.notify("s1").await);
    }
    endpoint.set(json!([to(other)])).await;
    let delivery = endpoint.sent("s1").await;
    assert_eq!(
        (&delivery["state"], well.posts().len()),
        (&json!("delivered"), 1)
    );
    assert_eq!(endpoint.receiver.posts().len(), 1, "it is left alone");
    let waiting = endpoint.delivery(&ill[1]).await;
    assert_eq!(
        (
            &waiting["reason"],
            waiting["attempts"].as_array().unwrap().len()
        ),
        (&json!("endpoint_resting"), 0)
    );
    endpoint.receiver.answer(200);
    for _ in 0..12 {
        endpoint.app.advance(Duration::from_secs(20));
        endpoint.app.drain().await;
    }
    for path in &ill {
        assert_eq!(endpoint.delivery(path).await["state"], "delivered");
    }
    assert_eq!(endpoint.receiver.posts().len(), 7);
}

impl RouteFixture {
    /// As a message type that was put while its endpoint was there.
    async fn set_unchecked(&self, routes: Value) {
        let now = self.app.clock.now();
        let put = self.app.bridge.db.write(move |conn| {
            let project = queqiao::ids::ProjectId(1);
            let routes = routes.to_string();
            queqiao::models::notification::message_type::put(
                conn, project, "ping", None, &routes, now,
            )?;
            Ok::<_, queqiao::db::DbError>(())
        });
        put.await.unwrap();
    }
}
