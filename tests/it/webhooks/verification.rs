//! What WeChat says of the verification of an account: an alert, and nobody.

use queqiao::simulator::{PLATFORM, VerificationPush};
use serde_json::{Value, json};

use super::{MP, OA, WebhookFixture, kinds};

fn news(event: &str) -> VerificationPush {
    VerificationPush {
        event: event.to_owned(),
        ..VerificationPush::default()
    }
}

both_engines! {
    what_has_to_be_acted_upon_is_an_alert_and_success_is_not,
    an_alert_that_is_processed_once_more_is_told_under_the_same_id,
    no_system_account_becomes_a_person,
}

async fn what_has_to_be_acted_upon_is_an_alert_and_success_is_not(webhooks: WebhookFixture) {
    webhooks.listen(&["account.alert"]).await;
    let world = webhooks.app.simulator.world();
    let until = |event: &str| VerificationPush {
        expired_time: Some(1_767_225_600),
        ..news(event)
    };
    let failed = |event: &str| VerificationPush {
        fail_time: Some(1_767_225_600),
        fail_reason: Some("资料不全".to_owned()),
        ..news(event)
    };
    for (app_id, told) in [
        (OA, until("qualification_verify_success")),
        (OA, until("naming_verify_success")),
        (OA, until("annual_renew")),
        (OA, until("VERIFY_EXPIRED")),
        (MP, failed("qualification_verify_fail")),
        (OA, failed("naming_verify_fail")),
        (OA, news("verify_expired")),
    ] {
        let push = world.push_verification(app_id, &told).await.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
        webhooks.app.drain().await;
    }
    let posts = webhooks.receiver.posts();
    assert_eq!(kinds(&posts), ["account.alert"; 5]);
    let told: Vec<Value> = posts
        .iter()
        .map(|post| post.json()["data"].clone())
        .collect();
    let of = |name: &str| -> Vec<&Value> { told.iter().map(|data| &data[name]).collect() };
    assert_eq!(
        of("event"),
        [
            "annual_renew",
            "verify_expired",
            "qualification_verify_fail",
            "naming_verify_fail",
            "verify_expired"
        ]
    );
    assert_eq!(of("app_id"), [OA, OA, MP, OA, OA]);
    assert_eq!(told[0]["expires_at"], "2026-01-01T00:00:00Z");
    assert_eq!(told[2]["failed_at"], "2026-01-01T00:00:00Z");
    assert_eq!(told[2]["fail_reason"], "资料不全");
    assert!(
        told[2]["problem"].as_str().unwrap().contains("资料不全"),
        "{}",
        told[2]
    );
    assert!(
        told[1]["problem"].as_str().unwrap().contains("48001"),
        "{}",
        told[1]
    );
    assert_eq!(
        (&told[4]["expires_at"], &told[4]["call"]),
        (&json!(null), &json!(null))
    );
}

async fn an_alert_that_is_processed_once_more_is_told_under_the_same_id(webhooks: WebhookFixture) {
    webhooks.listen(&["account.alert"]).await;
    let world = webhooks.app.simulator.world();
    world
        .push_verification(OA, &news("annual_renew"))
        .await
        .unwrap();
    webhooks.app.drain().await;
    let events = webhooks
        .app
        .get(&webhooks.key, "/events?kind=event.annual_renew")
        .await
        .ok(200);
    let event = &events["items"][0];
    assert_eq!(
        (&event["openid"], &event["identity_id"]),
        (&json!(null), &json!(null))
    );
    let path = format!("/events/{}/replay", event["id"]);
    webhooks
        .app
        .call("POST", &webhooks.key, &path, None)
        .await
        .ok(202);
    webhooks.app.drain().await;
    let posts = webhooks.receiver.posts();
    assert_eq!((posts.len(), &posts[0].id), (2, &posts[1].id));
}

async fn no_system_account_becomes_a_person(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    for event in [
        "qualification_verify_success",
        "annual_renew",
        "verify_expired",
    ] {
        world.push_verification(OA, &news(event)).await.unwrap();
    }
    let push = |sender: &str, rest: &str| {
        format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName><![CDATA[{sender}]]></FromUserName>\
             <CreateTime>1767225611</CreateTime><MsgType>event</MsgType>{rest}</xml>"
        )
    };
    for (sender, rest) in [
        (
            "mphelper",
            "<Event>MASSSENDJOBFINISH</Event><MsgID>1</MsgID><Status>send success</Status>",
        ),
        (
            PLATFORM,
            "<Event>MASSSENDJOBFINISH</Event><MsgID>2</MsgID><Status>send fail</Status>",
        ),
        (
            PLATFORM,
            "<Event>user_authorization_revoke</Event><RevokeInfo>8</RevokeInfo>",
        ),
        (PLATFORM, "<Event>weapp_audit_success</Event>"),
        ("gh_0a1b2c3d4e5f", "<Event>something_new</Event>"),
        // Broken, so that it is only salvaged.
        (
            PLATFORM,
            "<Event>verify_expired</Event><FailReason>]]></FailReason>",
        ),
        (
            "mphelper",
            "<Event>MASSSENDJOBFINISH</Event><Status>]]></Status>",
        ),
    ] {
        let body = push(sender, rest);
        world.push_raw(OA, sender, &body).await.unwrap();
    }
    webhooks.app.drain().await;
    let people = webhooks.app.get(&webhooks.key, "/people").await.ok(200);
    assert_eq!(people["items"], json!([]));
    let events = webhooks.app.get(&webhooks.key, "/events").await.ok(200);
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 10);
    assert!(
        events.iter().all(|event| event["openid"].is_null()),
        "{events:?}"
    );
}
