//! What happens while an endpoint does not take what it is sent.

use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use serde_json::{Value, json};

use super::{OA, WebhookFixture, kinds, texts};
use crate::support::receiver::Receiver;

const DAY: u64 = 86_400;

both_engines! {
    what_fails_is_sent_again_and_each_persons_order_is_kept,
    a_process_with_another_master_key_leaves_endpoints_to_others,
    after_an_outage_everything_arrives_once_and_in_order,
    an_endpoint_that_takes_nothing_for_a_day_is_disabled_and_loses_nothing,
    one_event_that_is_never_taken_is_given_up_and_the_next_one_goes,
    gone_disables_at_once,
    a_slow_endpoint_holds_up_no_other_and_a_lost_turn_is_taken_over,
}

async fn what_fails_is_sent_again_and_each_persons_order_is_kept(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    webhooks.new_follower(2).await;
    // Person 1's first message is refused, everything else is taken.
    webhooks.receiver.script(
        |body| match body["data"]["message"]["content"]["content"] == "bad" {
            true => (500, "try later".to_owned()),
            false => (200, String::new()),
        },
    );
    for text in ["bad", "two", "three"] {
        webhooks.write(1, text).await;
    }
    for text in ["one", "two", "three"] {
        webhooks.write(2, text).await;
    }
    for _ in 0..5 {
        webhooks.advance(60).await;
    }
    let taken = webhooks.receiver.taken();
    assert_eq!(texts(&taken, 1), Vec::<String>::new());
    assert_eq!(texts(&taken, 2), ["one", "two", "three"]);
    let refused = webhooks.deliveries(id).await;
    assert_eq!(refused[0]["state"], "queued");
    assert!(
        refused[0]["attempts"].as_i64().unwrap() > 1,
        "{}",
        refused[0]
    );
    assert_eq!(
        refused[0]["last_answer"],
        json!({"status": 500, "text": "try later"})
    );
    webhooks.receiver.answer(200);
    webhooks.advance(600).await;
    assert_eq!(
        texts(&webhooks.receiver.taken(), 1),
        ["bad", "two", "three"]
    );
}

async fn a_process_with_another_master_key_leaves_endpoints_to_others(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(&["identity.followed"]).await;
    let push = webhooks
        .app
        .simulator
        .world()
        .follow(OA, 1, queqiao::simulator::Origin::search())
        .await
        .unwrap();
    assert!(push.verdict.is_accepted());
    webhooks.app.bridge.run(StepName::Process).await.unwrap();
    webhooks.app.bridge.run(StepName::Profile).await.unwrap();
    let other = webhooks.app.with_another_master_key();
    for _ in 0..3 {
        other.run(StepName::Webhooks).await.unwrap();
        other.webhooks.settled().await;
    }
    let webhook = webhooks.webhook(id).await;
    assert_eq!(
        (&webhook["waiting"], &webhook["failing_since"]),
        (&json!(1), &json!(null)),
        "{webhook}"
    );
    assert!(webhooks.receiver.posts().is_empty());
    // Without a wait for a lease or a rest.
    webhooks.app.bridge.run(StepName::Webhooks).await.unwrap();
    webhooks.app.bridge.webhooks.settled().await;
    assert_eq!(webhooks.receiver.taken().len(), 1);
}

async fn after_an_outage_everything_arrives_once_and_in_order(webhooks: WebhookFixture) {
    let (id, secret) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    webhooks.new_follower(2).await;
    webhooks.receiver.answer(500);
    for text in ["one", "two", "three"] {
        webhooks.write(1, text).await;
        webhooks.write(2, text).await;
    }
    let failing = webhooks.webhook(id).await;
    assert!(failing["failing_since"].is_string(), "{failing}");
    assert_eq!(
        (&failing["waiting"], &failing["enabled"]),
        (&json!(6), &json!(true))
    );
    let tries = webhooks.receiver.posts().len();
    assert_eq!(tries, 1, "an endpoint that fails rests, whatever waits");
    webhooks.receiver.answer(204);
    webhooks.advance(5).await;
    webhooks.advance(60).await;
    let taken = webhooks.receiver.taken();
    assert_eq!(texts(&taken, 1), ["one", "two", "three"]);
    assert_eq!(texts(&taken, 2), ["one", "two", "three"]);
    let again: Vec<_> = webhooks
        .receiver
        .posts()
        .into_iter()
        .filter(|post| post.id == webhooks.receiver.posts()[0].id)
        .collect();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].body, again[1].body);
    assert!(again[1].timestamp > again[0].timestamp);
    assert_eq!(again[1].signed_by(&secret), Some(0));
    let well = webhooks.webhook(id).await;
    assert_eq!(
        (&well["failing_since"], &well["waiting"]),
        (&Value::Null, &json!(0))
    );
}

