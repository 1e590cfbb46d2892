//! Accounts whose secrets a process cannot open.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::{Bridge, Step};
use serde_json::json;

use super::routes::{RouteFixture, TEMPLATE_SEND};

async fn step(bridge: &Bridge) -> Step {
    let step = tokio::time::timeout(Duration::from_secs(20), bridge.run(StepName::Deliver)).await;
    step.expect("the step ends").unwrap()
}

both_engines! {
    a_paused_account_that_does_not_open_is_not_asked_for_over_and_over,
    what_cannot_wait_ends_also_where_nobody_can_open_its_account,
}

async fn a_paused_account_that_does_not_open_is_not_asked_for_over_and_over(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    routes.refuse(TEMPLATE_SEND, 40164);
    assert_eq!(routes.sent("s1").await["reason"], "account_problem");
    let list = routes.notify("s1").await;
    let other = routes.app.with_another_master_key();
    // While it is paused, and when the pause is to be tried.
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(step(&other).await, Step::Idle);
        }
        routes.app.advance(Duration::from_secs(50));
    }
    routes.app.drain().await;
    assert_eq!(routes.delivery(&list).await["state"], "delivered");
}

async fn what_cannot_wait_ends_also_where_nobody_can_open_its_account(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    let lasting = routes.notify("s1").await;
    let end = routes.app.clock.now() + chrono::TimeDelta::seconds(30);
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"},
            "expires_at": end.and_utc().to_rfc3339()});
    let brief = routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    let brief = format!("/notifications/{}/deliveries", brief["id"]);
    let other = routes.app.with_another_master_key();
    routes.app.advance(Duration::from_secs(31));
    // At first it is left to those who can.
    assert_eq!(step(&other).await, Step::Idle);
    assert_eq!(routes.delivery(&brief).await["state"], "queued");
    routes.app.advance(Duration::from_secs(60));
    assert_eq!(step(&other).await, Step::Worked);
    assert_eq!(routes.delivery(&brief).await["state"], "expired");
    assert_eq!(step(&other).await, Step::Idle);
    let waiting = routes.delivery(&lasting).await;
    assert_eq!(
        (&waiting["state"], &waiting["attempts"]),
        (&json!("queued"), &json!([]))
    );
    routes.app.advance(Duration::from_secs(86_400));
    assert_eq!(step(&other).await, Step::Worked);
    let given_up = routes.delivery(&lasting).await;
    assert_eq!(
        (&given_up["state"], &given_up["reason"]),
        (&json!("failed"), &json!("gave_up"))
    );
    let detail = given_up["detail"].as_str().unwrap();
    assert!(detail.contains("master key"), "{detail}");
    // Whoever has the key goes on at once.
    let next = routes.notify("s1").await;
    assert_eq!(step(&routes.app.bridge).await, Step::Worked);
    assert_eq!(routes.delivery(&next).await["state"], "sent");
}
