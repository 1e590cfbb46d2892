//! Whom a notification is for, other than by a list of staff ids.

mod people;

use serde_json::{Value, json};

use super::ApiFixture;
use super::deliveries::StaffFixture;

async fn ask(api: &ApiFixture, whom: Value) -> crate::support::app::Answer {
    let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
    for (name, value) in whom.as_object().unwrap() {
        body[name] = value.clone();
    }
    api.app.post(&api.key, "/notifications", body).await
}

/// Staff ids and states of the verdicts.
fn verdicts(accepted: &Value) -> Vec<String> {
    let verdicts = accepted["verdicts"].as_array().unwrap().iter();
    verdicts
        .map(|verdict| format!("{} {}", verdict["staff_id"], verdict["state"]).replace('"', ""))
        .collect()
}

both_engines! {
    a_tag_or_everybody_stands_for_the_staff_ids,
    a_group_is_taken_as_it_is_then_and_once_per_key,
    exactly_one_way_to_name_recipients_is_taken,
}

async fn a_tag_or_everybody_stands_for_the_staff_ids(api: StaffFixture) {
    let tags = json!({"tags": ["night"]});
    for staff in ["s2", "s4"] {
        api.app
            .put(&api.key, &format!("/staff/{staff}"), tags.clone())
            .await
            .ok(200);
    }
    api.app.put(&api.other, "/staff/s9", tags).await.ok(201);
    let tagged = ask(&api, json!({"tag": "night"})).await.ok(202);
    assert_eq!(verdicts(&tagged), ["s2 queued", "s4 unreachable"]);
    let all = ask(&api, json!({"all_staff": true})).await.ok(202);
    assert_eq!(
        verdicts(&all),
        ["s1 queued", "s2 queued", "s3 queued", "s4 unreachable"]
    );
    api.app.drain().await;
    assert_eq!(api.app.simulator.world().messages().len(), 4);
}

async fn a_group_is_taken_as_it_is_then_and_once_per_key(api: StaffFixture) {
    let night = json!({"tags": ["night"]});
    api.app
        .put(&api.key, "/staff/s1", night.clone())
        .await
        .ok(200);
    let keyed = async |body: Value| {
        let request = api
            .app
            .request(reqwest::Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&api.key)
            .header("Idempotency-Key", "k1")
            .json(&body);
        api.app.send(request).await
    };
    let body = json!({"message_type": "ping", "params": {"title": "hi"}, "tag": "night"});
    let first = keyed(body.clone()).await.ok(202);
    api.app.put(&api.key, "/staff/s2", night).await.ok(200);
    let again = keyed(body).await.ok(202);
    assert_eq!(
        (&again["id"], &again["replayed"]),
        (&first["id"], &json!(true))
    );
    assert_eq!(verdicts(&again), ["s1 queued"]);
    let other = json!({"message_type": "ping", "params": {"title": "hi"}, "all_staff": true});
    keyed(other)
        .await
        .refused(409, "idempotency_conflict", "Idempotency-Key");
}

async fn exactly_one_way_to_name_recipients_is_taken(api: StaffFixture) {
    for whom in [
        json!({}),
        json!({"all_staff": false}),
        json!({"staff_ids": ["s1"], "tag": "night"}),
        json!({"staff_ids": ["s1"], "all_staff": true}),
        json!({"tag": "night", "all_staff": true}),
        json!({"staff_ids": ["s1"], "people": [{"unionid": "o1"}]}),
        json!({"people": [{"unionid": "o1"}], "all_staff": true}),
    ] {
        let problem = ask(&api, whom)
            .await
            .refused(422, "invalid_field", "staff_ids");
        assert!(
            problem["detail"].as_str().unwrap().contains("all_staff"),
            "{problem}"
        );
    }
    ask(&api, json!({"tag": ""}))
        .await
        .refused(422, "invalid_field", "tag");
    ask(&api, json!({"tag": "nobody"}))
        .await
        .refused(422, "invalid_field", "tag");
    ask(&api, json!({"staff_ids": []}))
        .await
        .refused(422, "invalid_field", "staff_ids");
    let none = api.app.get(&api.key, "/notifications").await.ok(200);
    assert_eq!(none["items"], json!([]));
}
