//! WeChat's own words, and what a code is about: they are shown wherever a refusal is, and decide
//! where the delivery goes.

use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::routes::{ONCE, RouteFixture, TEMPLATE_SEND, route, verdicts};
use crate::support::setup::{MP, OA};

/// A template route that opens a page of the mini-program, with a web page besides or without.
fn opening(page: &str, url: Option<&str>) -> Value {
    let mut route = route("template");
    route["mini_program"] = json!({"app_id": MP, "path": page});
    if let Some(url) = url {
        route["url"] = json!(url);
    }
    route
}

/// Errcode and outcome of each try, in order.
fn tries(delivery: &Value) -> Vec<(Option<i64>, &str)> {
    let attempts = delivery["attempts"].as_array().unwrap();
    let short = attempts
        .iter()
        .map(|one| (one["errcode"].as_i64(), one["outcome"].as_str().unwrap()));
    short.collect()
}

impl RouteFixture {
    async fn problem(&self, app_id: &str) -> Value {
        let page = self.app.get(&self.key, "/accounts").await.ok(200);
        let mut items = page["items"].as_array().unwrap().iter();
        items.find(|item| item["app_id"] == app_id).unwrap()["problem"].clone()
    }

    /// Logs somebody in; the status says whether WeChat let them.
    async fn log_in(&self, person: u32) -> u16 {
        let code = self.world().log_in(MP, person).unwrap();
        let path = format!("/miniprogram/{MP}/sessions");
        let answer = self.app.post(&self.key, &path, json!({"code": code}));
        answer.await.status
    }

    fn released(&self, pages: &[&str]) {
        let pages: Vec<String> = pages.iter().map(|page| (*page).to_owned()).collect();
        let change = |settings: &mut queqiao::simulator::Settings| settings.pages = pages;
        self.world().change_account(MP, change).unwrap();
    }
}

both_engines! {
    wechats_words_and_the_rid_are_shown_for_known_and_unknown_codes,
    a_page_that_is_not_released_gives_way_to_the_url_and_then_to_the_next_route,
    a_page_of_the_sending_mini_program_that_is_not_released_goes_to_the_next_route,
    a_template_that_was_deleted_goes_to_the_next_route_on_each_channel,
    one_restricted_person_does_not_stop_the_account_and_three_in_a_row_do,
    a_problem_is_over_when_the_call_that_it_came_from_works_and_no_other,
    who_switched_a_template_off_inside_wechat_is_told_so,
}

async fn wechats_words_and_the_rid_are_shown_for_known_and_unknown_codes(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    for (errcode, words) in [(47001, "data format error"), (49999, "simulated error")] {
        routes.refuse(TEMPLATE_SEND, errcode);
        let delivery = routes.sent("s1").await;
        let attempt = &delivery["attempts"][0];
        assert_eq!(
            (&attempt["errcode"], &attempt["errmsg"], &attempt["call"]),
            (&json!(errcode), &json!(words), &json!("template/send"))
        );
        let rid = attempt["rid"].as_str().unwrap();
        assert_eq!(rid.len(), 26);
        let hint = attempt["rid_hint"].as_str().unwrap();
        assert!(
            hint.contains("seven days") && hint.contains("微信开发者平台"),
            "{hint}"
        );
        for detail in [&delivery["detail"], &attempt["detail"]] {
            let detail = detail.as_str().unwrap();
            assert!(detail.contains(words) && detail.contains(rid), "{detail}");
        }
        let story = routes
            .app
            .get(&routes.key, "/staff/s1/explain")
            .await
            .ok(200);
        let error = &story["deliveries"][0]["error"];
        assert_eq!(
            (&error["errmsg"], &error["rid"], &error["rid_hint"]),
            (&json!(words), &attempt["rid"], &json!(hint))
        );
        let steps = story["next_steps"].to_string();
        assert!(steps.contains(words) && steps.contains(rid), "{steps}");
    }
    let fine = routes.sent("s1").await;
    let attempt = &fine["attempts"][0];
    for field in ["errcode", "call", "errmsg", "rid", "rid_hint", "meaning"] {
        assert_eq!(attempt[field], Value::Null, "{field}");
    }
}

