//! What has waited too long just before the call is not sent: WeChat's record is the truth.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::outbox::{OutboxFixture, SEND};
use super::routes::{CHANNELS, MP_SEND, RouteFixture, TEMPLATE_SEND};
use crate::invariants::STABLE_TOKEN;
use crate::support::setup::MP;

/// Waits until a call was made.
async fn called(world: &queqiao::simulator::World, path: &str, before: u64) {
    while world.calls(path, None).unwrap() == before {
        tokio::task::yield_now().await;
    }
}

both_engines! {
    a_frozen_sender_that_goes_on_sends_nothing_a_second_time,
    a_repetition_that_waits_too_long_ends_as_unknown,
    nothing_is_sent_under_a_claim_that_has_run_out,
    what_expires_while_it_waits_is_not_sent,
    a_token_that_is_refused_costs_no_second_message_either,
    a_refusal_after_silence_says_nothing_of_the_first_try,
    whatever_refuses_a_repetition_leaves_the_first_try_open,
}

async fn a_frozen_sender_that_goes_on_sends_nothing_a_second_time(outbox: OutboxFixture) {
    let staff = outbox.crowd(0, 20).await;
    let id = outbox.notify_as("normal", &staff).await;
    // It has claimed all of them, and is frozen while it waits for a token.
    let held = outbox.world().hold_next(STABLE_TOKEN).unwrap();
    let bridge = outbox.bridge.clone();
    let frozen = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    called(outbox.world(), STABLE_TOKEN, 0).await;
    outbox.advance(130);
    let other = outbox.replica();
    while other.run(StepName::Deliver).await.unwrap() == Step::Worked {}
    assert_eq!((outbox.world().messages().len(), outbox.sends()), (20, 20));
    // WeChat has forgotten the ids when it goes on.
    outbox.advance(660);
    drop(held);
    frozen.await.unwrap().unwrap();
    assert_eq!(
        (outbox.world().messages().len(), outbox.sends()),
        (20, 20),
        "nobody sees it twice"
    );
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 20);
    assert_eq!(outbox.sends(), 20);
}

async fn a_repetition_that_waits_too_long_ends_as_unknown(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let now = outbox.clock.now();
    let claim = outbox.claim(now);
    outbox
        .write(move |conn| queqiao::models::delivery::claim_due(conn, &claim))
        .await;
    // A first try is lost; the second one is claimed in time, and its token comes late.
    outbox.advance(500);
    let held = outbox.world().hold_next(STABLE_TOKEN).unwrap();
    let bridge = outbox.bridge.clone();
    let slow = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    called(outbox.world(), STABLE_TOKEN, 0).await;
    outbox.advance(45);
    drop(held);
    slow.await.unwrap().unwrap();
    assert_eq!(outbox.sends(), 0, "WeChat may not know it any more");
    let (delivery, _) = outbox.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Unknown, Some("unsettled"))
    );
}

async fn nothing_is_sent_under_a_claim_that_has_run_out(routes: RouteFixture) {
    for (person, (channel, account, path)) in (1..).zip(CHANNELS) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        if channel != "template" {
            routes.allow(account, person).await;
        }
        routes.channels(&[channel]).await;
        let left = routes.left(&staff).await;
        // The token has run out by then.
        routes.app.advance(Duration::from_secs(7_200));
        let list = routes.notify(&staff).await;
        let world = routes.world();
        let calls = world.calls(path, None).unwrap();
        let tokens = world.calls(STABLE_TOKEN, None).unwrap();
        let held = world.hold_next(STABLE_TOKEN).unwrap();
        let bridge = routes.app.bridge.clone();
        let slow = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        called(world, STABLE_TOKEN, tokens).await;
        routes.app.advance(Duration::from_secs(121));
        drop(held);
        slow.await.unwrap().unwrap();
        assert_eq!(
            (world.calls(path, None).unwrap(), routes.left(&staff).await),
            (calls, left),
            "{channel}"
        );
        let waiting = routes.delivery(&list).await;
        assert_eq!(
            (&waiting["state"], &waiting["sent_at"]),
            (&json!("queued"), &json!(null)),
            "{waiting}"
        );
        routes.pass(4, 1).await;
        let delivery = routes.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], routes.seen(person)),
            (&json!("delivered"), 1),
            "{delivery}"
        );
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
    }
}

