//! A retry by hand sends what its message type says today.

use queqiao::simulator::TemplateSettings;
use serde_json::{Value, json};

use super::ways::{ONCE, TEMPLATE_SEND, Ways, route, verdicts};
use crate::invariants::{MP, OA};

const NEW: &str = "TPL-NEW";

impl Ways {
    fn new_template(&self) {
        let template = TemplateSettings {
            template_id: NEW.to_owned(),
            content: "{{thing1.DATA}}".to_owned(),
            ..TemplateSettings::default()
        };
        self.stage.world().add_template(OA, &template).unwrap();
    }

    /// The one delivery, which WeChat refused since it does not know the template.
    async fn refused(&self, staff_id: &str) -> (String, Value) {
        self.refuse(TEMPLATE_SEND, 40037);
        let path = self.stage.notify(staff_id).await;
        self.stage.app.drain().await;
        let delivery = self.stage.delivery(&path).await;
        assert_eq!(delivery["state"], "failed", "{delivery}");
        (path, delivery)
    }

    async fn retry(&self, delivery: &Value) -> crate::support::app::Answer {
        let path = format!("/deliveries/{}/retry", delivery["id"]);
        self.stage.app.post(&self.stage.key, &path, json!({})).await
    }
}

fn with_template(template_id: &str) -> Value {
    let mut route = route("template");
    route["template_id"] = json!(template_id);
    route
}

both_engines! {
    a_retry_sends_the_template_that_took_the_place_of_the_old_one,
    routes_are_told_by_the_routes_that_were_used,
    a_second_retry_takes_the_routes_of_that_day,
    without_the_message_type_a_retry_is_refused_in_words,
    what_today_s_routes_cannot_say_is_refused,
    the_first_answer_stays_what_it_was,
    what_one_notification_wanted_otherwise_holds_for_its_retry,
}

async fn a_retry_sends_the_template_that_took_the_place_of_the_old_one(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    let (path, failed) = ways.refused("s1").await;
    ways.new_template();
    ways.set_routes(json!([with_template(NEW)])).await;
    ways.retry(&failed).await.ok(202);
    ways.stage.app.drain().await;
    let delivery = ways.stage.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    let sent = ways.stage.world().messages();
    assert_eq!((sent.len(), sent[0].template_id.as_str()), (1, NEW));
    // The notification shows what it was accepted with.
    let notification = ways
        .stage
        .app
        .get(&ways.stage.key, path.strip_suffix("/deliveries").unwrap())
        .await
        .ok(200);
    assert_eq!(notification["routes"][0]["template_id"], "TPL");
}

async fn routes_are_told_by_the_routes_that_were_used(ways: Ways) {
    ways.member("s1", 1).await;
    ways.member("s2", 2).await;
    ways.routes(&["template"]).await;
    let (path, failed) = ways.refused("s1").await;
    let (other, _) = ways.refused("s2").await;
    // Another order: number 0 means another route now.
    ways.new_template();
    ways.set_routes(json!([
        route("oa_subscribe"),
        with_template(NEW),
        route("mp_subscribe")
    ]))
    .await;
    ways.allow(MP, 1).await;
    let bulk = ways
        .stage
        .app
        .post(
            &ways.stage.key,
            "/deliveries/retry",
            json!({"reason": failed["reason"], "staff_id": "s1"}),
        )
        .await
        .ok(202);
    assert_eq!((&bulk["taken"], &bulk["not_taken"]), (&json!(1), &json!(0)));
    // The next route is one of today's, too.
    ways.refuse(TEMPLATE_SEND, 43004);
    ways.stage.app.drain().await;
    let delivery = ways.stage.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        verdicts(&delivery),
        [
            ("oa_subscribe", "no_credit"),
            ("template", "not_following"),
            ("mp_subscribe", "taken")
        ]
    );
    assert_eq!(ways.stage.world().messages()[0].template_id, ONCE);
    assert_eq!(
        verdicts(&ways.stage.delivery(&other).await)[0].0,
        "template",
        "the other one keeps its own"
    );
    let story = ways
        .stage
        .app
        .get(&ways.stage.key, "/staff/s1/explain")
        .await
        .ok(200);
    assert_eq!(story["deliveries"][0]["routes"], delivery["routes"]);
}

