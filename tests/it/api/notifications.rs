//! Message types, notifications and their deliveries.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::api::by_unionid;
use crate::support::setup::template;

fn routes(template: &str) -> Value {
    json!([{"account": OA, "template_id": template, "fields": {"thing1": "{{ params.title }}"}}])
}

both_engines! {
    message_types_are_put_found_listed_and_deleted,
    a_notification_is_accepted_sent_and_followed_up,
    a_message_wechat_refuses_says_what_to_do,
}

async fn message_types_are_put_found_listed_and_deleted(api: ApiFixture) {
    let app = &api.app;
    let body = json!({"description": "订单", "routes": routes("T")});
    let created = app
        .put(&api.key, "/message-types/order_created", body.clone())
        .await
        .ok(201);
    assert_eq!(created["routes"][0]["account"], OA);
    app.put(&api.key, "/message-types/order_created", body.clone())
        .await
        .ok(200);
    app.put(&api.key, "/message-types/b2", body.clone())
        .await
        .ok(201);
    let all = app.all_pages(&api.key, "/message-types", 1).await;
    assert_eq!(all.len(), 2);
    let found = app
        .get(&api.key, "/message-types/order_created")
        .await
        .ok(200);
    assert_eq!(found["description"], "订单");
    assert_eq!(app.delete(&api.key, "/message-types/b2").await.status, 204);
    app.delete(&api.key, "/message-types/b2")
        .await
        .refused(404, "not_found", "");
    for name in ["1a", "A", "a-b", "%25", &"a".repeat(65)] {
        let refused = app
            .put(&api.key, &format!("/message-types/{name}"), body.clone())
            .await;
        refused.refused(422, "invalid_field", "name");
    }
    let put = async |body| app.put(&api.key, "/message-types/x", body).await;
    put(json!({})).await.refused(422, "missing_field", "routes");
    put(json!({"routes": []}))
        .await
        .refused(422, "invalid_field", "routes");
    let mut wrong = routes("T");
    wrong[0]["account"] = json!(MP);
    let problem = put(json!({"routes": wrong})).await;
    let problem = problem.refused(422, "unknown_app_id", "routes[0].account");
    assert_eq!(problem["errors"][0]["field"], "routes[0].account");
    let mut wrong = routes("T");
    wrong[0]["fields"] = json!({"thing1": "{{ params.title"});
    let problem = put(json!({"routes": wrong})).await;
    problem.refused(422, "invalid_field", "routes[0].fields.thing1");
    let mut wrong = routes("T");
    wrong[0]["colour"] = json!("red");
    put(json!({"routes": wrong}))
        .await
        .refused(422, "unknown_field", "routes[0].colour");
}

async fn a_notification_is_accepted_sent_and_followed_up(api: ApiFixture) {
    let app = &api.app;
    let listed = template("TPL", "Title: {{thing1.DATA}}");
    api.world().add_template(OA, &listed).unwrap();
    api.new_follower(1).await;
    api.message_type("ping", routes("TPL")).await;
    api.staff("s1").bound_to(by_unionid(1)).await;
    api.staff("s2").await;
    let asked = json!({
        "message_type": "ping", "staff_ids": ["s1", "s2", "nobody", "s1"], "params": {"title": "hi"}
    });
    let ask = |body: &Value, key: &str| {
        let request = app
            .request(Method::POST, "/api/v1/notifications")
            .bearer_auth(&api.key);
        app.send(request.header("Idempotency-Key", key).json(body))
    };
    let first = ask(&asked, "k1").await.ok(202);
    assert_eq!(first["counts"], json!({"queued": 1, "unreachable": 2}));
    assert_eq!(first["replayed"], false);
    let reasons: Vec<_> = first["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["reason"].clone())
        .collect();
    assert_eq!(
        reasons,
        [json!(null), json!("not_bound"), json!("unknown_staff")]
    );
    app.drain().await;
    let again = ask(&asked, "k1").await.ok(202);
    assert_eq!(
        (&again["id"], &again["replayed"]),
        (&first["id"], &json!(true))
    );
    let mut different = asked.clone();
    different["params"]["title"] = json!("ho");
    ask(&different, "k1")
        .await
        .refused(409, "idempotency_conflict", "Idempotency-Key");
    for key in ["", "a b", &"k".repeat(256)] {
        ask(&asked, key)
            .await
            .refused(400, "invalid_header", "Idempotency-Key");
    }
    assert_eq!(app.simulator.world().messages().len(), 1);
    let path = format!("/notifications/{}", first["id"]);
    let found = app.get(&api.key, &path).await.ok(200);
    assert_eq!(found["counts"]["unreachable"], 2);
    assert_eq!(found["params"]["title"], "hi");
    let deliveries = app
        .all_pages(&api.key, &format!("{path}/deliveries"), 1)
        .await;
    assert_eq!(deliveries.len(), 3);
    assert_eq!(deliveries[0]["staff_id"], "s1");
    assert!(["sent", "delivered"].contains(&deliveries[0]["state"].as_str().unwrap()));
    assert!(deliveries[0]["msgid"].is_string(), "{}", deliveries[0]);
    assert_eq!(deliveries[0]["attempts"][0]["outcome"], "accepted");
    assert_eq!(deliveries[2]["attempts"], json!([]));
    assert_eq!(
        app.get(&api.key, "/notifications").await.ok(200)["items"][0]["id"],
        first["id"]
    );
    let refused = app
        .post(
            &api.key,
            "/notifications",
            json!({"message_type": "ping", "staff_ids": ["a\u{0}"]}),
        )
        .await;
    assert!([400, 422].contains(&refused.status), "{refused:?}");
    assert_eq!(refused.json()["field"], "staff_ids[0]");
}

async fn a_message_wechat_refuses_says_what_to_do(api: ApiFixture) {
    let app = &api.app;
    api.new_follower(1).await;
    api.message_type("ping", routes("NONE")).await;
    api.staff("s1").bound_to(by_unionid(1)).await;
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let id = app.post(&api.key, "/notifications", asked).await.ok(202)["id"].clone();
    app.drain().await;
    let page = app
        .get(&api.key, &format!("/notifications/{id}/deliveries"))
        .await
        .ok(200);
    let attempt = &page["items"][0]["attempts"][0];
    assert_eq!(attempt["errcode"], 40037, "{page}");
    assert!(attempt["what_to_do"].as_str().unwrap().len() > 5, "{page}");
}
