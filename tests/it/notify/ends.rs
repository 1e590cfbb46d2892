//! What fails for good is seen: in the log, by the owner of a template or a page, and where a person
//! is explained.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{Arrival, Receipt, TemplateSettings};
use serde_json::{Value, json};

use super::routes::{RouteFixture, TEMPLATE_SEND, route};
use crate::support::setup::{MP, OA};
use crate::support::{logs, receiver::Receiver};

impl RouteFixture {
    /// Notifies several, sends all that is due, and returns the notification's id.
    async fn notify_all(&self, staff_ids: &[&str]) -> i64 {
        let body =
            json!({"message_type": "ping", "staff_ids": staff_ids, "params": {"title": "hi"}});
        let app = &self.app;
        let accepted = app.post(&self.key, "/notifications", body).await.ok(202);
        app.drain().await;
        accepted["id"].as_i64().unwrap()
    }

    /// The lines on what did not arrive of a notification, once they are due.
    pub(super) async fn lines(&self, notification: i64) -> Vec<String> {
        self.app.advance(Duration::from_secs(3));
        self.app.bridge.run(StepName::Ends).await.unwrap();
        // Ids are the same in every database, and so are the lines of other tests.
        let lines = logs::lines_with(&format!("notification.id={notification} "));
        lines
            .into_iter()
            .filter(|line| line.contains("did not arrive"))
            .collect()
    }

    async fn alerts(&self, receiver: &Receiver) -> Vec<Value> {
        self.app.drain().await;
        let posts = receiver.posts().into_iter().map(|post| post.json());
        let alerts = posts.filter(|body| body["type"] == "account.alert");
        alerts.map(|body| body["data"].clone()).collect()
    }

    async fn forecast(&self, staff_id: &str) -> Value {
        let body =
            json!({"message_type": "ping", "staff_ids": [staff_id], "params": {"title": "hi"}});
        let app = &self.app;
        app.post(&self.key, "/notifications/preflight", body)
            .await
            .ok(200)
    }

    async fn story(&self, path: &str) -> Value {
        self.app.get(&self.key, path).await.ok(200)
    }
}

both_engines! {
    what_fails_for_good_is_one_line_with_the_count_and_the_app_id,
    one_banned_template_is_told_once_while_another_works,
    a_receipt_that_says_no_and_whom_nothing_leads_to_are_told_too,
    a_template_and_a_page_at_fault_are_told_once_until_they_work_again,
    who_switched_a_template_off_is_warned_of_until_a_message_is_taken,
}

async fn what_fails_for_good_is_one_line_with_the_count_and_the_app_id(routes: RouteFixture) {
    logs::capture();
    let staff: Vec<String> = (1..=5).map(|person| format!("s{person}")).collect();
    for (person, staff_id) in (1..).zip(&staff) {
        routes.member(staff_id, person).await;
    }
    let staff: Vec<&str> = staff.iter().map(String::as_str).collect();
    routes.channels(&["template"]).await;
    routes.world().remove_template(OA, "TPL").unwrap();
    let id = routes.notify_all(&staff).await;
    let lines = routes.lines(id).await;
    // All tests share the log, and their notifications have the same ids.
    let texts = [
        "deliveries.count=5",
        "delivery.state=\"failed\"",
        "delivery.reason=template_unknown",
        &format!("account.app_id=\"{OA}\""),
        "invalid template_id",
        "rid ",
    ];
    let is_it = |line: &&String| texts.iter().all(|text| line.contains(text));
    assert!(lines.iter().any(|line| is_it(&line)), "{lines:?}");
}

