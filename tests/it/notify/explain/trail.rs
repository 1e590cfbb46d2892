//! What is said of the last messages, and of what to do about them.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{Arrival, Fault, FaultKind, Receipt};
use serde_json::{Value, json};

use super::{says, steps};
use crate::notify::routes::{MP_SEND, RouteFixture, TEMPLATE_SEND};
use crate::support::api::by_unionid;
use crate::support::setup::{MP, OA};

fn last(story: &Value) -> &Value {
    &story["deliveries"][0]
}

both_engines! {
    a_refusal_is_translated_and_answered,
    a_permission_that_wechat_does_not_know_of_is_asked_for,
    a_quota_is_waited_for,
    what_nobody_knows_is_asked_of_the_person,
    a_receipt_that_does_not_come_is_looked_for,
    what_was_unreachable_can_be_sent_once_it_is_not,
    an_error_of_before_is_no_cause,
    no_retry_is_advised_that_would_be_refused,
    the_last_ten_are_told_newest_first,
}

async fn a_refusal_is_translated_and_answered(routes: RouteFixture) {
    for (person, (errcode, reason, words)) in (1..).zip([
        (
            43004,
            "not_following",
            vec!["Ask them to follow account", OA],
        ),
        (43019, "blocked", vec!["failed with 43019"]),
        (
            47003,
            "refused_content",
            vec![
                "Fix the message of delivery",
                "47003",
                "ask for another notification",
            ],
        ),
        (
            40037,
            "template_unknown",
            vec!["Fix message type ping (PUT /message-types/ping)", "40037"],
        ),
    ]) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        // Whoever is refused in the minutes after their follow may follow all the same.
        routes.app.advance(Duration::from_secs(700));
        match errcode {
            43004 => routes
                .world()
                .remove_followers(OA, person..person + 1)
                .unwrap(),
            _ => routes.refuse(TEMPLATE_SEND, errcode),
        }
        routes.sent(&staff).await;
        let story = routes.explain(&staff).await;
        let last = last(&story);
        assert_eq!(
            (&last["state"], &last["reason"]),
            (&json!("failed"), &json!(reason))
        );
        let error = &last["error"];
        assert_eq!(error["errcode"], errcode);
        for member in ["meaning", "what_to_do"] {
            assert!(error[member].as_str().unwrap().ends_with('.'), "{error}");
        }
        assert_eq!(last["routes"][0]["verdict"], reason);
        says(&story, &words);
        let retry = format!("/deliveries/{}/retry", last["id"]);
        let is_retried = steps(&story).iter().any(|step| step.contains(&retry));
        let of_the_message = steps(&story)
            .iter()
            .any(|step| step.starts_with("Fix the message"));
        assert_ne!(is_retried, of_the_message, "{:#}", story["next_steps"]);
    }
}

async fn a_permission_that_wechat_does_not_know_of_is_asked_for(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    routes.believe(1).await;
    assert_eq!(routes.sent("s1").await["reason"], "refused_by_person");
    let story = routes.explain("s1").await;
    assert_eq!(last(&story)["error"]["errcode"], 43101);
    let steps = steps(&story);
    assert!(
        steps[0].starts_with("Ask for consent") && steps[0].ends_with("again: 0 left."),
        "{steps:?}"
    );
    assert!(
        steps
            .last()
            .unwrap()
            .starts_with("Then send delivery 1 (ping) once more"),
        "{steps:?}"
    );
}

async fn a_quota_is_waited_for(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.refuse(TEMPLATE_SEND, 45009);
    routes.notify("s1").await;
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    let story = routes.explain("s1").await;
    assert_eq!(
        (&last(&story)["state"], &last(&story)["reason"]),
        (&json!("queued"), &json!("quota_used_up"))
    );
    assert_eq!(last(&story)["error"]["errcode"], 45009);
    assert!(last(&story)["next_attempt_at"].is_string());
    says(
        &story,
        &[
            "Wait: delivery 1 (ping) is tried again by itself at",
            "45009",
        ],
    );
    says(
        &story,
        &[
            "Wait: account",
            OA,
            "sends nothing by template/send until",
            "16:00:00 UTC",
            "45009",
        ],
    );
}

async fn what_nobody_knows_is_asked_of_the_person(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    routes.allow(MP, 1).await;
    routes.allow(MP, 1).await;
    routes
        .world()
        .add_fault(Fault::at(MP_SEND, FaultKind::HttpError { status: 502 }).times(1))
        .unwrap();
    assert_eq!(routes.sent("s1").await["state"], "unknown");
    let story = routes.explain("s1").await;
    says(
        &story,
        &[
            "Ask them whether they saw delivery 1 (ping)",
            "POST /deliveries/1/retry",
            "even_if_sent",
        ],
    );
}

