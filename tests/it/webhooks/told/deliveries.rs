//! What is told of deliveries, and of an account that can deliver none.

use queqiao::simulator::{Arrival, Fault, FaultKind, Receipt, population};
use serde_json::{Value, json};

use super::super::{OA, WebhookFixture, kinds};

const SEND: &str = "/cgi-bin/message/template/send";

both_engines! {
    deliveries_are_told_to_their_end,
    deliveries_to_people_who_are_not_staff_are_told_too,
    an_account_that_wechat_refuses_is_told_once,
}

async fn deliveries_are_told_to_their_end(webhooks: WebhookFixture) {
    webhooks
        .listen(&["delivery.sent", "delivery.delivered", "delivery.failed"])
        .await;
    let world = webhooks.app.simulator.world();
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    webhooks.bound("s1", 1).await;
    let receipt = |status: &str, arrival| Receipt {
        status: status.to_owned(),
        arrival,
    };
    world
        .set_receipt(OA, None, receipt("success", Arrival::BeforeAnswer))
        .unwrap();
    let first = webhooks.notify("s1").await;
    world
        .set_receipt(
            OA,
            None,
            receipt("failed:user block", Arrival::BeforeAnswer),
        )
        .unwrap();
    webhooks.notify("s1").await;
    world
        .set_receipt(OA, None, receipt("success", Arrival::Lost))
        .unwrap();
    webhooks.notify("s1").await;
    webhooks.advance(3_700).await;
    world
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: 43004 }))
        .unwrap();
    webhooks.notify("s1").await;
    let posts = webhooks.receiver.posts();
    assert_eq!(
        kinds(&posts),
        [
            "delivery.sent",
            "delivery.delivered",
            "delivery.sent",
            "delivery.failed",
            "delivery.sent",
            "delivery.failed",
            "delivery.failed"
        ]
    );
    let told: Vec<Value> = posts
        .iter()
        .map(|post| post.json()["data"].clone())
        .collect();
    let states: Vec<&str> = told
        .iter()
        .map(|data| data["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "sent",
            "delivered",
            "sent",
            "failed",
            "sent",
            "no_receipt",
            "failed"
        ]
    );
    for data in &told {
        assert_eq!(
            (&data["staff_id"], &data["message_type"]),
            (&json!("s1"), &json!("ping"))
        );
        assert_eq!(data["unionid"], population::unionid(1), "{data}");
    }
    assert_eq!(told[0]["notification_id"], first);
    assert!(told[0]["msgid"].is_string(), "{}", told[0]);
    assert_eq!(told[3]["reason"], "receipt_failed");
    assert!(
        told[6]["detail"].as_str().unwrap().contains("43004"),
        "{}",
        told[6]
    );
}

async fn deliveries_to_people_who_are_not_staff_are_told_too(webhooks: WebhookFixture) {
    webhooks
        .listen(&["delivery.sent", "delivery.delivered", "delivery.failed"])
        .await;
    let world = webhooks.app.simulator.world();
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    let whom = json!({"app_id": OA, "openid": population::openid(OA, 1)});
    for (status, arrival) in [
        ("success", Arrival::BeforeAnswer),
        ("success", Arrival::Lost),
    ] {
        world
            .set_receipt(
                OA,
                None,
                Receipt {
                    status: status.to_owned(),
                    arrival,
                },
            )
            .unwrap();
        let body = json!({"message_type": "ping", "people": [whom], "params": {"title": "hi"}});
        webhooks
            .app
            .post(&webhooks.key, "/notifications", body)
            .await
            .ok(202);
        webhooks.app.drain().await;
    }
    webhooks.advance(3_700).await;
    let posts = webhooks.receiver.posts();
    assert_eq!(
        kinds(&posts),
        [
            "delivery.sent",
            "delivery.delivered",
            "delivery.sent",
            "delivery.failed"
        ]
    );
    for post in &posts {
        let data = &post.json()["data"];
        assert_eq!(
            (&data["staff_id"], &data["recipient"]),
            (&Value::Null, &whom),
            "{data}"
        );
    }
    assert_eq!(posts[3].json()["data"]["state"], "no_receipt");
}

async fn an_account_that_wechat_refuses_is_told_once(webhooks: WebhookFixture) {
    webhooks
        .listen(&["account.alert", "identity.unfollowed"])
        .await;
    webhooks.ping().await;
    webhooks.new_follower(1).await;
    webhooks.bound("s1", 1).await;
    let world = webhooks.app.simulator.world();
    world
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    for _ in 0..3 {
        webhooks.notify("s1").await;
        webhooks.advance(120).await;
    }
    let posts = webhooks.receiver.posts();
    assert_eq!(kinds(&posts), ["account.alert"]);
    let data = posts[0].json()["data"].clone();
    assert_eq!(
        (&data["app_id"], &data["errcode"]),
        (&json!(OA), &json!(48001))
    );
    assert!(
        data["problem"].as_str().unwrap().contains("48001"),
        "{data}"
    );
    world.clear_faults();
    // They leave, and no event says so.
    world.remove_followers(OA, 1..2).unwrap();
    webhooks.advance(700).await;
    let posts = webhooks.receiver.posts();
    assert_eq!(kinds(&posts), ["account.alert", "identity.unfollowed"]);
    assert_eq!(posts[1].json()["data"]["staff_id"], "s1");
}
