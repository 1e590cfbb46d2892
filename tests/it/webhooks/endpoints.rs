//! Endpoints as their owners see them: added, changed, tested, their secrets and what they were sent.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::bridge::accounts::keys::Scope;
use serde_json::{Value, json};

use super::{FOREIGN, OA, WebhookFixture, kinds, texts};

const DAY: u64 = 86_400;

both_engines! {
    an_endpoint_is_shown_without_its_secret_and_only_to_its_project,
    what_is_wrong_with_an_endpoint_is_named,
    a_test_is_a_signed_ping,
    for_a_day_both_secrets_sign,
    what_happened_in_a_time_is_sent_again_under_its_old_ids,
    what_is_disabled_by_hand_keeps_what_waited_and_takes_nothing_down,
    a_turn_ends_by_bytes_too,
}

async fn an_endpoint_is_shown_without_its_secret_and_only_to_its_project(webhooks: WebhookFixture) {
    let (id, secret) = webhooks.listen(&["identity.followed"]).await;
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("/webhooks/{id}");
    let body = json!({"url": "https://example.com/h", "events": ["*", "push.raw"],
            "app_ids": [OA], "description": "orders"});
    let changed = webhooks.app.put(&webhooks.key, &path, body).await.ok(200);
    assert_eq!(changed["events"], json!(["*", "push.raw"]));
    assert_eq!(
        (&changed["app_ids"], &changed["state"]),
        (&json!([OA]), &json!("enabled"))
    );
    let listed = webhooks.app.get(&webhooks.key, "/webhooks").await;
    assert!(
        !listed.text.contains(&secret) && !listed.text.contains("\"secret\""),
        "{listed:?}"
    );
    assert_eq!(listed.ok(200)["items"], json!([changed]));
    for (method, path, body) in [
        ("GET", path.clone(), None),
        (
            "PUT",
            path.clone(),
            Some(json!({"url": "https://example.com", "events": ["*"]})),
        ),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/rotate-secret"), None),
        ("POST", format!("{path}/test"), None),
        (
            "POST",
            format!("{path}/replay"),
            Some(json!({"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"})),
        ),
        ("GET", format!("{path}/deliveries"), None),
        ("POST", format!("{path}/deliveries/1/retry"), None),
    ] {
        let foreign = webhooks
            .app
            .call(method, &webhooks.other, &path, body.as_ref())
            .await;
        foreign.refused(404, "not_found", "");
    }
    let reader = webhooks
        .app
        .key(webhooks.project, &[Scope::Read, Scope::Notify])
        .await;
    webhooks
        .app
        .get(&reader, &path)
        .await
        .refused(403, "missing_scope", "");
    assert_eq!(webhooks.app.delete(&webhooks.key, &path).await.status, 204);
    webhooks
        .app
        .get(&webhooks.key, &path)
        .await
        .refused(404, "not_found", "");
}

async fn what_is_wrong_with_an_endpoint_is_named(webhooks: WebhookFixture) {
    for (body, code, field) in [
        (json!({"events": ["*"]}), "missing_field", "url"),
        (
            json!({"url": "https://example.com"}),
            "missing_field",
            "events",
        ),
        (
            json!({"url": "ftp://example.com", "events": ["*"]}),
            "invalid_field",
            "url",
        ),
        (
            json!({"url": "https://a:b@example.com", "events": ["*"]}),
            "invalid_field",
            "url",
        ),
        (
            json!({"url": "https://example.com", "events": []}),
            "invalid_field",
            "events",
        ),
        (
            json!({"url": "https://example.com", "events": ["identity.fallowed"]}),
            "invalid_field",
            "events",
        ),
        (
            json!({"url": "https://example.com", "events": ["*"], "app_ids": []}),
            "invalid_field",
            "app_ids",
        ),
        (
            json!({"url": "https://example.com", "events": ["*"], "app_ids": [FOREIGN]}),
            "unknown_app_id",
            "app_ids",
        ),
        (
            json!({"url": "https://example.com", "events": ["*"], "description": "x".repeat(201)}),
            "too_long",
            "description",
        ),
        (
            json!({"url": "https://example.com", "events": ["*"], "secret": "x"}),
            "unknown_field",
            "secret",
        ),
    ] {
        let refused = webhooks.app.post(&webhooks.key, "/webhooks", body).await;
        refused.refused(422, code, field);
    }
    for _ in 0..50 {
        webhooks.listen(&["account.alert"]).await;
    }
    let body = json!({"url": "https://example.com", "events": ["*"]});
    webhooks
        .app
        .post(&webhooks.key, "/webhooks", body)
        .await
        .refused(409, "too_many", "");
}

async fn a_test_is_a_signed_ping(webhooks: WebhookFixture) {
    let (id, secret) = webhooks.listen(&["account.alert"]).await;
    let path = format!("/webhooks/{id}/test");
    let pinged = webhooks
        .app
        .call("POST", &webhooks.key, &path, None)
        .await
        .ok(202);
    webhooks.app.drain().await;
    let posts = webhooks.receiver.posts();
    assert_eq!(kinds(&posts), ["ping"]);
    assert_eq!(
        (posts[0].signed_by(&secret), json!(posts[0].id)),
        (Some(0), pinged["webhook_id"].clone())
    );
    assert_eq!(posts[0].json()["data"], json!({"webhook_id": id}));
}