async fn a_receipt_that_does_not_come_is_looked_for(routes: RouteFixture) {
    let lost = Receipt {
        arrival: Arrival::Lost,
        ..Receipt::default()
    };
    routes.world().set_receipt(OA, None, lost).unwrap();
    routes.member("s1", 1).await;
    routes.sent("s1").await;
    says(
        &routes.explain("s1").await,
        &["Wait: WeChat accepted delivery 1 (ping)", "receipt"],
    );
    routes.pass(3_600, 3_600).await;
    let story = routes.explain("s1").await;
    assert_eq!(last(&story)["state"], "no_receipt");
    says(
        &story,
        &[
            "Check that WeChat's events of account",
            OA,
            "reach the callback address",
        ],
    );
    says(&story, &["POST /deliveries/1/retry", "even_if_sent"]);
}

async fn what_was_unreachable_can_be_sent_once_it_is_not(routes: RouteFixture) {
    let (app, key) = (&routes.app, &routes.key);
    app.put(key, "/staff/s0", json!({})).await.ok(201);
    routes.channels(&["template"]).await;
    let body = json!({"message_type": "ping", "staff_ids": ["s0"], "params": {"title": "hi"}});
    app.post(key, "/notifications", body).await.ok(202);
    let story = routes.explain("s0").await;
    assert_eq!(last(&story)["routes"], json!([]), "{story}");
    assert!(
        steps(&story)[1].starts_with("Then send delivery 1 (ping) once more"),
        "{story}"
    );
    routes.follows(1).await;
    app.drain().await;
    routes.bind("s0", by_unionid(1)).await;
    let story = routes.explain("s0").await;
    assert_eq!(
        steps(&story),
        ["Send delivery 1 (ping) once more: POST /deliveries/1/retry."]
    );
}

async fn an_error_of_before_is_no_cause(routes: RouteFixture) {
    let refuses = Receipt {
        status: "failed:user block".to_owned(),
        arrival: Arrival::BeforeAnswer,
    };
    routes.world().set_receipt(OA, None, refuses).unwrap();
    routes.member("s1", 1).await;
    routes.refuse(TEMPLATE_SEND, -1);
    let path = routes.notify("s1").await;
    routes.pass(120, 10).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        delivery["attempts"].as_array().unwrap().len(),
        2,
        "{delivery}"
    );
    let story = routes.explain("s1").await;
    assert_eq!(
        (&last(&story)["reason"], &last(&story)["error"]),
        (&json!("receipt_failed"), &Value::Null)
    );
    says(&story, &["Delivery 1 (ping) failed", "user block"]);
    assert!(
        !steps(&story)
            .iter()
            .any(|step| step.contains("WeChat is busy")),
        "{:#}",
        story["next_steps"]
    );
}

async fn no_retry_is_advised_that_would_be_refused(routes: RouteFixture) {
    let (app, key) = (&routes.app, &routes.key);
    routes.channels(&["template"]).await;
    let retried = async |id: &Value| {
        app.post(
            key,
            &format!("/deliveries/{id}/retry"),
            json!({"even_if_sent": true}),
        )
        .await
    };
    for (staff, reason) in [
        ("s1", "cancelled"),
        ("s2", "expired"),
        ("s3", "message_type_gone"),
    ] {
        app.put(key, &format!("/staff/{staff}"), json!({}))
            .await
            .ok(201);
        let expires = (app.clock.now().and_utc() + chrono::TimeDelta::hours(1)).to_rfc3339();
        let mut body =
            json!({"message_type": "ping", "staff_ids": [staff], "params": {"title": "hi"}});
        if reason == "expired" {
            body["expires_at"] = json!(expires);
        }
        let notification = app.post(key, "/notifications", body).await.ok(202);
        match reason {
            "cancelled" => drop(
                app.post(
                    key,
                    &format!("/notifications/{}/cancel", notification["id"]),
                    json!({}),
                )
                .await
                .ok(200),
            ),
            "expired" => app.advance(Duration::from_secs(3_700)),
            _ => assert_eq!(app.delete(key, "/message-types/ping").await.status, 204),
        }
        let story = routes.explain(staff).await;
        assert_eq!(last(&story)["state"], "unreachable", "{story}");
        let id = &last(&story)["id"];
        let refused = retried(id).await.refused(409, "not_retryable", "");
        let (steps, why) = (
            steps(&story),
            refused["detail"]
                .as_str()
                .unwrap()
                .split(". ")
                .next()
                .unwrap(),
        );
        assert!(
            steps.iter().any(|step| step.contains(why)),
            "{why}: {steps:?}"
        );
        assert!(
            !steps
                .iter()
                .any(|step| step.contains(&format!("POST /deliveries/{id}/retry"))),
            "{steps:?}"
        );
    }
}

async fn the_last_ten_are_told_newest_first(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.member("s2", 2).await;
    for _ in 0..12 {
        routes.notify("s1").await;
        routes.notify("s2").await;
    }
    routes.app.drain().await;
    let story = routes.explain("s1").await;
    let told: Vec<i64> = story["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_i64().unwrap())
        .collect();
    assert_eq!(told, (2..12).rev().map(|at| 2 * at + 1).collect::<Vec<_>>());
    assert_eq!(
        (&last(&story)["state"], &last(&story)["message_type"]),
        (&json!("delivered"), &json!("ping"))
    );
    assert_eq!(last(&story)["routes"][0]["verdict"], "taken");
}
