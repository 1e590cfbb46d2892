//! Accounts whose secrets a process cannot open.

use std::time::Duration;

use queqiao::bridge::{Bridge, Step};
use serde_json::json;

use super::ways::{TEMPLATE_SEND, Ways};

async fn step(bridge: &Bridge) -> Step {
    let step = tokio::time::timeout(Duration::from_secs(20), bridge.deliver_step()).await;
    step.expect("the step ends").unwrap()
}

both_engines! {
    a_paused_account_that_does_not_open_is_not_asked_for_over_and_over,
    what_cannot_wait_ends_also_where_nobody_can_open_its_account,
}

async fn a_paused_account_that_does_not_open_is_not_asked_for_over_and_over(ways: Ways) {
    let stage = &ways.stage;
    ways.member("s1", 1).await;
    ways.routes(&["template"]).await;
    ways.refuse(TEMPLATE_SEND, 40164);
    assert_eq!(ways.sent("s1").await["reason"], "account_problem");
    let list = stage.notify("s1").await;
    let other = stage.app.with_another_master_key();
    // While it is paused, and when the pause is to be tried.
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(step(&other).await, Step::Idle);
        }
        stage.app.advance(Duration::from_secs(50));
    }
    stage.app.drain().await;
    assert_eq!(stage.delivery(&list).await["state"], "delivered");
}

async fn what_cannot_wait_ends_also_where_nobody_can_open_its_account(ways: Ways) {
    let stage = &ways.stage;
    ways.member("s1", 1).await;
    ways.routes(&["template"]).await;
    let lasting = stage.notify("s1").await;
    let end = stage.app.clock.now() + chrono::TimeDelta::seconds(30);
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"},
            "expires_at": end.and_utc().to_rfc3339()});
    let brief = stage
        .app
        .post(&stage.key, "/notifications", body)
        .await
        .ok(202);
    let brief = format!("/notifications/{}/deliveries", brief["id"]);
    let other = stage.app.with_another_master_key();
    stage.app.advance(Duration::from_secs(31));
    // At first it is left to those who can.
    assert_eq!(step(&other).await, Step::Idle);
    assert_eq!(stage.delivery(&brief).await["state"], "queued");
    stage.app.advance(Duration::from_secs(60));
    assert_eq!(step(&other).await, Step::Worked);
    assert_eq!(stage.delivery(&brief).await["state"], "expired");
    assert_eq!(step(&other).await, Step::Idle);
    let waiting = stage.delivery(&lasting).await;
    assert_eq!(
        (&waiting["state"], &waiting["attempts"]),
        (&json!("queued"), &json!([]))
    );
    stage.app.advance(Duration::from_secs(86_400));
    assert_eq!(step(&other).await, Step::Worked);
    let given_up = stage.delivery(&lasting).await;
    assert_eq!(
        (&given_up["state"], &given_up["reason"]),
        (&json!("failed"), &json!("gave_up"))
    );
    let detail = given_up["detail"].as_str().unwrap();
    assert!(detail.contains("master key"), "{detail}");
    // Whoever has the key goes on at once.
    let next = stage.notify("s1").await;
    assert_eq!(step(&stage.app.bridge).await, Step::Worked);
    assert_eq!(stage.delivery(&next).await["state"], "sent");
}
