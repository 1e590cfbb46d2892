//! What comes later than an erasure was asked for: late pushes, a second batch, people who are back.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::simulator::{Arrival, Fault, FaultKind, Origin, Receipt, Spelling, population};
use serde_json::json;

use super::super::{OA, WebhookFixture, kinds};
use crate::invariants::STABLE_TOKEN;

const SEND: &str = "/cgi-bin/message/template/send";

both_engines! {
    a_push_from_before_brings_nobody_back,
    who_comes_back_is_somebody_new,
    an_erasure_goes_on_where_it_was_interrupted,
    a_message_whose_fate_is_open_is_not_tried_again,
    a_message_that_was_being_tried_ends_for_the_erasure,
    what_is_retried_after_an_erasure_is_sent_to_whom_it_is_for_by_now,
    what_an_endpoint_was_not_told_yet_is_not_told_any_more,
}

async fn a_push_from_before_brings_nobody_back(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    webhooks.listen(&["*"]).await;
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    webhooks.bound("s1", 1).await;
    let held = Receipt {
        arrival: Arrival::Held,
        ..Receipt::default()
    };
    world.set_receipt(OA, None, held).unwrap();
    let notification = webhooks.notify("s1").await;
    let old = world.send_text(OA, 1, "old").await.unwrap();
    webhooks.app.drain().await;
    let identity = webhooks.number(1).await;
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    webhooks.app.drain().await;
    let before = webhooks.receiver.posts().len();
    // WeChat repeats one, sends another late, and tells what became of a message.
    world
        .push_raw(OA, &population::openid(OA, 1), &old.plaintext)
        .await
        .unwrap();
    let late = old
        .plaintext
        .replace("old", "late")
        .replace("<MsgId>", "<MsgId>9");
    world
        .push_raw(OA, &population::openid(OA, 1), &late)
        .await
        .unwrap();
    webhooks.app.advance(Duration::from_secs(5));
    world.release_receipts(OA).await.unwrap();
    world.unfollow(OA, 1).await.unwrap();
    world
        .cancel_wechat(OA, 1, Spelling::Documented)
        .await
        .unwrap();
    webhooks.app.drain().await;
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    let people = webhooks.app.get(&webhooks.key, "/people").await.ok(200);
    assert_eq!(people["items"], json!([]));
    assert_eq!(
        webhooks.counts(notification).await["delivered"],
        1,
        "the receipt counted"
    );
    let later = webhooks.receiver.posts().split_off(before);
    let told: Vec<String> = kinds(&later)
        .into_iter()
        .filter(|kind| !kind.starts_with("delivery."))
        .collect();
    assert_eq!(told, Vec::<String>::new(), "{later:?}");
    assert_eq!(
        webhooks.audit_of_erasures().await.len(),
        1,
        "it was done already"
    );
}

async fn who_comes_back_is_somebody_new(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    webhooks.new_follower(1).await;
    let identity = webhooks.number(1).await;
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    // A follower list does not bring them back.
    let path = format!("/accounts/{OA}/imports");
    webhooks
        .app
        .post(&webhooks.key, &path, json!({}))
        .await
        .ok(202);
    webhooks.app.drain().await;
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    webhooks.app.advance(Duration::from_secs(60));
    world.follow(OA, 1, Origin::default()).await.unwrap();
    world.unfollow(OA, 1).await.unwrap();
    webhooks.app.drain().await;
    let again = webhooks.number(1).await;
    assert!(again > identity, "{again}");
    let person = webhooks
        .app
        .get(&webhooks.key, &format!("/people/{again}"))
        .await
        .ok(200);
    assert_eq!(
        person["identities"][0]["follow_state"], "not_following",
        "{person}"
    );
    webhooks.advance(60).await;
    world.follow(OA, 1, Origin::default()).await.unwrap();
    webhooks.app.drain().await;
    let path = format!("/accounts/{OA}/imports");
    webhooks
        .app
        .post(&webhooks.key, &path, json!({"reconcile": true}))
        .await
        .ok(202);
    webhooks.app.drain().await;
    let person = webhooks
        .app
        .get(&webhooks.key, &format!("/people/{again}"))
        .await
        .ok(200);
    assert_eq!(
        person["identities"][0]["follow_state"], "following",
        "{person}"
    );
    // And is erased once more.
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{again}"))
        .await
        .ok(200);
    webhooks.app.drain().await;
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    let first = webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    let second = webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{again}"))
        .await
        .ok(200);
    assert_ne!(first["id"], second["id"]);
}

