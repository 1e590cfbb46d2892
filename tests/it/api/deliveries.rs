//! Deliveries across notifications: found by filters, and sent once more where that is safe.

use std::ops::Deref;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::simulator::{Arrival, Fault, FaultKind, Receipt};
use serde_json::{Value, json};

use super::OA;
use crate::support::api::by_unionid;
use crate::support::setup::{template, titled};
use crate::support::{ApiFixture, Fixture};

pub(super) const SEND: &str = "/cgi-bin/message/template/send";

/// [`ApiFixture`] with a message type, and staff s1 to s4, of whom s4 is bound to nobody.
pub(super) struct StaffFixture(ApiFixture);

impl Fixture for StaffFixture {
    async fn on(engine: Engine) -> Self {
        let api = ApiFixture::with(engine, |first| {
            first
                .template(OA, template("T", "Title: {{thing1.DATA}}"))
                .receipts(OA, prompt())
                .followers(OA, 1..=3)
                .message_type("ping", json!([titled(OA, "T")]))
                .staff("s1")
                .bound_to(by_unionid(1))
                .staff("s2")
                .bound_to(by_unionid(2))
                .staff("s3")
                .bound_to(by_unionid(3))
                .staff("s4")
        });
        Self(api.await)
    }
}

impl Deref for StaffFixture {
    type Target = ApiFixture;

    fn deref(&self) -> &ApiFixture {
        &self.0
    }
}

/// A receipt that is there as soon as the message is.
fn prompt() -> Receipt {
    Receipt {
        arrival: Arrival::BeforeAnswer,
        ..Receipt::default()
    }
}

/// Notifies them, and lets what comes of it happen. Returns the notification's id.
pub(super) async fn notify(api: &ApiFixture, staff_ids: &[&str]) -> i64 {
    let body = json!({"message_type": "ping", "staff_ids": staff_ids, "params": {"title": "hi"}});
    let accepted = api.app.post(&api.key, "/notifications", body).await.ok(202);
    api.app.drain().await;
    accepted["id"].as_i64().unwrap()
}

/// Makes WeChat refuse what is sent, with this code.
pub(super) fn refuse(api: &ApiFixture, errcode: i64) {
    let fault = Fault::at(SEND, FaultKind::Errcode { errcode });
    api.app.simulator.world().add_fault(fault).unwrap();
}

async fn found(api: &ApiFixture, query: &str) -> Vec<Value> {
    let page = api
        .app
        .get(&api.key, &format!("/deliveries?{query}"))
        .await
        .ok(200);
    page["items"].as_array().unwrap().clone()
}

/// Staff ids and states of what is found.
pub(super) async fn short(api: &ApiFixture, query: &str) -> Vec<String> {
    let word = |item: &Value| {
        format!(
            "{} {}",
            item["staff_id"].as_str().unwrap(),
            item["state"].as_str().unwrap()
        )
    };
    found(api, query).await.iter().map(word).collect()
}

both_engines! {
    deliveries_are_found_by_what_became_of_them,
    a_failed_delivery_is_sent_once_more,
    whoever_became_reachable_is_reached,
    what_may_have_been_seen_is_sent_again_only_if_that_is_wanted,
    dead_letters_are_retried_in_bulk_page_by_page,
}