async fn a_page_that_is_not_released_gives_way_to_the_url_and_then_to_the_next_route(
    routes: RouteFixture,
) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.released(&["pages/there"]);
    let gone = "pages/gone?id=7";
    routes.set(json!([opening("pages/there?id=7", None)])).await;
    let delivery = routes.sent("s1").await;
    assert_eq!(tries(&delivery), [(None, "accepted")]);
    // The web page is opened instead.
    routes
        .set(json!([
            opening(gone, Some("https://example.com/7")),
            route("mp_subscribe")
        ]))
        .await;
    routes.world().clear_records();
    let calls = routes.calls(TEMPLATE_SEND);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["route"]),
        (&json!("delivered"), &json!(0)),
        "{delivery}"
    );
    assert_eq!(
        tries(&delivery),
        [(Some(40165), "refused"), (None, "accepted")]
    );
    let refused = &delivery["attempts"][0];
    assert_eq!(refused["errmsg"], "invalid weapp pagepath");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("without the mini-program"),
        "{refused}"
    );
    assert_eq!(routes.calls(TEMPLATE_SEND) - calls, 2);
    let seen = routes.world().messages();
    assert_eq!(
        (
            seen.len(),
            seen[0].url.as_deref(),
            seen[0].miniprogram.is_none()
        ),
        (1, Some("https://example.com/7"), true)
    );
    // Without one, the next route.
    routes
        .set(json!([opening(gone, None), route("mp_subscribe")]))
        .await;
    let delivery = routes.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        [("template", "page_not_released"), ("mp_subscribe", "taken")]
    );
    assert_eq!(
        tries(&delivery),
        [(Some(40165), "refused"), (None, "accepted")]
    );
    // And what WeChat says of the message without its mini-program counts as ever.
    routes
        .set(json!([opening(gone, Some("https://example.com/7"))]))
        .await;
    for errcode in [40165, 43019] {
        routes.refuse(TEMPLATE_SEND, errcode);
    }
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("blocked"))
    );
    assert_eq!(
        tries(&delivery),
        [(Some(40165), "refused"), (Some(43019), "refused")]
    );
}

async fn a_page_of_the_sending_mini_program_that_is_not_released_goes_to_the_next_route(
    routes: RouteFixture,
) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    let released = |released| {
        routes
            .world()
            .change_account(MP, |settings| settings.released = released)
            .unwrap();
    };
    let mut first = route("mp_subscribe");
    first["page"] = json!("pages/any");
    routes.set(json!([first, route("template")])).await;
    released(false);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        [("mp_subscribe", "page_not_released"), ("template", "taken")]
    );
    assert_eq!(
        (tries(&delivery)[0], routes.left("s1").await),
        ((Some(41030), "refused"), 1)
    );
    released(true);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["route"], routes.left("s1").await),
        (&json!(0), 0)
    );
}

async fn a_template_that_was_deleted_goes_to_the_next_route_on_each_channel(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.allow(OA, 1).await;
    for (channel, account, next) in [
        ("mp_subscribe", MP, "template"),
        ("oa_subscribe", OA, "template"),
        ("template", OA, "webhook"),
    ] {
        let made = routes.app.post(
            &routes.key,
            "/webhooks",
            json!({"url": "http://127.0.0.1:9/", "events": ["webhook.disabled"]}),
        );
        let endpoint = made.await.ok(201)["id"].clone();
        let second = match next {
            "webhook" => json!({"channel": "webhook", "endpoint": endpoint, "fields": {}}),
            other => route(other),
        };
        routes.set(json!([route(channel), second])).await;
        let id = if channel == "template" { "TPL" } else { ONCE };
        routes.world().remove_template(account, id).unwrap();
        let delivery = routes.sent("s1").await;
        assert_eq!(
            verdicts(&delivery)[0],
            (channel, "template_unknown"),
            "{delivery}"
        );
        assert_eq!(
            (tries(&delivery)[0], &delivery["route"]),
            ((Some(40037), "refused"), &json!(1))
        );
    }
}