async fn one_banned_template_is_told_once_while_another_works(routes: RouteFixture) {
    let receiver = Receiver::start();
    let (app, key) = (&routes.app, &routes.key);
    routes.endpoint(&receiver.url, &["account.alert"]).await;
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    let other = {
        let all = routes.world().templates(OA).unwrap();
        let known = all
            .into_iter()
            .find(|one| one.template_id == "TPL")
            .unwrap();
        TemplateSettings {
            template_id: "TPL-2".to_owned(),
            ..known
        }
    };
    routes.world().add_template(OA, &other).unwrap();
    let mut pong = route("template");
    pong["template_id"] = json!("TPL-2");
    app.put(key, "/message-types/pong", json!({"routes": [pong]}))
        .await
        .ok(201);
    for _ in 0..3 {
        routes.refuse(TEMPLATE_SEND, 43116);
        routes.notify_all(&["s1"]).await;
        let works = json!({"message_type": "pong", "staff_ids": ["s1"], "params": {"title": "hi"}});
        app.post(key, "/notifications", works).await.ok(202);
        app.drain().await;
    }
    assert_eq!(routes.seen(1), 3);
    let alerts = routes.alerts(&receiver).await;
    let codes: Vec<_> = alerts
        .iter()
        .map(|one| (&one["errcode"], &one["template_id"]))
        .collect();
    assert_eq!(codes, [(&json!(43116), &json!("TPL"))]);
    let accounts = routes.story("/accounts").await;
    let account = accounts["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["app_id"] == OA)
        .unwrap();
    assert!(
        account["problem"].is_null(),
        "a template is not the account: {account}"
    );
}

async fn a_receipt_that_says_no_and_whom_nothing_leads_to_are_told_too(routes: RouteFixture) {
    logs::capture();
    routes.member("s1", 1).await;
    routes.staff("nobody").await;
    routes.channels(&["template"]).await;
    let blocked = Receipt {
        status: "failed:user block".to_owned(),
        arrival: Arrival::Normal,
    };
    routes.world().set_receipt(OA, Some(1), blocked).unwrap();
    let id = routes.notify_all(&["s1", "nobody"]).await;
    let lines = routes.lines(id).await;
    for reason in ["receipt_failed", "not_bound"] {
        let reason = format!("delivery.reason={reason} ");
        assert!(
            lines.iter().any(|line| line.contains(&reason)),
            "{reason}: {lines:?}"
        );
    }
}

async fn a_template_and_a_page_at_fault_are_told_once_until_they_work_again(routes: RouteFixture) {
    let receiver = Receiver::start();
    routes.endpoint(&receiver.url, &["account.alert"]).await;
    routes.member("s1", 1).await;
    routes.member("s2", 2).await;
    routes.channels(&["template"]).await;
    let template = {
        let all = routes.world().templates(OA).unwrap();
        all.into_iter()
            .find(|one| one.template_id == "TPL")
            .unwrap()
    };
    routes.world().remove_template(OA, "TPL").unwrap();
    let calls = || routes.calls("/cgi-bin/template/get_all_private_template");
    let listed = calls();
    routes.notify_all(&["s1", "s2"]).await;
    routes.notify_all(&["s1"]).await;
    let alerts = routes.alerts(&receiver).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0];
    assert_eq!(
        (
            &alert["app_id"],
            &alert["errcode"],
            &alert["template_id"],
            &alert["errmsg"]
        ),
        (
            &json!(OA),
            &json!(40037),
            &json!("TPL"),
            &json!("invalid template_id")
        )
    );
    assert!(
        alert["rid"].as_str().is_some()
            && alert["problem"].as_str().unwrap().starts_with("40037: ")
    );
    // The account's templates are listed again at once, and once.
    while routes.app.bridge.run(StepName::Templates).await.unwrap() == queqiao::bridge::Step::Worked
    {
    }
    assert_eq!(calls() - listed, 1);
    let kept = routes.story("/message-types/ping").await;
    // It was never listed before, so it is unknown rather than gone.
    assert!(
        kept["problems"].to_string().contains("template_unknown"),
        "{kept}"
    );
    // It works, and fails again.
    routes.world().add_template(OA, &template).unwrap();
    routes.notify_all(&["s1"]).await;
    routes.world().remove_template(OA, "TPL").unwrap();
    routes.notify_all(&["s1"]).await;
    assert_eq!(routes.alerts(&receiver).await.len(), 2);
    routes.world().add_template(OA, &template).unwrap();
    // A page, although the message arrived without it.
    let mut opening = route("template");
    opening["mini_program"] = json!({"app_id": MP, "path": "pages/gone?to={{ staff.id }}"});
    opening["url"] = json!("https://example.com/1");
    routes.set(json!([opening])).await;
    routes
        .world()
        .change_account(MP, |settings| {
            settings.pages = vec!["pages/there".to_owned()];
        })
        .unwrap();
    routes.notify_all(&["s1", "s2"]).await;
    let alerts = routes.alerts(&receiver).await;
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    assert_eq!(
        (
            &alerts[2]["errcode"],
            &alerts[2]["mini_program"],
            &alerts[2]["page"]
        ),
        (&json!(40165), &json!(MP), &json!("pages/gone"))
    );
    assert_eq!(alerts[2].get("template_id"), None);
    // And once more after some hours.
    routes.app.advance(Duration::from_secs(7 * 3_600));
    routes.notify_all(&["s1"]).await;
    assert_eq!(routes.alerts(&receiver).await.len(), 4);
}