async fn deliveries_are_found_by_what_became_of_them(api: StaffFixture) {
    // Long after they followed.
    api.app.advance(std::time::Duration::from_secs(700));
    refuse(&api, 43004);
    let first = notify(&api, &["s1", "s4"]).await;
    api.app.simulator.world().clear_faults();
    api.app.advance(std::time::Duration::from_secs(60));
    let second = notify(&api, &["s2", "s3"]).await;
    assert_eq!(
        short(&api, "").await,
        [
            "s3 delivered",
            "s2 delivered",
            "s4 unreachable",
            "s1 failed"
        ]
    );
    assert_eq!(
        short(&api, "state=failed,unreachable").await,
        ["s4 unreachable", "s1 failed"]
    );
    assert_eq!(
        short(&api, "state=delivered&staff_id=s2").await,
        ["s2 delivered"]
    );
    assert_eq!(short(&api, "reason=not_bound").await, ["s4 unreachable"]);
    assert_eq!(
        short(&api, &format!("notification_id={first}&app_id={OA}")).await,
        ["s1 failed"]
    );
    assert_eq!(
        short(&api, "message_type=ping&state=failed").await,
        ["s1 failed"]
    );
    assert_eq!(short(&api, "message_type=pong").await, Vec::<String>::new());
    let all = api.app.all_pages(&api.key, "/deliveries", 1).await;
    assert_eq!(all.len(), 4);
    assert_eq!(
        (&all[0]["notification_id"], &all[0]["message_type"]),
        (&json!(second), &json!("ping"))
    );
    assert_eq!(all[3]["attempts"][0]["errcode"], 43004);
    let between = all[0]["created_at"].as_str().unwrap();
    assert_eq!(short(&api, &format!("since={between}")).await.len(), 2);
    assert_eq!(short(&api, &format!("until={between}")).await.len(), 2);
    assert_eq!(
        api.app.get(&api.other, "/deliveries").await.ok(200)["items"],
        json!([]),
        "another project"
    );
    for (query, code, field) in [
        ("state=failed,lost", "invalid_query", "state"),
        ("state=", "invalid_query", "state"),
        ("app_id=wx1", "invalid_query", "app_id"),
        ("notification_id=x", "invalid_query", "notification_id"),
        ("since=today", "invalid_query", "since"),
        ("until=99999999999999", "invalid_query", "until"),
        ("cursor=x", "invalid_cursor", "cursor"),
        ("limit=0", "invalid_query", "limit"),
        ("stat=failed", "invalid_query", "stat"),
    ] {
        api.app
            .get(&api.key, &format!("/deliveries?{query}"))
            .await
            .refused(400, code, field);
    }
}

async fn a_failed_delivery_is_sent_once_more(api: StaffFixture) {
    let world = api.app.simulator.world();
    let blocked = Receipt {
        status: "failed:user block".to_owned(),
        ..prompt()
    };
    world.set_receipt(OA, None, blocked).unwrap();
    notify(&api, &["s1"]).await;
    let failed = found(&api, "state=failed").await.remove(0);
    assert_eq!(failed["reason"], "receipt_failed");
    let path = format!("/deliveries/{}/retry", failed["id"]);
    let reader = api.app.key(api.project, &[Scope::Read]).await;
    api.app
        .post(&reader, &path, json!({}))
        .await
        .refused(403, "missing_scope", "");
    api.app
        .post(&api.other, &path, json!({}))
        .await
        .refused(404, "not_found", "");
    world.set_receipt(OA, None, prompt()).unwrap();
    let taken = api.app.post(&api.key, &path, json!({})).await.ok(202);
    assert_eq!(
        taken,
        json!({"id": failed["id"], "state": "queued", "next_attempt_at": api.app.clock.now().and_utc()})
    );
    let again = api
        .app
        .post(&api.key, &path, json!({}))
        .await
        .refused(409, "not_retryable", "");
    assert!(
        again["detail"].as_str().unwrap().contains("still_queued"),
        "{again}"
    );
    api.app.drain().await;
    let arrived = found(&api, "").await.remove(0);
    assert_eq!(
        (&arrived["state"], &arrived["reason"]),
        (&json!("delivered"), &json!(null))
    );
    assert_eq!(
        arrived["attempts"].as_array().unwrap().len(),
        2,
        "the first try is still told: {arrived}"
    );
    assert_eq!(
        world.messages().len(),
        1,
        "WeChat did not take it for a repetition"
    );
    api.app
        .post(&api.key, &path, json!({"even_if_sent": true}))
        .await
        .refused(409, "not_retryable", "");
    api.app
        .post(&api.key, "/deliveries/999/retry", json!({}))
        .await
        .refused(404, "not_found", "");
    api.app
        .post(&api.key, &path, json!({"force": true}))
        .await
        .refused(422, "unknown_field", "force");
}