async fn one_restricted_person_does_not_stop_the_account_and_three_in_a_row_do(
    routes: RouteFixture,
) {
    for person in 1..=8 {
        routes.member(&format!("s{person}"), person).await;
    }
    routes.channels(&["template"]).await;
    let restrict = |person, is| routes.world().restrict(OA, person, is).unwrap();
    for person in 1..=6 {
        restrict(person, true);
    }
    for person in [1, 2] {
        let delivery = routes.sent(&format!("s{person}")).await;
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("failed"), &json!("recipient_refused"))
        );
    }
    assert_eq!(routes.problem(OA).await, Value::Null);
    // A message that WeChat takes ends the row.
    assert_eq!(routes.sent("s7").await["state"], "delivered");
    for person in [1, 1, 3] {
        let delivery = routes.sent(&format!("s{person}")).await;
        assert_eq!(delivery["reason"], "recipient_refused");
    }
    let delivery = routes.sent("s4").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("queued"), &json!("account_problem")),
        "{delivery}"
    );
    let problem = routes.problem(OA).await;
    assert_eq!(
        (&problem["code"], &problem["call"]),
        (&json!(50002), &json!("template/send")),
        "{problem}"
    );
    assert_eq!(
        routes.sent("s8").await["state"],
        "queued",
        "the account is stopped"
    );
    for person in 1..=6 {
        restrict(person, false);
    }
    routes.pass(900, 60).await;
    let page = routes
        .app
        .get(&routes.key, "/deliveries?state=queued")
        .await
        .ok(200);
    assert_eq!(page["items"], json!([]));
    assert_eq!(routes.problem(OA).await, Value::Null);
}

async fn a_problem_is_over_when_the_call_that_it_came_from_works_and_no_other(
    routes: RouteFixture,
) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    let fails = |path: &str, errcode| {
        let fault = Fault::at(path, FaultKind::Errcode { errcode }).times(1);
        routes.world().add_fault(fault).unwrap();
    };
    // A mini-program that is used for logins only.
    fails("/sns/jscode2session", 40243);
    assert_ne!(routes.log_in(1).await, 200);
    let problem = routes.problem(MP).await;
    assert_eq!(
        (&problem["code"], &problem["call"], &problem["errmsg"]),
        (
            &json!(40243),
            &json!("jscode2session"),
            &json!("simulated error")
        )
    );
    assert!(
        problem["rid_hint"].as_str().unwrap().contains("login"),
        "{problem}"
    );
    // Another call of the mini-program says nothing of logins.
    routes.allow(MP, 1).await;
    routes.channels(&["mp_subscribe"]).await;
    assert_eq!(routes.sent("s1").await["state"], "delivered");
    assert_eq!(routes.problem(MP).await["code"], 40243);
    assert_eq!(routes.log_in(1).await, 200);
    assert_eq!(routes.problem(MP).await, Value::Null);
    // The same of another process that has noted it, and of a process that was restarted.
    fails("/sns/jscode2session", 40243);
    assert_ne!(routes.log_in(1).await, 200);
    routes.app.advance(std::time::Duration::from_secs(6));
    assert_eq!(routes.log_in(1).await, 200);
    assert_eq!(routes.problem(MP).await, Value::Null);
}

async fn who_switched_a_template_off_inside_wechat_is_told_so(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    routes.world().switch_template(OA, 1, "TPL", false).unwrap();
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("refused_by_person"))
    );
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["errcode"], 43101);
    for text in [&delivery["detail"], &attempt["meaning"]] {
        let text = text.as_str().unwrap();
        assert!(
            text.contains("switched")
                && text.contains("inside WeChat")
                && !text.contains("mini-program"),
            "{text}"
        );
    }
    // On a subscription message it means what it meant.
    routes.channels(&["mp_subscribe"]).await;
    routes.believe(1).await;
    let delivery = routes.sent("s1").await;
    assert!(
        delivery["detail"]
            .as_str()
            .unwrap()
            .contains("ask the person for permission again"),
        "{delivery}"
    );
}