async fn an_endpoint_that_takes_nothing_for_a_day_is_disabled_and_loses_nothing(
    webhooks: WebhookFixture,
) {
    let (id, _) = webhooks.listen(&["message.received"]).await;
    let watcher = Receiver::start();
    webhooks
        .listen_at(&watcher.url, &["webhook.disabled"])
        .await;
    webhooks.new_follower(1).await;
    webhooks.receiver.answer(503);
    webhooks.write(1, "one").await;
    for _ in 0..30 {
        webhooks.advance(DAY / 24).await;
    }
    let failing = webhooks.webhook(id).await;
    assert_eq!(
        (&failing["enabled"], &failing["state"]),
        (&json!(false), &json!("failing"))
    );
    assert!(
        failing["state_reason"].as_str().unwrap().contains("503"),
        "{failing}"
    );
    let told = watcher.posts();
    assert_eq!(kinds(&told), ["webhook.disabled"]);
    assert_eq!(told[0].json()["data"]["webhook_id"], id);
    assert_eq!(told[0].json()["data"]["host"], "127.0.0.1");
    let tries = webhooks.receiver.posts().len();
    webhooks.write(1, "two").await;
    webhooks.advance(2 * DAY).await;
    assert_eq!(webhooks.receiver.posts().len(), tries, "not tried any more");
    assert_eq!(webhooks.webhook(id).await["waiting"], 2);
    let path = format!("/webhooks/{id}/test");
    let refused = webhooks.app.call("POST", &webhooks.key, &path, None).await;
    refused.refused(409, "webhook_not_enabled", "");
    webhooks.receiver.answer(200);
    let enabled = webhooks
        .put(id, &webhooks.receiver.url, &["message.received"], true)
        .await;
    assert_eq!(
        (&enabled["state"], &enabled["failing_since"]),
        (&json!("enabled"), &Value::Null)
    );
    webhooks.app.drain().await;
    assert_eq!(texts(&webhooks.receiver.taken(), 1), ["one", "two"]);
}

async fn one_event_that_is_never_taken_is_given_up_and_the_next_one_goes(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    webhooks.new_follower(2).await;
    webhooks.receiver.script(
        |body| match body["data"]["message"]["content"]["content"] == "bad" {
            true => (422, "no".to_owned()),
            false => (200, String::new()),
        },
    );
    webhooks.write(1, "bad").await;
    webhooks.write(1, "good").await;
    for hour in 0..27 {
        webhooks.write(2, &format!("{hour}")).await;
        webhooks.advance(3_600).await;
    }
    assert_eq!(texts(&webhooks.receiver.taken(), 1), ["good"]);
    let first = webhooks.deliveries(id).await.swap_remove(0);
    assert_eq!(
        (&first["state"], &first["next_attempt_at"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(webhooks.webhook(id).await["state"], "enabled");
    webhooks.receiver.answer(200);
    let path = format!("/webhooks/{id}/deliveries/{}/retry", first["id"]);
    webhooks
        .app
        .call("POST", &webhooks.key, &path, None)
        .await
        .ok(202);
    webhooks.app.drain().await;
    assert_eq!(texts(&webhooks.receiver.taken(), 1), ["good", "bad"]);
}

async fn gone_disables_at_once(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    webhooks.receiver.answer(410);
    webhooks.write(1, "one").await;
    let gone = webhooks.webhook(id).await;
    assert_eq!(
        (&gone["state"], &gone["waiting"]),
        (&json!("gone"), &json!(1))
    );
    webhooks.write(1, "not taken down").await;
    webhooks.receiver.answer(200);
    webhooks
        .put(id, &webhooks.receiver.url, &["message.received"], true)
        .await;
    webhooks.app.drain().await;
    assert_eq!(texts(&webhooks.receiver.taken(), 1), ["one"]);
}

async fn a_slow_endpoint_holds_up_no_other_and_a_lost_turn_is_taken_over(webhooks: WebhookFixture) {
    let quick = Receiver::start();
    webhooks.listen(&["message.received"]).await;
    webhooks.listen_at(&quick.url, &["message.received"]).await;
    webhooks.new_follower(1).await;
    let world = webhooks.app.simulator.world();
    let held = webhooks.receiver.hold().await;
    for text in ["one", "two"] {
        let count = quick.posts().len() + 1;
        world.send_text(OA, 1, text).await.unwrap();
        webhooks.app.bridge.run(StepName::Process).await.unwrap();
        // Its turn before this one may still be recorded: then nothing is begun for it yet.
        while quick.posts().len() < count {
            webhooks.app.bridge.run(StepName::Webhooks).await.unwrap();
            tokio::task::yield_now().await;
        }
        // Until the quick one's turn is recorded.
        while webhooks.app.bridge.run(StepName::Webhooks).await.unwrap() == Step::Worked {}
    }
    assert_eq!(texts(&webhooks.receiver.posts(), 1), ["one"]);
    // Another process leaves the slow one alone, until the lease has run out.
    let (replica, _server) = webhooks.app.replica();
    assert_eq!(replica.run(StepName::Webhooks).await.unwrap(), Step::Idle);
    webhooks.app.advance(std::time::Duration::from_secs(120));
    assert_eq!(replica.run(StepName::Webhooks).await.unwrap(), Step::Worked);
    webhooks.receiver.wait_for(2).await;
    drop(held);
    replica.webhooks.settled().await;
    webhooks.app.bridge.webhooks.settled().await;
    webhooks.app.drain().await;
    assert_eq!(
        texts(&webhooks.receiver.posts(), 1)
            .first()
            .map(String::as_str),
        Some("one")
    );
    assert_eq!(
        texts(&webhooks.receiver.posts(), 1)
            .last()
            .map(String::as_str),
        Some("two")
    );
    let ids: std::collections::BTreeSet<String> = webhooks
        .receiver
        .posts()
        .into_iter()
        .map(|post| post.id)
        .collect();
    assert_eq!(ids.len(), 2, "what was sent twice has the same id");
}
