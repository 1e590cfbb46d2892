//! What an operator sees of a stopped account, and does about it; and what goes first.

use serde_json::{Value, json};

use super::deliveries::{StaffFixture, refuse, short};
use super::{ApiFixture, OA};

async fn account(api: &ApiFixture) -> Value {
    let page = api.app.get(&api.key, "/accounts").await.ok(200);
    let items = page["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["app_id"] == OA);
    found.unwrap().clone()
}

async fn ask(api: &ApiFixture, more: Value) -> Value {
    let mut body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    api.app.post(&api.key, "/notifications", body).await.ok(202)
}

both_engines! {
    a_stopped_account_says_why_and_is_resumed,
    a_priority_is_taken_and_shown,
}

async fn a_stopped_account_says_why_and_is_resumed(api: StaffFixture) {
    assert_eq!(account(&api).await["pauses"], json!([]));
    refuse(&api, 40164);
    ask(&api, json!({})).await;
    api.app.drain().await;
    let stopped = account(&api).await;
    let pause = &stopped["pauses"][0];
    assert_eq!(pause["call"], Value::Null);
    assert_eq!(
        (&pause["kind"], &pause["reason"]),
        (&json!("stopped"), &json!("account_problem"))
    );
    assert!(
        pause["detail"].as_str().unwrap().starts_with("40164: "),
        "{pause}"
    );
    assert!(pause["since"].as_str() < pause["until"].as_str(), "{pause}");
    assert_eq!(stopped["problem"]["code"], 40164);
    api.app.simulator.world().clear_faults();
    let path = format!("/accounts/{OA}/resume");
    let resumed = api.app.call("POST", &api.key, &path, None).await.ok(200);
    assert_eq!(resumed, json!({"app_id": OA, "lifted": 1, "hastened": 1}));
    api.app.drain().await;
    assert_eq!(short(&api, "").await, ["s1 delivered"]);
    let well = account(&api).await;
    assert_eq!(
        (&well["pauses"], &well["problem"]),
        (&json!([]), &Value::Null)
    );
    let nothing = api.app.call("POST", &api.key, &path, None).await.ok(200);
    assert_eq!(nothing["lifted"], 0);
    let unknown = api
        .app
        .call(
            "POST",
            &api.key,
            "/accounts/wx00000000000000ff/resume",
            None,
        )
        .await;
    unknown.refused(404, "not_found", "");
}

async fn a_priority_is_taken_and_shown(api: StaffFixture) {
    for (more, shown) in [
        (json!({}), "normal"),
        (json!({"priority": "bulk"}), "bulk"),
        (json!({"priority": "urgent"}), "urgent"),
    ] {
        let id = ask(&api, more).await["id"].clone();
        let found = api
            .app
            .get(&api.key, &format!("/notifications/{id}"))
            .await
            .ok(200);
        assert_eq!(found["priority"], shown);
    }
    let newest = api.app.get(&api.key, "/notifications").await.ok(200);
    assert_eq!(newest["items"][0]["priority"], "urgent");
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "priority": "fast"});
    let refused = api.app.post(&api.key, "/notifications", body).await;
    let problem = refused.refused(422, "invalid_field", "priority");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("urgent, normal, bulk"),
        "{problem}"
    );
}
