//! A receipt finds its delivery, whenever and however often it comes.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{Arrival, Fault, FaultKind, PushOutcome, Receipt, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{OA, SEND, TestProject};

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

async fn a_receipt_that_comes_before_the_sends_answer_waits_for_it(project: TestProject) {
    project.reachable("s1", 1).await;
    let world = project.world();
    world
        .set_receipt(OA, None, arriving(Arrival::BeforeAnswer))
        .unwrap();
    // The message is shown and its receipt pushed, and only then the answer is lost.
    world
        .add_fault(Fault::at(SEND, FaultKind::ResetAfter).times(1))
        .unwrap();
    let path = project.notify("s1").await;
    let bridge = &project.app.bridge;
    bridge.run(StepName::Deliver).await.unwrap();
    bridge.run(StepName::Process).await.unwrap();
    bridge.run(StepName::Receipts).await.unwrap();
    let kinds: Vec<_> = project
        .events()
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds[0], "event.templatesendjobfinish");
    assert_eq!(project.events().await[0]["state"], "processed");
    assert_eq!(
        project.delivery(&path).await["state"],
        "queued",
        "the answer is not known yet"
    );
    project.pass(30, 1).await;
    let delivery = project.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    let seen = world.messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(delivery["msgid"], seen[0].msgid.to_string());
    assert_eq!(world.stats().repeats, 1);
}

async fn a_receipt_before_the_answer_in_one_breath(project: TestProject) {
    project.reachable("s1", 1).await;
    project
        .world()
        .set_receipt(OA, None, arriving(Arrival::BeforeAnswer))
        .unwrap();
    let path = project.notify("s1").await;
    project.app.bridge.run(StepName::Deliver).await.unwrap();
    assert_eq!(
        project.events().await[0]["kind"],
        "event.templatesendjobfinish",
        "it was there first"
    );
    project.app.drain().await;
    assert_eq!(project.delivery(&path).await["state"], "delivered");
}

async fn a_receipt_that_comes_twice_closes_once(project: TestProject) {
    project.reachable("s1", 1).await;
    project
        .world()
        .set_receipt(OA, None, arriving(Arrival::Lost))
        .unwrap();
    let path = project.notify("s1").await;
    project.app.drain().await;
    let delivery = project.delivery(&path).await;
    assert_eq!(delivery["state"], "sent", "{delivery}");
    let msgid: i64 = delivery["msgid"].as_str().unwrap().parse().unwrap();
    let tell = async |status: &'static str, seconds: i64| {
        let openid = population::openid(OA, 1);
        let now = project.world().now() / 1000 + seconds;
        let fields = push::event("gh_1", &openid, now, "TEMPLATESENDJOBFINISH");
        let fields = fields.with("MsgID", msgid).with("Status", status);
        let push = project.world().push(OA, fields.into_owned()).await.unwrap();
        assert_eq!(push.verdict, PushOutcome::Success);
        project.app.drain().await;
    };
    tell("success", 0).await;
    let closed = project.delivery(&path).await;
    assert_eq!(closed["state"], "delivered", "{closed}");
    tell("success", 0).await;
    tell("success", 5).await;
    tell("failed:user block", 6).await;
    assert_eq!(
        project.delivery(&path).await,
        closed,
        "the first word counts"
    );
}

async fn a_receipt_of_an_unknown_message_does_no_harm(project: TestProject) {
    project.reachable("s1", 1).await;
    let fields = push::event(
        "gh_1",
        "oX",
        project.world().now() / 1000,
        "TEMPLATESENDJOBFINISH",
    );
    let fields = fields.with("MsgID", 42_i64).with("Status", "success");
    project.world().push(OA, fields.into_owned()).await.unwrap();
    project.pass(20, 5).await;
    let path = project.notify("s1").await;
    project.app.drain().await;
    project.pass(5, 1).await;
    let state = project.delivery(&path).await["state"].clone();
    assert!(
        ["sent", "delivered"].contains(&state.as_str().unwrap()),
        "{state}"
    );
    // Two days later it is not looked at any more.
    project.app.advance(Duration::from_secs(2 * 86_400));
    project.app.drain().await;
    assert_eq!(project.world().messages().len(), 1);
}

async fn a_failed_receipt_says_why(project: TestProject) {
    project.reachable("s1", 1).await;
    let receipt = Receipt {
        status: "failed:user block".to_owned(),
        arrival: Arrival::BeforeAnswer,
    };
    project.world().set_receipt(OA, None, receipt).unwrap();
    let path = project.notify("s1").await;
    project.app.drain().await;
    let delivery = project.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("receipt_failed"))
    );
    assert!(
        delivery["detail"].as_str().unwrap().contains("user block"),
        "{delivery}"
    );
    assert_eq!(project.world().messages().len(), 0);
}
