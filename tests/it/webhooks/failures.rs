//! What happens while an endpoint does not take what it is sent.

use queqiao::bridge::Step;
use serde_json::{Value, json};

use super::{OA, Shop, kinds, texts};
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

async fn what_fails_is_sent_again_and_each_persons_order_is_kept(shop: Shop) {
    let (id, _) = shop.listen(&["message.received"]).await;
    shop.follow(1).await;
    shop.follow(2).await;
    // Person 1's first message is refused, everything else is taken.
    shop.receiver.script(
        |body| match body["data"]["message"]["content"]["content"] == "bad" {
            true => (500, "try later".to_owned()),
            false => (200, String::new()),
        },
    );
    for text in ["bad", "two", "three"] {
        shop.write(1, text).await;
    }
    for text in ["one", "two", "three"] {
        shop.write(2, text).await;
    }
    for _ in 0..5 {
        shop.advance(60).await;
    }
    let taken = shop.receiver.taken();
    assert_eq!(texts(&taken, 1), Vec::<String>::new());
    assert_eq!(texts(&taken, 2), ["one", "two", "three"]);
    let refused = shop.deliveries(id).await;
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
    shop.receiver.answer(200);
    shop.advance(600).await;
    assert_eq!(texts(&shop.receiver.taken(), 1), ["bad", "two", "three"]);
}

async fn a_process_with_another_master_key_leaves_endpoints_to_others(shop: Shop) {
    let (id, _) = shop.listen(&["identity.followed"]).await;
    let push = shop
        .app
        .simulator
        .world()
        .follow(OA, 1, queqiao::simulator::Origin::search())
        .await
        .unwrap();
    assert!(push.verdict.is_accepted());
    shop.app.bridge.process_step().await.unwrap();
    shop.app.bridge.profile_step().await.unwrap();
    let other = shop.app.with_another_master_key();
    for _ in 0..3 {
        other.webhook_step().await.unwrap();
        other.webhooks_settled().await;
    }
    let webhook = shop.webhook(id).await;
    assert_eq!(
        (&webhook["waiting"], &webhook["failing_since"]),
        (&json!(1), &json!(null)),
        "{webhook}"
    );
    assert!(shop.receiver.posts().is_empty());
    // Without a wait for a lease or a rest.
    shop.app.bridge.webhook_step().await.unwrap();
    shop.app.bridge.webhooks_settled().await;
    assert_eq!(shop.receiver.taken().len(), 1);
}

async fn after_an_outage_everything_arrives_once_and_in_order(shop: Shop) {
    let (id, secret) = shop.listen(&["message.received"]).await;
    shop.follow(1).await;
    shop.follow(2).await;
    shop.receiver.answer(500);
    for text in ["one", "two", "three"] {
        shop.write(1, text).await;
        shop.write(2, text).await;
    }
    let failing = shop.webhook(id).await;
    assert!(failing["failing_since"].is_string(), "{failing}");
    assert_eq!(
        (&failing["waiting"], &failing["enabled"]),
        (&json!(6), &json!(true))
    );
    let tries = shop.receiver.posts().len();
    assert_eq!(tries, 1, "an endpoint that fails rests, whatever waits");
    shop.receiver.answer(204);
    shop.advance(5).await;
    shop.advance(60).await;
    let taken = shop.receiver.taken();
    assert_eq!(texts(&taken, 1), ["one", "two", "three"]);
    assert_eq!(texts(&taken, 2), ["one", "two", "three"]);
    let again: Vec<_> = shop
        .receiver
        .posts()
        .into_iter()
        .filter(|post| post.id == shop.receiver.posts()[0].id)
        .collect();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].body, again[1].body);
    assert!(again[1].timestamp > again[0].timestamp);
    assert_eq!(again[1].signed_by(&secret), Some(0));
    let well = shop.webhook(id).await;
    assert_eq!(
        (&well["failing_since"], &well["waiting"]),
        (&Value::Null, &json!(0))
    );
}

