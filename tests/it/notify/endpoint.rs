//! Notifications that are posted to an endpoint of the business.

use std::time::Duration;

use queqiao::db::Engine;
use serde_json::{Value, json};

use super::ways::{Ways, route, verdicts};
use crate::support::Fixture;
use crate::support::receiver::Receiver;

struct Hook {
    ways: Ways,
    receiver: Receiver,
    id: i64,
    secret: String,
}

impl Fixture for Hook {
    async fn on(engine: Engine) -> Self {
        let ways = Ways::on(engine).await;
        let receiver = Receiver::start();
        let made = add(&ways, &receiver.url).await;
        Self {
            id: made["id"].as_i64().unwrap(),
            secret: made["secret"].as_str().unwrap().to_owned(),
            ways,
            receiver,
        }
    }
}

async fn add(ways: &Ways, url: &str) -> Value {
    let body = json!({"url": url, "events": ["webhook.disabled"]});
    let made = ways.stage.app.post(&ways.stage.key, "/webhooks", body);
    made.await.ok(201)
}

fn to(id: i64) -> Value {
    let fields = json!({"thing1": "{{ params.title }}", "for": "{{ staff.name | default('?') }}"});
    json!({"channel": "webhook", "endpoint": id, "fields": fields})
}

impl Hook {
    async fn staff(&self, staff_id: &str) {
        let stage = &self.ways.stage;
        let path = format!("/staff/{staff_id}");
        let body = json!({"name": "王芳"});
        stage.app.put(&stage.key, &path, body).await.ok(201);
    }
}

both_engines! {
    a_staff_member_whom_wechat_does_not_know_is_reached,
    what_an_endpoint_answers_decides,
    an_endpoint_that_is_not_there_is_said,
    the_trouble_of_one_endpoint_delays_no_other,
}

async fn a_staff_member_whom_wechat_does_not_know_is_reached(hook: Hook) {
    hook.ways.member("s1", 1).await;
    hook.staff("s2").await;
    hook.ways
        .set_routes(json!([route("template"), to(hook.id)]))
        .await;
    let delivery = hook.ways.sent("s2").await;
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
    let posts = hook.receiver.posts();
    assert_eq!(
        (posts.len(), posts[0].signed_by(&hook.secret)),
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
    let delivery = hook.ways.sent("s1").await;
    assert_eq!(
        (verdicts(&delivery), hook.receiver.posts().len()),
        (vec![("template", "taken")], 1)
    );
}

async fn what_an_endpoint_answers_decides(hook: Hook) {
    hook.ways.member("s1", 1).await;
    hook.ways.set_routes(json!([to(hook.id)])).await;
    for status in [400, 404, 410, 301] {
        hook.receiver
            .script(move |_| (status, format!("/status/{status}")));
        let delivery = hook.ways.sent("s1").await;
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
        hook.receiver.answer(status);
        let before = hook.receiver.posts().len();
        let path = hook.ways.stage.notify("s1").await;
        hook.ways.stage.app.drain().await;
        let waiting = hook.ways.stage.delivery(&path).await;
        assert_eq!(
            (&waiting["state"], &waiting["reason"]),
            (&json!("queued"), &json!("retrying")),
            "{status}"
        );
        hook.receiver.answer(200);
        hook.ways.stage.pass(120, 20).await;
        assert_eq!(
            hook.ways.stage.delivery(&path).await["state"],
            "delivered",
            "{status}"
        );
        let posts = hook.receiver.posts().split_off(before);
        assert_eq!(
            (posts.len(), &posts[0].id, &posts[0].body),
            (2, &posts[1].id, &posts[1].body),
            "the very same"
        );
    }
    hook.receiver.answer(500);
    let path = hook.ways.stage.notify("s1").await;
    hook.ways.stage.pass(4 * 86_400, 3_600).await;
    let delivery = hook.ways.stage.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("gave_up")),
        "{delivery}"
    );
}

async fn an_endpoint_that_is_not_there_is_said(hook: Hook) {
    hook.ways.member("s1", 1).await;
    let stage = &hook.ways.stage;
    let body = json!({"routes": [to(hook.id + 1)]});
    let refused = stage.app.put(&stage.key, "/message-types/ping", body).await;
    refused.refused(422, "invalid_field", "routes[0].endpoint");
    hook.ways.set_routes(json!([to(hook.id)])).await;
    let path = format!("/webhooks/{}", hook.id);
    let off = json!({"url": hook.receiver.url, "events": ["webhook.disabled"], "enabled": false});
    stage.app.put(&stage.key, &path, off).await.ok(200);
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let looked = stage
        .app
        .post(&stage.key, "/notifications/preflight", asked)
        .await
        .ok(200);
    let warning = &looked["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["field"]),
        (&json!("endpoint_disabled"), &json!("routes[0].endpoint")),
        "{looked}"
    );
    let told = stage
        .app
        .get(&stage.key, "/staff/s1/explain?message_type=ping")
        .await
        .ok(200);
    assert!(
        told["next_steps"]
            .to_string()
            .contains("Enable it again with PUT"),
        "{told}"
    );
    let delivery = hook.ways.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("endpoint_disabled")),
        "{delivery}"
    );
    stage.app.delete(&stage.key, &path).await;
    hook.ways
        .set_routes_unchecked(json!([to(hook.id), route("template")]))
        .await;
    let delivery = hook.ways.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        [("webhook", "endpoint_gone"), ("template", "taken")]
    );
    assert_eq!(hook.receiver.posts().len(), 0);
}

async fn the_trouble_of_one_endpoint_delays_no_other(hook: Hook) {
    let well = Receiver::start();
    let other = add(&hook.ways, &well.url).await["id"].as_i64().unwrap();
    hook.ways.member("s1", 1).await;
    hook.receiver.answer(503);
    hook.ways.set_routes(json!([to(hook.id)])).await;
    let mut ill = vec![hook.ways.stage.notify("s1").await];
    hook.ways.stage.app.drain().await;
    for _ in 0..5 {
        ill.push(hook.ways.stage.notify("s1").await);
    }
    hook.ways.set_routes(json!([to(other)])).await;
    let delivery = hook.ways.sent("s1").await;
    assert_eq!(
        (&delivery["state"], well.posts().len()),
        (&json!("delivered"), 1)
    );
    assert_eq!(hook.receiver.posts().len(), 1, "it is left alone");
    let waiting = hook.ways.stage.delivery(&ill[1]).await;
    assert_eq!(
        (
            &waiting["reason"],
            waiting["attempts"].as_array().unwrap().len()
        ),
        (&json!("endpoint_resting"), 0)
    );
    hook.receiver.answer(200);
    for _ in 0..12 {
        hook.ways.stage.app.advance(Duration::from_secs(20));
        hook.ways.stage.app.drain().await;
    }
    for path in &ill {
        assert_eq!(hook.ways.stage.delivery(path).await["state"], "delivered");
    }
    assert_eq!(hook.receiver.posts().len(), 7);
}

impl Ways {
    /// As a message type that was put while its endpoint was there.
    async fn set_routes_unchecked(&self, routes: Value) {
        let now = self.stage.app.clock.now();
        let put = self.stage.app.bridge.db.write(move |conn| {
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
