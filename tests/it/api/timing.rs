//! Sending later, not sending any more, and taking back.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use queqiao::models::delivery::{self, Claim, Postponed};
use queqiao::models::notification::Priority;
use queqiao::simulator::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::{SEND, StaffFixture, refuse, short};
use super::{ApiFixture, OA};
use crate::support::app::Answer;

/// So many seconds from now.
fn later(api: &ApiFixture, seconds: i64) -> String {
    let time: NaiveDateTime = api.app.clock.now() + TimeDelta::seconds(seconds);
    time.and_utc().to_rfc3339()
}

/// Asks to notify, with more in the body, under a key.
async fn ask(api: &ApiFixture, staff_ids: &[&str], more: Value, key: &str) -> Answer {
    let mut body =
        json!({"message_type": "ping", "staff_ids": staff_ids, "params": {"title": "hi"}});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let request = api.app.request(Method::POST, "/api/v1/notifications");
    let request = request.bearer_auth(&api.key).header("Idempotency-Key", key);
    api.app.send(request.json(&body)).await
}

async fn pass(api: &ApiFixture, seconds: u64) {
    api.app.advance(Duration::from_secs(seconds));
    api.app.drain().await;
}

async fn cancel(api: &ApiFixture, id: &Value) -> Value {
    let path = format!("/notifications/{id}/cancel");
    api.app.call("POST", &api.key, &path, None).await.ok(200)
}

fn seen(api: &ApiFixture) -> usize {
    api.app.simulator.world().messages().len()
}

both_engines! {
    a_notification_is_sent_when_its_time_comes,
    what_expires_is_never_sent,
    what_is_cancelled_is_never_sent,
    what_is_being_sent_is_sent_or_cancelled_and_never_both,
    cancelling_and_sending_at_once_agree_on_what_was_sent,
}

async fn a_notification_is_sent_when_its_time_comes(api: StaffFixture) {
    let times = json!({"send_at": later(&api, 600), "expires_at": later(&api, 1_200)});
    let first = ask(&api, &["s1", "s4"], times.clone(), "k1").await.ok(202);
    assert_eq!(first["counts"], json!({"queued": 1, "unreachable": 1}));
    pass(&api, 599).await;
    assert_eq!(
        (seen(&api), short(&api, "state=queued").await.len()),
        (0, 1)
    );
    pass(&api, 1).await;
    assert_eq!(
        (seen(&api), short(&api, "state=delivered").await.len()),
        (1, 1)
    );
    let shown = api
        .app
        .get(&api.key, &format!("/notifications/{}", first["id"]))
        .await
        .ok(200);
    let sent = shown["send_at"]
        .as_str()
        .unwrap()
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    assert_eq!(sent.naive_utc(), api.app.clock.now());
    pass(&api, 3_600).await;
    let again = ask(&api, &["s1", "s4"], times.clone(), "k1").await.ok(202);
    assert_eq!(
        (&again["id"], &again["replayed"]),
        (&first["id"], &json!(true)),
        "though its times have passed"
    );
    let other = ask(
        &api,
        &["s1", "s4"],
        json!({"send_at": times["send_at"]}),
        "k1",
    )
    .await;
    other.refused(409, "idempotency_conflict", "Idempotency-Key");
    ask(&api, &["s1"], json!({"send_at": times["send_at"]}), "k2")
        .await
        .ok(202);
    api.app.drain().await;
    assert_eq!(seen(&api), 2, "what should have been sent is sent at once");
    for (more, field) in [
        (json!({"send_at": "soon"}), "send_at"),
        (json!({"send_at": later(&api, 91 * 86_400)}), "send_at"),
        (json!({"expires_at": later(&api, 0)}), "expires_at"),
        (
            json!({"send_at": later(&api, 60), "expires_at": later(&api, 60)}),
            "expires_at",
        ),
    ] {
        ask(&api, &["s1"], more, "k3")
            .await
            .refused(422, "invalid_field", field);
    }
}

async fn what_expires_is_never_sent(api: StaffFixture) {
    refuse(&api, -1);
    ask(
        &api,
        &["s1"],
        json!({"expires_at": later(&api, 100)}),
        "tried",
    )
    .await
    .ok(202);
    pass(&api, 10).await;
    ask(
        &api,
        &["s2"],
        json!({"expires_at": later(&api, 90)}),
        "untouched",
    )
    .await
    .ok(202);
    api.app.advance(Duration::from_secs(90));
    api.app.simulator.world().clear_faults();
    api.app.drain().await;
    assert_eq!(
        short(&api, "reason=expired").await,
        ["s2 expired", "s1 expired"],
        "at its time, not at the next try's"
    );
    pass(&api, 86_400).await;
    assert_eq!(seen(&api), 0);
    api.app
        .post(&api.key, "/deliveries/1/retry", json!({}))
        .await
        .refused(409, "not_retryable", "");
    let bulk = api
        .app
        .post(&api.key, "/deliveries/retry", json!({"state": "expired"}))
        .await
        .ok(202);
    assert_eq!(bulk["reasons"], json!({"expired": 2}));
    // Whether this one was taken is not known, and must not be tried out any more.
    api.app
        .simulator
        .world()
        .add_fault(Fault::at(SEND, FaultKind::HttpError { status: 502 }))
        .unwrap();
    ask(
        &api,
        &["s3"],
        json!({"expires_at": later(&api, 30)}),
        "unclear",
    )
    .await
    .ok(202);
    api.app.drain().await;
    api.app.simulator.world().clear_faults();
    api.app.advance(Duration::from_secs(30));
    api.app.drain().await;
    assert_eq!(
        (short(&api, "staff_id=s3").await, seen(&api)),
        (vec!["s3 unknown".to_owned()], 0)
    );
}