async fn an_erasure_goes_on_where_it_was_interrupted(webhooks: WebhookFixture) {
    webhooks.new_follower(1).await;
    let world = webhooks.app.simulator.world();
    for text in 0..30 {
        world
            .send_text(OA, 1, &format!("text {text}"))
            .await
            .unwrap();
    }
    webhooks.app.drain().await;
    world
        .cancel_wechat(OA, 1, Spelling::Documented)
        .await
        .unwrap();
    let bridge = &webhooks.app.bridge;
    bridge.run(StepName::Process).await.unwrap();
    // One batch here, the next in another process, until there is none.
    let (replica, _server) = webhooks.app.replica();
    let mut steps = 0;
    loop {
        let by = if steps % 2 == 0 { bridge } else { &replica };
        if by.run(StepName::Erase).await.unwrap() == Step::Idle {
            break;
        }
        steps += 1;
    }
    assert!(steps > 4, "{steps}");
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    let erasure = webhooks.app.get(&webhooks.key, "/erasures/1").await.ok(200);
    assert_eq!(erasure["erased"]["events"], 31, "{erasure}");
}

async fn a_message_whose_fate_is_open_is_not_tried_again(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    webhooks.bound("s1", 1).await;
    world
        .add_fault(Fault::at(SEND, FaultKind::ResetAfter))
        .unwrap();
    let notification = webhooks.notify("s1").await;
    let identity = webhooks.number(1).await;
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    assert_eq!(
        webhooks.counts(notification).await["queued"],
        1,
        "nobody knows yet"
    );
    // Its next try would be due, and then the second look is.
    webhooks.advance(120).await;
    webhooks.advance(600).await;
    let path = format!("/notifications/{notification}/deliveries");
    let deliveries = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    let delivery = &deliveries["items"][0];
    assert_eq!(
        (&delivery["state"], &delivery["identity_id"]),
        (&json!("unknown"), &json!(null)),
        "{delivery}"
    );
    assert_eq!(
        delivery["attempts"].as_array().unwrap().len(),
        1,
        "{delivery}"
    );
    assert_eq!(webhooks.places(1), Vec::<String>::new());
}

async fn a_message_that_was_being_tried_ends_for_the_erasure(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    webhooks.bound("s1", 1).await;
    let identity = webhooks.number(1).await;
    // It is claimed, and waits for an access token, as the last one is over.
    webhooks.advance(2 * 3_600).await;
    let held = world.hold_next(STABLE_TOKEN).unwrap();
    let before = world.calls(STABLE_TOKEN, None).unwrap();
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let notification = webhooks.post_notification(body).await;
    let bridge = webhooks.app.bridge.clone();
    let step = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    while world.calls(STABLE_TOKEN, None).unwrap() == before {
        tokio::task::yield_now().await;
    }
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    // Long enough for it to be looked at again just before the call.
    webhooks.app.advance(Duration::from_secs(2));
    drop(held);
    step.await.unwrap().unwrap();
    let path = format!("/notifications/{notification}/deliveries");
    let deliveries = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    let delivery = &deliveries["items"][0];
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("cancelled"), &json!("erased")),
        "{delivery}"
    );
    assert_eq!(world.messages().len(), 0);
}

async fn what_is_retried_after_an_erasure_is_sent_to_whom_it_is_for_by_now(
    webhooks: WebhookFixture,
) {
    let world = webhooks.app.simulator.world();
    webhooks.ping().await;
    for (staff_id, person) in [("s1", 1), ("s2", 2)] {
        webhooks.new_follower(person).await;
        webhooks.bound(staff_id, person).await;
    }
    let identity = webhooks.number(1).await;
    world
        .add_fault(Fault::at(SEND, FaultKind::ResetAfter))
        .unwrap();
    let body =
        json!({"message_type": "ping", "staff_ids": ["s1", "s2"], "params": {"title": "hi"}});
    let notification = webhooks.post_notification(body).await;
    webhooks.app.drain().await;
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    world.clear_faults();
    webhooks.advance(120).await;
    webhooks.advance(600).await;
    let path = format!("/notifications/{notification}/deliveries");
    let before = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    let delivery = &before["items"][0];
    assert_eq!(delivery["state"], "unknown", "{delivery}");
    let sent = world.messages().len();
    webhooks.new_follower(3).await;
    let binding = json!({"app_id": OA, "openid": population::openid(OA, 3)});
    webhooks.bind("s1", binding).await;
    let retry = format!("/deliveries/{}/retry", delivery["id"]);
    webhooks
        .app
        .post(&webhooks.key, &retry, json!({"even_if_sent": true}))
        .await
        .ok(202);
    webhooks.app.drain().await;
    let after = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    assert_eq!(after["items"][0]["state"], "delivered", "{after}");
    assert_eq!(world.messages().len(), sent + 1);
}

async fn what_an_endpoint_was_not_told_yet_is_not_told_any_more(webhooks: WebhookFixture) {
    webhooks.receiver.answer(500);
    let (id, _) = webhooks
        .listen(&["message.received", "identity.followed", "push.raw"])
        .await;
    webhooks.new_follower(1).await;
    webhooks.write(1, "hello").await;
    webhooks.new_follower(2).await;
    assert_eq!(webhooks.deliveries(id).await.len(), 6);
    let identity = webhooks.number(1).await;
    let erased = webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    assert_eq!(erased["erased"]["webhook_messages"], 4, "{erased}");
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    assert_eq!(webhooks.deliveries(id).await.len(), 2, "the other person's");
}