async fn who_switched_a_template_off_is_warned_of_until_a_message_is_taken(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    let switch = |on| {
        routes.world().switch_template(OA, 1, "TPL", on).unwrap();
    };
    let explain = "/staff/s1/explain?message_type=ping";
    assert_eq!(routes.forecast("s1").await["warnings"], json!([]));
    switch(false);
    assert_eq!(routes.sent("s1").await["reason"], "refused_by_person");
    let looked = routes.forecast("s1").await;
    assert_eq!(
        (
            &looked["warnings"][0]["code"],
            &looked["verdicts"][0]["verdict"]
        ),
        (&json!("switched_off"), &json!("would_send"))
    );
    let detail = looked["verdicts"][0]["routes"][0]["detail"]
        .as_str()
        .unwrap();
    assert!(
        detail.contains("switched") && detail.contains("inside WeChat"),
        "{detail}"
    );
    let story = routes.story(explain).await;
    let mut accounts = story["accounts"].as_array().unwrap().iter();
    let account = accounts.find(|one| one["app_id"] == OA).unwrap();
    assert_eq!(account["switched_off"][0]["template_id"], "TPL");
    let steps = story["next_steps"].to_string();
    assert!(
        steps.contains("switch the messages of template TPL on again")
            && !steps.contains("Nothing: "),
        "{steps}"
    );
    // Another message type of the same template is warned of as well, one of another is not.
    let put = async |name: &str, template: &str| {
        let mut route = route("template");
        route["template_id"] = json!(template);
        routes
            .app
            .put(
                &routes.key,
                &format!("/message-types/{name}"),
                json!({"routes": [route]}),
            )
            .await
            .ok(201);
    };
    put("same", "TPL").await;
    put("other", "OTHER").await;
    let steps = routes.story("/staff/s1/explain?message_type=same").await["next_steps"].to_string();
    assert!(steps.contains("template TPL"), "{steps}");
    let steps =
        routes.story("/staff/s1/explain?message_type=other").await["next_steps"].to_string();
    assert!(!steps.contains("template TPL"), "{steps}");
    // It blocks nothing: the next one is tried.
    let calls = routes.calls(TEMPLATE_SEND);
    switch(true);
    assert_eq!(routes.sent("s1").await["state"], "delivered");
    assert_eq!(routes.calls(TEMPLATE_SEND) - calls, 1);
    assert_eq!(routes.forecast("s1").await["warnings"], json!([]));
    let steps = routes.story(explain).await["next_steps"].to_string();
    assert!(!steps.contains("switch"), "{steps}");
}
