//! What the business reports of permissions, for an account without pushes.

use queqiao::simulator::{Choice, population};
use queqiao::wechat::fields::Format;
use serde_json::{Value, json};

use super::super::{ApiFixture, FOREIGN, MP, OA};
use super::{LASTING, ONCE, OTHER};

both_engines! {
    an_account_without_pushes_is_told_by_the_business,
    what_a_report_says_wrongly_of_a_template_counts_until_wechat_lists_it,
    a_report_is_checked,
}

async fn an_account_without_pushes_is_told_by_the_business(api: ApiFixture) {
    api.subscriptions(Format::Json);
    api.member("s1", 1).await;
    let results = json!({"errMsg": "requestSubscribeMessage:ok", ONCE: "acceptWithAudio", OTHER: "ban", "tpl-same-title": "filter", "tpl-no": "reject"});
    let path = format!("/miniprogram/{MP}/subscriptions");
    let body = json!({"code": api.code(1), "results": results, "reported_at": api.stamp()});
    let told = api.app.post(&api.key, &path, body.clone()).await.ok(200);
    assert_eq!(told["openid"], population::openid(MP, 1));
    let credits = told["credits"].as_array().unwrap();
    let ids: Vec<_> = credits
        .iter()
        .map(|credit| credit["template_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        ["tpl-no", ONCE, OTHER],
        "nobody was asked about the filtered one"
    );
    assert!(credits[0]["rejected_at"].is_string());
    assert_eq!(
        (&credits[1]["one_time_left"], &credits[1]["sources"]),
        (&json!(1), &json!(["api"]))
    );
    assert!(credits[2]["banned_at"].is_string() && credits[2]["rejected_at"].is_null());
    api.app
        .post(&api.key, &path, body)
        .await
        .refused(422, "code_used", "code");

    api.wait(5);
    let body = json!({"code": api.code(1), "results": {LASTING: "accept"}, "long_term": true});
    let told = api.app.post(&api.key, &path, body).await.ok(200);
    let lasting = &told["credits"][0];
    assert_eq!(
        (&lasting["long_term"], &lasting["allowed"]),
        (&json!(true), &json!(true))
    );
    api.member("s2", 2).await;
    api.popup(MP, 2, &[(LASTING, Choice::Accept)]).await;
    assert_eq!(
        api.credits("s2").await[0]["long_term"],
        true,
        "as for everybody"
    );
    api.wait(5);
    api.popup(MP, 2, &[(LASTING, Choice::Reject)]).await;
    assert_eq!(api.credits("s2").await[0]["allowed"], false);
}

async fn what_a_report_says_wrongly_of_a_template_counts_until_wechat_lists_it(api: ApiFixture) {
    api.subscriptions(Format::Xml);
    for (staff_id, person) in [("s1", 1), ("s2", 2)] {
        api.member(staff_id, person).await;
    }
    let path = format!("/miniprogram/{MP}/subscriptions");
    let report = async |person: u32| {
        let body =
            json!({"code": api.code(person), "results": {ONCE: "accept"}, "long_term": true});
        api.app.post(&api.key, &path, body).await.ok(200)["credits"][0]["long_term"].clone()
    };
    assert_eq!(report(1).await, true, "nothing else is known");
    let sync = format!("/accounts/{MP}/templates/sync");
    api.app.call("POST", &api.key, &sync, None).await.ok(200);
    assert_eq!(api.credits("s1").await[0]["long_term"], false);
    api.wait(5);
    assert_eq!(
        (report(1).await, report(2).await),
        (json!(false), json!(false))
    );
    for staff_id in ["s1", "s2"] {
        assert_eq!(
            api.credits(staff_id).await[0]["long_term"],
            false,
            "{staff_id}"
        );
    }
}

async fn a_report_is_checked(api: ApiFixture) {
    api.member("s1", 1).await;
    let path = format!("/miniprogram/{MP}/subscriptions");
    let good = json!({"openid": population::openid(MP, 1), "results": {ONCE: "accept"}});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let future = (api.app.clock.now() + chrono::TimeDelta::minutes(11))
        .and_utc()
        .to_rfc3339();
    for (body, status, code, field) in [
        (
            with("code", json!("c")),
            422,
            "invalid_body",
            "code, openid",
        ),
        (with("openid", json!("")), 422, "invalid_field", "openid"),
        (
            with("openid", json!(population::openid(MP, 9))),
            422,
            "unknown_openid",
            "openid",
        ),
        (with("results", json!({})), 422, "invalid_field", "results"),
        (
            with("results", json!({"x".repeat(129): "accept"})),
            422,
            "too_long",
            "results",
        ),
        (
            with("results", json!({ONCE: "maybe"})),
            422,
            "invalid_field",
            "results.tpl-once",
        ),
        (
            with("results", json!({"errMsg": "requestSubscribeMessage:fail"})),
            422,
            "invalid_field",
            "results",
        ),
        (
            with("reported_at", json!("yesterday")),
            422,
            "invalid_field",
            "reported_at",
        ),
        (
            with("reported_at", json!(future)),
            422,
            "invalid_field",
            "reported_at",
        ),
        (with("colour", json!("red")), 422, "unknown_field", "colour"),
    ] {
        let answer = api.app.post(&api.key, &path, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{body}: {problem}");
        assert!(
            problem["field"].as_str() == Some(field),
            "{body}: {problem}"
        );
    }
    let official = format!("/miniprogram/{OA}/subscriptions");
    api.app
        .post(&api.key, &official, good.clone())
        .await
        .refused(422, "wrong_account_kind", "app_id");
    let foreign = format!("/miniprogram/{FOREIGN}/subscriptions");
    api.app
        .post(&api.key, &foreign, good.clone())
        .await
        .refused(404, "not_found", "");
    api.app
        .post(&api.other, &path, good)
        .await
        .refused(404, "not_found", "");
    assert_eq!(api.credits("s1").await, Vec::<Value>::new());
    api.app
        .get(&api.key, "/staff/nobody/credits")
        .await
        .refused(404, "not_found", "");
    api.app
        .get(&api.other, "/staff/s1/credits")
        .await
        .refused(404, "not_found", "");
}