async fn what_is_cancelled_is_never_sent(api: StaffFixture) {
    let first = ask(
        &api,
        &["s1", "s2", "s4"],
        json!({"send_at": later(&api, 600)}),
        "k1",
    )
    .await
    .ok(202);
    let path = format!("/notifications/{}/cancel", first["id"]);
    api.app
        .call("POST", &api.other, &path, None)
        .await
        .refused(404, "not_found", "");
    let done = cancel(&api, &first["id"]).await;
    assert_eq!(
        (&done["cancelled"], &done["too_late"]),
        (&json!(2), &json!(0)),
        "{done}"
    );
    assert_eq!(
        (&done["counts"]["cancelled"], &done["counts"]["unreachable"]),
        (&json!(2), &json!(1))
    );
    let shown = api
        .app
        .get(&api.key, &format!("/notifications/{}", first["id"]))
        .await
        .ok(200);
    pass(&api, 600).await;
    assert_eq!(cancel(&api, &first["id"]).await, done);
    assert_eq!(
        api.app
            .get(&api.key, &format!("/notifications/{}", first["id"]))
            .await
            .ok(200),
        shown
    );
    assert!(shown["cancelled_at"].is_string(), "{shown}");
    assert_eq!(seen(&api), 0);
    let bulk = api.app.post(
        &api.key,
        "/deliveries/retry",
        json!({"notification_id": first["id"], "state": "cancelled,unreachable"}),
    );
    assert_eq!(bulk.await.ok(202)["reasons"], json!({"cancelled": 3}));

    refuse(&api, -1);
    let tried = ask(&api, &["s1"], json!({}), "k2").await.ok(202);
    api.app.drain().await;
    assert_eq!(
        cancel(&api, &tried["id"]).await["cancelled"],
        1,
        "a busy WeChat did not take it"
    );
    api.app.simulator.world().clear_faults();
    let sent = ask(&api, &["s1"], json!({}), "k3").await.ok(202);
    pass(&api, 86_400).await;
    let late = cancel(&api, &sent["id"]).await;
    assert_eq!(
        (&late["cancelled"], &late["too_late"], seen(&api)),
        (&json!(0), &json!(1), 1)
    );
    assert_eq!(short(&api, "state=delivered").await, ["s1 delivered"]);
    api.app
        .call("POST", &api.key, "/notifications/99/cancel", None)
        .await
        .refused(404, "not_found", "");
}

async fn what_is_being_sent_is_sent_or_cancelled_and_never_both(api: StaffFixture) {
    let world = api.app.simulator.world();
    world
        .add_fault(Fault::at(SEND, FaultKind::Slow { millis: 300 }).times(1))
        .unwrap();
    let asked = ask(&api, &["s1"], json!({}), "slow").await.ok(202);
    let bridge = api.app.bridge.clone();
    let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    while world.calls(SEND, Some(OA)).unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let meanwhile = cancel(&api, &asked["id"]).await;
    assert_eq!(
        (&meanwhile["cancelled"], &meanwhile["too_late"]),
        (&json!(0), &json!(1)),
        "{meanwhile}"
    );
    sending.await.unwrap().unwrap();
    pass(&api, 600).await;
    assert_eq!(
        (short(&api, "").await, seen(&api)),
        (vec!["s1 delivered".to_owned()], 1)
    );

    // One that was claimed and not sent, and one whose process died: nobody knows of that.
    for (staff_id, gave_back, end) in [("s2", true, "cancelled"), ("s3", false, "unknown")] {
        let asked = ask(&api, &[staff_id], json!({}), staff_id).await.ok(202);
        let now = api.app.clock.now();
        let db = &api.app.bridge.db;
        let claim = db.write(move |conn| {
            let head = delivery::heads(conn, now)?.remove(0);
            let claim = Claim {
                lane: head.lane,
                priority: Priority::Normal,
                now,
                lease: TimeDelta::seconds(120),
                limit: 10,
                ended: None,
            };
            delivery::claim_due(conn, &claim)
        });
        let claimed = claim.await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(cancel(&api, &asked["id"]).await["too_late"], 1);
        if gave_back {
            let rows = [Postponed::new(&claimed[0], now, now)];
            let release = db.write(move |conn| delivery::release(conn, &rows));
            release.await.unwrap();
        }
        pass(&api, 121).await;
        assert_eq!(
            short(&api, &format!("staff_id={staff_id}")).await,
            [format!("{staff_id} {end}")]
        );
    }
    assert_eq!(seen(&api), 1);
}

async fn cancelling_and_sending_at_once_agree_on_what_was_sent(api: StaffFixture) {
    for round in 0..12 {
        let asked = ask(&api, &["s1", "s2", "s3"], json!({}), &format!("r{round}"))
            .await
            .ok(202);
        let bridge = api.app.bridge.clone();
        let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        cancel(&api, &asked["id"]).await;
        sending.await.unwrap().unwrap();
        api.app.drain().await;
    }
    let states = short(&api, "limit=200").await;
    let count = |state: &str| states.iter().filter(|word| word.ends_with(state)).count();
    assert_eq!(count("delivered") + count("cancelled"), 36, "{states:?}");
    assert_eq!(seen(&api), count("delivered"));
}
