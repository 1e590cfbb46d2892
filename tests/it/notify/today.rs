//! A retry by hand sends what its message type says today.

use serde_json::{Value, json};

use super::routes::{ONCE, RouteFixture, TEMPLATE_SEND, route, verdicts};
use crate::support::api::by_unionid;
use crate::support::setup::{MP, OA, template};

const NEW: &str = "TPL-NEW";

impl RouteFixture {
    fn new_template(&self) {
        let listed = template(NEW, "{{thing1.DATA}}");
        self.world().add_template(OA, &listed).unwrap();
    }

    /// The one delivery, which WeChat refused since it does not know the template.
    async fn refused(&self, staff_id: &str) -> (String, Value) {
        self.refuse(TEMPLATE_SEND, 40037);
        let path = self.notify(staff_id).await;
        self.app.drain().await;
        let delivery = self.delivery(&path).await;
        assert_eq!(delivery["state"], "failed", "{delivery}");
        (path, delivery)
    }

    async fn retry(&self, delivery: &Value) -> crate::support::app::Answer {
        let path = format!("/deliveries/{}/retry", delivery["id"]);
        self.app.post(&self.key, &path, json!({})).await
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

async fn a_retry_sends_the_template_that_took_the_place_of_the_old_one(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let (path, failed) = routes.refused("s1").await;
    routes.new_template();
    routes.set(json!([with_template(NEW)])).await;
    routes.retry(&failed).await.ok(202);
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    let sent = routes.world().messages();
    assert_eq!((sent.len(), sent[0].template_id.as_str()), (1, NEW));
    // The notification shows what it was accepted with.
    let notification = routes
        .app
        .get(&routes.key, path.strip_suffix("/deliveries").unwrap())
        .await
        .ok(200);
    assert_eq!(notification["routes"][0]["template_id"], "TPL");
}

async fn routes_are_told_by_the_routes_that_were_used(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.member("s2", 2).await;
    routes.channels(&["template"]).await;
    let (path, failed) = routes.refused("s1").await;
    let (other, _) = routes.refused("s2").await;
    // Another order: number 0 means another route now.
    routes.new_template();
    routes
        .set(json!([
            route("oa_subscribe"),
            with_template(NEW),
            route("mp_subscribe")
        ]))
        .await;
    routes.allow(MP, 1).await;
    let bulk = routes
        .app
        .post(
            &routes.key,
            "/deliveries/retry",
            json!({"reason": failed["reason"], "staff_id": "s1"}),
        )
        .await
        .ok(202);
    assert_eq!((&bulk["taken"], &bulk["not_taken"]), (&json!(1), &json!(0)));
    // The next route is one of today's, too.
    routes.refuse(TEMPLATE_SEND, 43004);
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        verdicts(&delivery),
        [
            ("oa_subscribe", "no_credit"),
            ("template", "not_following"),
            ("mp_subscribe", "taken")
        ]
    );
    assert_eq!(routes.world().messages()[0].template_id, ONCE);
    assert_eq!(
        verdicts(&routes.delivery(&other).await)[0].0,
        "template",
        "the other one keeps its own"
    );
    let story = routes
        .app
        .get(&routes.key, "/staff/s1/explain")
        .await
        .ok(200);
    assert_eq!(story["deliveries"][0]["routes"], delivery["routes"]);
}

async fn a_second_retry_takes_the_routes_of_that_day(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let (path, failed) = routes.refused("s1").await;
    routes.new_template();
    routes.set(json!([with_template(NEW)])).await;
    routes.refuse(TEMPLATE_SEND, 40037);
    routes.retry(&failed).await.ok(202);
    routes.app.drain().await;
    assert_eq!(routes.delivery(&path).await["state"], "failed");
    // Back to what it was accepted with.
    routes.set(json!([with_template("TPL")])).await;
    routes.retry(&failed).await.ok(202);
    routes.app.drain().await;
    assert_eq!(routes.delivery(&path).await["state"], "delivered");
    assert_eq!(routes.world().messages()[0].template_id, "TPL");
}

async fn without_the_message_type_a_retry_is_refused_in_words(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let (path, failed) = routes.refused("s1").await;
    let (app, key) = (&routes.app, &routes.key);
    assert_eq!(app.delete(key, "/message-types/ping").await.status, 204);
    let refused = routes
        .retry(&failed)
        .await
        .refused(409, "not_retryable", "");
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
    assert_eq!(routes.delivery(&path).await["state"], "failed");
    // A notification that is on its way is sent all the same.
    routes.set(json!([route("template")])).await;
    let under_way = routes.notify("s1").await;
    assert_eq!(app.delete(key, "/message-types/ping").await.status, 204);
    app.drain().await;
    assert_eq!(routes.delivery(&under_way).await["state"], "delivered");
}

async fn what_today_s_routes_cannot_say_is_refused(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let (_, failed) = routes.refused("s1").await;
    let mut asks_more = route("template");
    asks_more["fields"]["thing1"] = json!("{{ params.subtitle }}");
    routes.set(json!([asks_more])).await;
    let refused = routes
        .retry(&failed)
        .await
        .refused(409, "not_retryable", "");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("route_unusable") && detail.contains("subtitle"),
        "{detail}"
    );
}

async fn the_first_answer_stays_what_it_was(routes: RouteFixture) {
    let app = &routes.app;
    routes.reachable("s1", 1).await;
    routes.staff("s2").await;
    let body = json!({"message_type": "ping", "staff_ids": ["s2"], "params": {"title": "hi"}});
    let first = routes.once(&body).await;
    assert_eq!(first["verdicts"][0]["reason"], "not_bound");
    let delivery = json!({"id": first["verdicts"][0]["delivery_id"]});
    routes.bind("s2", by_unionid(2)).await;
    routes
        .retry(&delivery)
        .await
        .refused(409, "not_retryable", "");
    routes.follows(2).await;
    app.drain().await;
    routes.retry(&delivery).await.ok(202);
    app.drain().await;
    assert_eq!(routes.seen(2), 1);
    assert_eq!(routes.once(&body).await["verdicts"], first["verdicts"]);
}

async fn what_one_notification_wanted_otherwise_holds_for_its_retry(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.allow(MP, 1).await;
    routes.channels(&["mp_subscribe"]).await;
    routes.refuse(crate::notify::routes::MP_SEND, 47003);
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}, "miniprogram_state": "trial"});
    let accepted = routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    routes.app.drain().await;
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    let failed = routes.delivery(&path).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let mut changed = route("mp_subscribe");
    changed["page"] = json!("pages/new");
    routes.set(json!([changed])).await;
    routes.retry(&failed).await.ok(202);
    routes.app.drain().await;
    let sent = &routes.world().messages()[0];
    assert_eq!(sent.miniprogram_state.as_deref(), Some("trial"));
    assert_eq!(
        sent.miniprogram.as_ref().unwrap().pagepath.as_deref(),
        Some("pages/new")
    );
}
