//! A receipt finds its delivery, whenever and however often it comes.

use std::time::Duration;

use queqiao::simulator::{Arrival, Fault, FaultKind, Receipt, Verdict, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{OA, SEND, Stage};

fn arriving(arrival: Arrival) -> Receipt {
    Receipt {
        arrival,
        ..Receipt::default()
    }
}

both_engines! {
    a_receipt_that_comes_before_the_sends_answer_waits_for_it,
    a_receipt_before_the_answer_in_one_breath,
    a_receipt_that_comes_twice_closes_once,
    a_receipt_of_an_unknown_message_does_no_harm,
    a_failed_receipt_says_why,
}

async fn a_receipt_that_comes_before_the_sends_answer_waits_for_it(stage: Stage) {
    stage.staff("s1", 1).await;
    let world = stage.world();
    world
        .set_receipt(OA, None, arriving(Arrival::BeforeAnswer))
        .unwrap();
    // The message is shown and its receipt pushed, and only then the answer is lost.
    world
        .add_fault(Fault::at(SEND, FaultKind::ResetAfter).times(1))
        .unwrap();
    let path = stage.notify("s1").await;
    let bridge = &stage.app.bridge;
    bridge.deliver_step().await.unwrap();
    bridge.process_step().await.unwrap();
    bridge.receipt_step().await.unwrap();
    let kinds: Vec<_> = stage
        .events()
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds[0], "event.templatesendjobfinish");
    assert_eq!(stage.events().await[0]["state"], "processed");
    assert_eq!(
        stage.delivery(&path).await["state"],
        "queued",
        "the answer is not known yet"
    );
    stage.pass(30, 1).await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    let seen = world.messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(delivery["msgid"], seen[0].msgid.to_string());
    assert_eq!(world.stats().repeats, 1);
}

async fn a_receipt_before_the_answer_in_one_breath(stage: Stage) {
    stage.staff("s1", 1).await;
    stage
        .world()
        .set_receipt(OA, None, arriving(Arrival::BeforeAnswer))
        .unwrap();
    let path = stage.notify("s1").await;
    stage.app.bridge.deliver_step().await.unwrap();
    assert_eq!(
        stage.events().await[0]["kind"],
        "event.templatesendjobfinish",
        "it was there first"
    );
    stage.app.drain().await;
    assert_eq!(stage.delivery(&path).await["state"], "delivered");
}

async fn a_receipt_that_comes_twice_closes_once(stage: Stage) {
    stage.staff("s1", 1).await;
    stage
        .world()
        .set_receipt(OA, None, arriving(Arrival::Lost))
        .unwrap();
    let path = stage.notify("s1").await;
    stage.app.drain().await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(delivery["state"], "sent", "{delivery}");
    let msgid: i64 = delivery["msgid"].as_str().unwrap().parse().unwrap();
    let tell = async |status: &'static str, seconds: i64| {
        let openid = population::openid(OA, 1);
        let now = stage.world().now() / 1000 + seconds;
        let fields = push::event("gh_1", &openid, now, "TEMPLATESENDJOBFINISH");
        let fields = fields.with("MsgID", msgid).with("Status", status);
        let push = stage.world().push(OA, fields.into_owned()).await.unwrap();
        assert_eq!(push.verdict, Verdict::Success);
        stage.app.drain().await;
    };
    tell("success", 0).await;
    let closed = stage.delivery(&path).await;
    assert_eq!(closed["state"], "delivered", "{closed}");
    tell("success", 0).await;
    tell("success", 5).await;
    tell("failed:user block", 6).await;
    assert_eq!(stage.delivery(&path).await, closed, "the first word counts");
}

async fn a_receipt_of_an_unknown_message_does_no_harm(stage: Stage) {
    stage.staff("s1", 1).await;
    let fields = push::event(
        "gh_1",
        "oX",
        stage.world().now() / 1000,
        "TEMPLATESENDJOBFINISH",
    );
    let fields = fields.with("MsgID", 42_i64).with("Status", "success");
    stage.world().push(OA, fields.into_owned()).await.unwrap();
    stage.pass(20, 5).await;
    let path = stage.notify("s1").await;
    stage.app.drain().await;
    stage.pass(5, 1).await;
    let state = stage.delivery(&path).await["state"].clone();
    assert!(
        ["sent", "delivered"].contains(&state.as_str().unwrap()),
        "{state}"
    );
    // Two days later it is not looked at any more.
    stage.app.advance(Duration::from_secs(2 * 86_400));
    stage.app.drain().await;
    assert_eq!(stage.world().messages().len(), 1);
}

async fn a_failed_receipt_says_why(stage: Stage) {
    stage.staff("s1", 1).await;
    let receipt = Receipt {
        status: "failed:user block".to_owned(),
        arrival: Arrival::BeforeAnswer,
    };
    stage.world().set_receipt(OA, None, receipt).unwrap();
    let path = stage.notify("s1").await;
    stage.app.drain().await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("receipt_failed"))
    );
    assert!(
        delivery["detail"].as_str().unwrap().contains("user block"),
        "{delivery}"
    );
    assert_eq!(stage.world().messages().len(), 0);
}