async fn what_expires_while_it_waits_is_not_sent(routes: RouteFixture) {
    for (person, (channel, account, path)) in (1..).zip(CHANNELS) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        if channel != "template" {
            routes.allow(account, person).await;
        }
        routes.channels(&[channel]).await;
        let left = routes.left(&staff).await;
        routes.app.advance(Duration::from_secs(7_200));
        let end = routes.app.clock.now() + chrono::TimeDelta::seconds(30);
        let body = json!({"message_type": "ping", "staff_ids": [&staff], "params": {"title": "hi"},
                "expires_at": end.and_utc().to_rfc3339()});
        let accepted = routes
            .app
            .post(&routes.key, "/notifications", body)
            .await
            .ok(202);
        let world = routes.world();
        let calls = world.calls(path, None).unwrap();
        let tokens = world.calls(STABLE_TOKEN, None).unwrap();
        let held = world.hold_next(STABLE_TOKEN).unwrap();
        let bridge = routes.app.bridge.clone();
        let slow = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        called(world, STABLE_TOKEN, tokens).await;
        routes.app.advance(Duration::from_secs(31));
        drop(held);
        slow.await.unwrap().unwrap();
        let list = format!("/notifications/{}/deliveries", accepted["id"]);
        let delivery = routes.delivery(&list).await;
        assert_eq!(delivery["state"], "expired", "{delivery}");
        let found = (
            world.calls(path, None).unwrap(),
            routes.seen(person),
            routes.left(&staff).await,
        );
        assert_eq!(found, (calls, 0, left), "{channel}");
    }
}

async fn a_token_that_is_refused_costs_no_second_message_either(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.channels(&["mp_subscribe"]).await;
    assert_eq!(routes.sent("s1").await["state"], "delivered");
    routes.pass(60, 60).await;
    routes.allow(MP, 1).await;
    let world = routes.world();
    world.invalidate_tokens(MP).unwrap();
    let list = routes.notify("s1").await;
    let (tokens, calls) = (
        world.calls(STABLE_TOKEN, None).unwrap(),
        world.calls(MP_SEND, None).unwrap(),
    );
    let held = world.hold_next(STABLE_TOKEN).unwrap();
    let bridge = routes.app.bridge.clone();
    let slow = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    called(world, STABLE_TOKEN, tokens).await;
    routes.app.advance(Duration::from_secs(121));
    drop(held);
    slow.await.unwrap().unwrap();
    assert_eq!(
        world.calls(MP_SEND, None).unwrap() - calls,
        1,
        "only the one that was refused"
    );
    routes.pass(4, 1).await;
    let delivery = routes.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], routes.seen(1)),
        (&json!("delivered"), 2),
        "{delivery}"
    );
}

async fn a_refusal_after_silence_says_nothing_of_the_first_try(routes: RouteFixture) {
    let (impatient, _server) = routes.impatient();
    let mut person = 0;
    for id_before_person in [false, true] {
        routes
            .world()
            .change_account(crate::support::setup::OA, |own| {
                own.id_before_person = id_before_person;
            })
            .unwrap();
        for (kind, shown) in [(FaultKind::TimeOutAfter, 1), (FaultKind::TimeOutBefore, 0)] {
            person += 1;
            let staff = format!("s{person}");
            routes.member(&staff, person).await;
            routes.channels(&["template"]).await;
            let world = routes.world();
            world
                .add_fault(Fault::at(TEMPLATE_SEND, kind).times(1))
                .unwrap();
            let list = routes.notify(&staff).await;
            routes.app.drain_by(&impatient).await;
            // They leave, and nothing of that is heard.
            world
                .remove_followers(crate::support::setup::OA, person..person + 1)
                .unwrap();
            routes.pass(30, 5).await;
            let delivery = routes.delivery(&list).await;
            let which = format!("{kind:?}, id first: {id_before_person}: {delivery}");
            match (shown, id_before_person) {
                // WeChat knows it again, and its receipt counts.
                (1, true) => assert_eq!(delivery["state"], "delivered", "{which}"),
                _ => assert_eq!(
                    (&delivery["state"], &delivery["reason"]),
                    (&json!("unknown"), &json!("not_following")),
                    "{which}"
                ),
            }
            assert_eq!(routes.seen(person), shown, "{which}");
            // They come back: nothing is shown twice unless that is wanted.
            world
                .add_followers(
                    crate::support::setup::OA,
                    person..person + 1,
                    &queqiao::simulator::Origin::search(),
                )
                .unwrap();
            let retry = format!("/deliveries/{}/retry", delivery["id"]);
            routes
                .app
                .post(&routes.key, &retry, json!({}))
                .await
                .refused(409, "not_retryable", "");
            routes.pass(30, 5).await;
            assert_eq!(routes.seen(person), shown, "{which}");
        }
    }
}

async fn whatever_refuses_a_repetition_leaves_the_first_try_open(routes: RouteFixture) {
    let (impatient, _server) = routes.impatient();
    for (person, errcode) in (1..).zip([43004, 43019, 43101, 40003, 40037, 47003]) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        routes.channels(&["template"]).await;
        let world = routes.world();
        world
            .add_fault(Fault::at(TEMPLATE_SEND, FaultKind::TimeOutAfter).times(1))
            .unwrap();
        let list = routes.notify(&staff).await;
        routes.app.drain_by(&impatient).await;
        routes.refuse(SEND, errcode);
        routes.pass(30, 5).await;
        let delivery = routes.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], routes.seen(person)),
            (&json!("unknown"), 1),
            "{errcode}: {delivery}"
        );
        assert_eq!(delivery["attempts"][1]["errcode"], errcode, "{delivery}");
    }
}