async fn whoever_became_reachable_is_reached(api: StaffFixture) {
    notify(&api, &["s4"]).await;
    let id = found(&api, "").await.remove(0)["id"].clone();
    let path = format!("/deliveries/{id}/retry");
    let still = api
        .app
        .post(&api.key, &path, json!({}))
        .await
        .refused(409, "not_retryable", "");
    assert!(
        still["detail"].as_str().unwrap().contains("not_bound"),
        "{still}"
    );
    api.bind("s4", by_unionid(4)).await;
    api.app
        .post(&api.key, &path, json!({}))
        .await
        .refused(409, "not_retryable", "");
    assert_eq!(
        found(&api, "").await[0]["reason"],
        "no_identity_in_account",
        "the reason of today"
    );
    api.new_follower(4).await;
    api.app.post(&api.key, &path, json!({})).await.ok(202);
    api.app.drain().await;
    assert_eq!(short(&api, "").await, ["s4 delivered"]);
}

async fn what_may_have_been_seen_is_sent_again_only_if_that_is_wanted(api: StaffFixture) {
    let world = api.app.simulator.world();
    world
        .set_receipt(
            OA,
            None,
            Receipt {
                arrival: Arrival::Lost,
                ..prompt()
            },
        )
        .unwrap();
    notify(&api, &["s1"]).await;
    api.app.advance(std::time::Duration::from_secs(3_600));
    api.app.drain().await;
    let id = found(&api, "state=no_receipt").await.remove(0)["id"].clone();
    let path = format!("/deliveries/{id}/retry");
    let refused = api
        .app
        .post(&api.key, &path, json!({}))
        .await
        .refused(409, "not_retryable", "");
    assert!(
        refused["detail"].as_str().unwrap().contains("even_if_sent"),
        "{refused}"
    );
    let bulk = api
        .app
        .post(&api.key, "/deliveries/retry", json!({"staff_id": "s1"}))
        .await
        .ok(202);
    assert_eq!(
        bulk,
        json!({"taken": 0, "waiting": 0, "not_taken": 1, "reasons": {"may_have_been_sent": 1}, "next_cursor": null})
    );
    api.app.drain().await;
    assert_eq!(world.messages().len(), 1);
    world.set_receipt(OA, None, prompt()).unwrap();
    api.app
        .post(&api.key, &path, json!({"even_if_sent": true}))
        .await
        .ok(202);
    api.app.drain().await;
    assert_eq!(
        (short(&api, "").await, world.messages().len()),
        (vec!["s1 delivered".to_owned()], 2)
    );
}

async fn dead_letters_are_retried_in_bulk_page_by_page(api: StaffFixture) {
    // Long after they followed.
    api.app.advance(std::time::Duration::from_secs(700));
    refuse(&api, 43004);
    for _ in 0..2 {
        notify(&api, &["s1", "s2", "s3", "s4"]).await;
    }
    api.app.simulator.world().clear_faults();
    let nothing = api.app.post(&api.key, "/deliveries/retry", json!({})).await;
    nothing.refused(422, "missing_field", "");
    let (mut taken, mut not_taken, mut rounds) = (0, 0, 0);
    let mut body = json!({"message_type": "ping", "limit": 3});
    loop {
        let answer = api
            .app
            .post(&api.key, "/deliveries/retry", body.clone())
            .await
            .ok(202);
        taken += answer["taken"].as_i64().unwrap();
        not_taken += answer["not_taken"].as_i64().unwrap();
        rounds += 1;
        let reasons = answer["reasons"].as_object().unwrap();
        assert!(
            reasons.keys().all(|reason| reason == "not_bound"),
            "{answer}"
        );
        if answer["next_cursor"].is_null() {
            break;
        }
        body["cursor"] = answer["next_cursor"].clone();
    }
    assert_eq!((taken, not_taken, rounds), (6, 2, 3));
    api.app.drain().await;
    assert_eq!(found(&api, "state=delivered").await.len(), 6);
    assert_eq!(api.app.simulator.world().messages().len(), 6);
    assert_eq!(
        short(&api, "state=unreachable").await,
        ["s4 unreachable"; 2]
    );
    for (body, code, field) in [
        (json!({"state": "lost"}), "invalid_query", "state"),
        (
            json!({"state": "failed", "limit": 1_001}),
            "invalid_field",
            "limit",
        ),
    ] {
        let refused = api.app.post(&api.key, "/deliveries/retry", body).await;
        assert_eq!(
            (&refused.json()["code"], &refused.json()["field"]),
            (&json!(code), &json!(field))
        );
    }
}
