//! What explain says of each account: its permissions, its customer window, and why it cannot send.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{TemplateKind, TemplateSettings};
use serde_json::{Value, json};

use super::super::routes::{ONCE, RouteFixture, TEMPLATE_SEND};
use super::{says, steps};
use crate::support::setup::{MP, OA};

impl RouteFixture {
    /// The service account or the mini-program as it is for a staff member.
    async fn account(&self, staff_id: &str, app_id: &str) -> Value {
        let story = self.explain(staff_id).await;
        let mut accounts = story["accounts"].as_array().unwrap().iter();
        accounts
            .find(|one| one["app_id"] == app_id)
            .unwrap()
            .clone()
    }
}

both_engines! {
    permissions_are_told_by_template,
    customer_windows_are_open_or_say_why_not,
    an_account_that_cannot_send_explains_the_silence,
}

async fn permissions_are_told_by_template(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    let subscription = async || routes.account("s1", MP).await["subscriptions"][0].clone();
    let never = subscription().await;
    assert_eq!(
        (
            &never["was_asked"],
            &never["reason"],
            &never["message_types"]
        ),
        (&json!(false), &json!("no_credit"), &json!(["ping"]))
    );
    assert_eq!(
        steps(&routes.explain("s1").await),
        [format!(
            "Ask for consent to template {ONCE} in account {MP}: 0 left."
        )]
    );
    routes.allow(MP, 1).await;
    let allowed = subscription().await;
    assert_eq!(
        (
            &allowed["one_time_left"],
            &allowed["would_send"],
            &allowed["reason"]
        ),
        (&json!(1), &json!(true), &json!(null))
    );
    says(
        &routes.explain("s1").await,
        &["Nothing", "subscription message", MP],
    );
    let named = TemplateSettings {
        template_id: ONCE.to_owned(),
        title: "Order".to_owned(),
        content: "{{thing1.DATA}}".to_owned(),
        kind: TemplateKind::SubscribeOnce,
        ..TemplateSettings::default()
    };
    routes.world().change_template(MP, ONCE, &named).unwrap();
    let sync = format!("/accounts/{MP}/templates/sync");
    assert_eq!(
        routes
            .app
            .call("POST", &routes.key, &sync, None)
            .await
            .status,
        200
    );
    assert_eq!(routes.sent("s1").await["state"], "delivered");
    let used = subscription().await;
    assert_eq!(
        (&used["one_time_left"], &used["would_send"], &used["title"]),
        (&json!(0), &json!(false), &json!("Order"))
    );
    assert_eq!(
        steps(&routes.explain("s1").await),
        [format!(
            "Ask for consent to template {ONCE} (Order) in account {MP} again: 0 left."
        )]
    );
    routes.app.advance(Duration::from_secs(5));
    routes
        .world()
        .withdraw_consent(MP, 1, &[ONCE])
        .await
        .unwrap();
    routes.app.drain().await;
    says(&routes.explain("s1").await, &["they have refused it"]);
}

async fn customer_windows_are_open_or_say_why_not(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.world().send_text(OA, 1, "hi").await.unwrap();
    routes.app.drain().await;
    let open = routes.account("s1", OA).await["customer"].clone();
    assert!(
        open["left"].as_i64().unwrap() >= 5 && open["open_until"].is_string(),
        "{open}"
    );
    routes.app.advance(Duration::from_secs(49 * 3600));
    let closed = routes.account("s1", OA).await["customer"].clone();
    assert_eq!(
        (&closed["open_until"], &closed["left"], &closed["reason"]),
        (&json!(null), &json!(0), &json!("window_closed"))
    );
}

async fn an_account_that_cannot_send_explains_the_silence(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.refuse(TEMPLATE_SEND, 40164);
    routes.notify("s1").await;
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    let story = routes.explain("s1").await;
    let trouble = story["accounts"][0]["trouble"].as_array().unwrap();
    let codes: Vec<&str> = trouble
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["account_problem", "account_stopped"]);
    assert_eq!(trouble[0]["errcode"], 40164);
    assert!(
        trouble[0]["since"].is_string() && trouble[1]["until"].is_string(),
        "{trouble:?}"
    );
    let steps = steps(&story);
    assert!(
        steps[0].starts_with(&format!("Fix account {OA}")) && steps[0].contains("40164"),
        "{steps:?}"
    );
    assert!(
        steps[1].starts_with(&format!(
            "When account {OA} is fixed, let it send at once: queqiao accounts resume {OA}"
        )),
        "{steps:?}"
    );
    assert!(
        steps[2].starts_with("Wait: delivery 1 (ping) is tried again by itself at"),
        "{steps:?}"
    );
    assert_eq!(
        story["accounts"][0]["template"]["would_send"], true,
        "the person could be reached"
    );
}