async fn an_endpoint_that_takes_nothing_for_a_day_is_disabled_and_loses_nothing(shop: Shop) {
    let (id, _) = shop.listen(&["message.received"]).await;
    let watcher = Receiver::start();
    shop.listen_at(&watcher.url, &["webhook.disabled"]).await;
    shop.follow(1).await;
    shop.receiver.answer(503);
    shop.write(1, "one").await;
    for _ in 0..30 {
        shop.advance(DAY / 24).await;
    }
    let failing = shop.webhook(id).await;
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
    let tries = shop.receiver.posts().len();
    shop.write(1, "two").await;
    shop.advance(2 * DAY).await;
    assert_eq!(shop.receiver.posts().len(), tries, "not tried any more");
    assert_eq!(shop.webhook(id).await["waiting"], 2);
    let path = format!("/webhooks/{id}/test");
    let refused = shop.app.call("POST", &shop.key, &path, None).await;
    refused.refused(409, "webhook_not_enabled", "");
    shop.receiver.answer(200);
    let enabled = shop
        .put(id, &shop.receiver.url, &["message.received"], true)
        .await;
    assert_eq!(
        (&enabled["state"], &enabled["failing_since"]),
        (&json!("enabled"), &Value::Null)
    );
    shop.app.drain().await;
    assert_eq!(texts(&shop.receiver.taken(), 1), ["one", "two"]);
}

async fn one_event_that_is_never_taken_is_given_up_and_the_next_one_goes(shop: Shop) {
    let (id, _) = shop.listen(&["message.received"]).await;
    shop.follow(1).await;
    shop.follow(2).await;
    shop.receiver.script(
        |body| match body["data"]["message"]["content"]["content"] == "bad" {
            true => (422, "no".to_owned()),
            false => (200, String::new()),
        },
    );
    shop.write(1, "bad").await;
    shop.write(1, "good").await;
    for hour in 0..27 {
        shop.write(2, &format!("{hour}")).await;
        shop.advance(3_600).await;
    }
    assert_eq!(texts(&shop.receiver.taken(), 1), ["good"]);
    let first = shop.deliveries(id).await.swap_remove(0);
    assert_eq!(
        (&first["state"], &first["next_attempt_at"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(shop.webhook(id).await["state"], "enabled");
    shop.receiver.answer(200);
    let path = format!("/webhooks/{id}/deliveries/{}/retry", first["id"]);
    shop.app.call("POST", &shop.key, &path, None).await.ok(202);
    shop.app.drain().await;
    assert_eq!(texts(&shop.receiver.taken(), 1), ["good", "bad"]);
}

async fn gone_disables_at_once(shop: Shop) {
    let (id, _) = shop.listen(&["message.received"]).await;
    shop.follow(1).await;
    shop.receiver.answer(410);
    shop.write(1, "one").await;
    let gone = shop.webhook(id).await;
    assert_eq!(
        (&gone["state"], &gone["waiting"]),
        (&json!("gone"), &json!(1))
    );
    shop.write(1, "not taken down").await;
    shop.receiver.answer(200);
    shop.put(id, &shop.receiver.url, &["message.received"], true)
        .await;
    shop.app.drain().await;
    assert_eq!(texts(&shop.receiver.taken(), 1), ["one"]);
}

async fn a_slow_endpoint_holds_up_no_other_and_a_lost_turn_is_taken_over(shop: Shop) {
    let quick = Receiver::start();
    shop.listen(&["message.received"]).await;
    shop.listen_at(&quick.url, &["message.received"]).await;
    shop.follow(1).await;
    let world = shop.app.simulator.world();
    let held = shop.receiver.hold().await;
    for text in ["one", "two"] {
        let count = quick.posts().len() + 1;
        world.send_text(OA, 1, text).await.unwrap();
        shop.app.bridge.process_step().await.unwrap();
        shop.app.bridge.webhook_step().await.unwrap();
        quick.wait_for(count).await;
        // Until the quick one's turn is recorded.
        while shop.app.bridge.webhook_step().await.unwrap() == Step::Worked {}
    }
    assert_eq!(texts(&shop.receiver.posts(), 1), ["one"]);
    // Another process leaves the slow one alone, until the lease has run out.
    let (replica, _server) = shop.app.replica();
    assert_eq!(replica.webhook_step().await.unwrap(), Step::Idle);
    shop.app.advance(std::time::Duration::from_secs(120));
    assert_eq!(replica.webhook_step().await.unwrap(), Step::Worked);
    shop.receiver.wait_for(2).await;
    drop(held);
    replica.webhooks_settled().await;
    shop.app.bridge.webhooks_settled().await;
    shop.app.drain().await;
    assert_eq!(
        texts(&shop.receiver.posts(), 1).first().map(String::as_str),
        Some("one")
    );
    assert_eq!(
        texts(&shop.receiver.posts(), 1).last().map(String::as_str),
        Some("two")
    );
    let ids: std::collections::BTreeSet<String> = shop
        .receiver
        .posts()
        .into_iter()
        .map(|post| post.id)
        .collect();
    assert_eq!(ids.len(), 2, "what was sent twice has the same id");
}