async fn a_second_retry_takes_the_routes_of_that_day(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    let (path, failed) = ways.refused("s1").await;
    ways.new_template();
    ways.set_routes(json!([with_template(NEW)])).await;
    ways.refuse(TEMPLATE_SEND, 40037);
    ways.retry(&failed).await.ok(202);
    ways.stage.app.drain().await;
    assert_eq!(ways.stage.delivery(&path).await["state"], "failed");
    // Back to what it was accepted with.
    ways.set_routes(json!([with_template("TPL")])).await;
    ways.retry(&failed).await.ok(202);
    ways.stage.app.drain().await;
    assert_eq!(ways.stage.delivery(&path).await["state"], "delivered");
    assert_eq!(ways.stage.world().messages()[0].template_id, "TPL");
}

async fn without_the_message_type_a_retry_is_refused_in_words(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    let (path, failed) = ways.refused("s1").await;
    let (app, key) = (&ways.stage.app, &ways.stage.key);
    assert_eq!(app.delete(key, "/message-types/ping").await.status, 204);
    let refused = ways.retry(&failed).await.refused(409, "not_retryable", "");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("message_type_gone") && detail.contains("PUT /message-types/ping"),
        "{detail}"
    );
    let bulk = app
        .post(key, "/deliveries/retry", json!({"staff_id": "s1"}))
        .await
        .ok(202);
    assert_eq!(bulk["reasons"], json!({"message_type_gone": 1}));
    assert_eq!(ways.stage.delivery(&path).await["state"], "failed");
    // A notification that is on its way is sent all the same.
    ways.set_routes(json!([route("template")])).await;
    let under_way = ways.stage.notify("s1").await;
    assert_eq!(app.delete(key, "/message-types/ping").await.status, 204);
    app.drain().await;
    assert_eq!(ways.stage.delivery(&under_way).await["state"], "delivered");
}

async fn what_today_s_routes_cannot_say_is_refused(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    let (_, failed) = ways.refused("s1").await;
    let mut asks_more = route("template");
    asks_more["fields"]["thing1"] = json!("{{ params.subtitle }}");
    ways.set_routes(json!([asks_more])).await;
    let refused = ways.retry(&failed).await.refused(409, "not_retryable", "");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("route_unusable") && detail.contains("subtitle"),
        "{detail}"
    );
}

async fn the_first_answer_stays_what_it_was(ways: Ways) {
    let (app, key) = (&ways.stage.app, &ways.stage.key);
    ways.stage.staff("s1", 1).await;
    app.put(key, "/staff/s2", json!({})).await.ok(201);
    let body = json!({"message_type": "ping", "staff_ids": ["s2"], "params": {"title": "hi"}});
    let first = ways.once(&body).await;
    assert_eq!(first["verdicts"][0]["reason"], "not_bound");
    let delivery = json!({"id": first["verdicts"][0]["delivery_id"]});
    let bind = json!({"unionid": queqiao::simulator::population::unionid(2)});
    app.post(key, "/staff/s2/bindings", bind).await.ok(201);
    ways.retry(&delivery)
        .await
        .refused(409, "not_retryable", "");
    ways.stage.follows(2).await;
    app.drain().await;
    ways.retry(&delivery).await.ok(202);
    app.drain().await;
    assert_eq!(ways.seen(2), 1);
    assert_eq!(ways.once(&body).await["verdicts"], first["verdicts"]);
}

async fn what_one_notification_wanted_otherwise_holds_for_its_retry(ways: Ways) {
    ways.member("s1", 1).await;
    ways.allow(MP, 1).await;
    ways.allow(MP, 1).await;
    ways.routes(&["mp_subscribe"]).await;
    ways.refuse(crate::notify::ways::MP_SEND, 47003);
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}, "miniprogram_state": "trial"});
    let accepted = ways
        .stage
        .app
        .post(&ways.stage.key, "/notifications", body)
        .await
        .ok(202);
    ways.stage.app.drain().await;
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    let failed = ways.stage.delivery(&path).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let mut changed = route("mp_subscribe");
    changed["page"] = json!("pages/new");
    ways.set_routes(json!([changed])).await;
    ways.retry(&failed).await.ok(202);
    ways.stage.app.drain().await;
    let sent = &ways.stage.world().messages()[0];
    assert_eq!(sent.miniprogram_state.as_deref(), Some("trial"));
    assert_eq!(
        sent.miniprogram.as_ref().unwrap().pagepath.as_deref(),
        Some("pages/new")
    );
}