async fn for_a_day_both_secrets_sign(webhooks: WebhookFixture) {
    let (id, old) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    let path = format!("/webhooks/{id}/rotate-secret");
    let answer = webhooks.app.call("POST", &webhooks.key, &path, None).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let new = answer.ok(200)["secret"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    webhooks.write(1, "one").await;
    webhooks.advance(DAY + 1).await;
    webhooks.write(1, "two").await;
    let posts = webhooks.receiver.posts();
    let signed = |at: usize| (posts[at].signed_by(&new), posts[at].signed_by(&old));
    assert_eq!(signed(0), (Some(0), Some(1)));
    assert_eq!(signed(1), (Some(0), None));
    assert_eq!(posts[1].signatures.len(), 1);
}

async fn what_happened_in_a_time_is_sent_again_under_its_old_ids(webhooks: WebhookFixture) {
    let (id, _) = webhooks
        .listen(&["message.received", "identity.unfollowed"])
        .await;
    webhooks.new_follower(1).await;
    let mut times = Vec::new();
    for text in ["one", "two", "three"] {
        webhooks.advance(60).await;
        times.push(webhooks.app.clock.now().and_utc().to_rfc3339());
        webhooks.write(1, text).await;
    }
    webhooks.advance(60).await;
    let before = webhooks.receiver.posts();
    assert_eq!(texts(&before, 1), ["one", "two", "three"]);
    let path = format!("/webhooks/{id}/replay");
    let replay = |body: Value| webhooks.app.post(&webhooks.key, &path, body);
    let none = json!({"since": times[0], "until": times[2], "events": ["identity.unfollowed"]});
    assert_eq!(replay(none).await.ok(202)["enqueued"], 0);
    let two = json!({"since": times[0], "until": times[2], "events": ["message.received"]});
    assert_eq!(replay(two).await.ok(202)["enqueued"], 2);
    webhooks.app.drain().await;
    let posts = webhooks.receiver.posts();
    assert_eq!(texts(&posts, 1), ["one", "two", "three", "one", "two"]);
    for at in 0..2 {
        assert_eq!(
            (&posts[at].id, &posts[at].body),
            (&posts[at + 3].id, &posts[at + 3].body)
        );
    }
    for (body, field) in [
        (json!({"since": "yesterday", "until": times[2]}), "since"),
        (json!({"since": times[0], "until": times[0]}), "until"),
        (
            json!({"since": times[0], "until": times[2], "events": ["x"]}),
            "events",
        ),
    ] {
        replay(body).await.refused(422, "invalid_field", field);
    }
    // Found by state and type, page by page; deleted when it was kept long enough.
    let path = format!("/webhooks/{id}/deliveries?limit=2&state=sent&type=message.received");
    let page = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let path = format!(
        "/webhooks/{id}/deliveries?limit=2&cursor={}",
        page["next_cursor"].as_str().unwrap()
    );
    assert_eq!(
        webhooks.app.get(&webhooks.key, &path).await.ok(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        webhooks.app.bridge.run(StepName::Prune).await.unwrap(),
        Step::Idle
    );
    webhooks.app.advance(Duration::from_secs(31 * DAY));
    assert_eq!(
        webhooks.app.bridge.run(StepName::Prune).await.unwrap(),
        Step::Worked
    );
    assert_eq!(webhooks.deliveries(id).await, Vec::<Value>::new());
}

async fn what_is_disabled_by_hand_keeps_what_waited_and_takes_nothing_down(
    webhooks: WebhookFixture,
) {
    let (id, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    webhooks.receiver.answer(500);
    webhooks.write(1, "before").await;
    let disabled = webhooks
        .put(id, &webhooks.receiver.url, &["message.received"], false)
        .await;
    assert_eq!(
        (&disabled["state"], &disabled["waiting"]),
        (&json!("disabled"), &json!(1))
    );
    webhooks.receiver.answer(200);
    webhooks.write(1, "meanwhile").await;
    webhooks.advance(3_600).await;
    assert_eq!(webhooks.receiver.taken().len(), 0);
    webhooks
        .put(id, &webhooks.receiver.url, &["message.received"], true)
        .await;
    webhooks.write(1, "after").await;
    assert_eq!(texts(&webhooks.receiver.taken(), 1), ["before", "after"]);
}

async fn a_turn_ends_by_bytes_too(webhooks: WebhookFixture) {
    webhooks.new_follower(1).await;
    webhooks.listen(&["message.received"]).await;
    for number in 0..7 {
        let text = format!("{number}{}", "x".repeat(900_000));
        webhooks
            .app
            .simulator
            .world()
            .send_text(OA, 1, &text)
            .await
            .unwrap();
    }
    while webhooks.app.bridge.run(StepName::Process).await.unwrap() == Step::Worked {}
    let turn = async || {
        webhooks.app.bridge.run(StepName::Webhooks).await.unwrap();
        webhooks.app.bridge.webhooks.settled().await;
        webhooks.receiver.posts().len()
    };
    assert_eq!((turn().await, turn().await), (4, 7));
    let texts: Vec<String> = texts(&webhooks.receiver.taken(), 1)
        .into_iter()
        .map(|text| text[..1].to_owned())
        .collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6"]);
}
