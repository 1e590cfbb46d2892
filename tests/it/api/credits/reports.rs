//! What the business reports of permissions, for an account without pushes.

use queqiao::simulator::{Choice, population};
use queqiao::wechat::fields::Format;
use serde_json::{Value, json};

use super::super::{FOREIGN, MP, OA, Two};
use super::{LASTING, ONCE, OTHER};

both_engines! {
    an_account_without_pushes_is_told_by_the_business,
    what_a_report_says_wrongly_of_a_template_counts_until_wechat_lists_it,
    a_report_is_checked,
}

async fn an_account_without_pushes_is_told_by_the_business(two: Two) {
    two.subscriptions(Format::Json);
    two.member("s1", 1).await;
    let results = json!({"errMsg": "requestSubscribeMessage:ok", ONCE: "acceptWithAudio", OTHER: "ban", "tpl-same-title": "filter", "tpl-no": "reject"});
    let path = format!("/miniprogram/{MP}/subscriptions");
    let body = json!({"code": two.code(1), "results": results, "reported_at": two.stamp()});
    let told = two.app.post(&two.key, &path, body.clone()).await.ok(200);
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
    two.app
        .post(&two.key, &path, body)
        .await
        .refused(422, "code_used", "code");

    two.wait(5);
    let body = json!({"code": two.code(1), "results": {LASTING: "accept"}, "long_term": true});
    let told = two.app.post(&two.key, &path, body).await.ok(200);
    let lasting = &told["credits"][0];
    assert_eq!(
        (&lasting["long_term"], &lasting["allowed"]),
        (&json!(true), &json!(true))
    );
    two.member("s2", 2).await;
    two.popup(MP, 2, &[(LASTING, Choice::Accept)]).await;
    assert_eq!(
        two.credits("s2").await[0]["long_term"],
        true,
        "as for everybody"
    );
    two.wait(5);
    two.popup(MP, 2, &[(LASTING, Choice::Reject)]).await;
    assert_eq!(two.credits("s2").await[0]["allowed"], false);
}

async fn what_a_report_says_wrongly_of_a_template_counts_until_wechat_lists_it(two: Two) {
    two.subscriptions(Format::Xml);
    for (staff_id, person) in [("s1", 1), ("s2", 2)] {
        two.member(staff_id, person).await;
    }
    let path = format!("/miniprogram/{MP}/subscriptions");
    let report = async |person: u32| {
        let body =
            json!({"code": two.code(person), "results": {ONCE: "accept"}, "long_term": true});
        two.app.post(&two.key, &path, body).await.ok(200)["credits"][0]["long_term"].clone()
    };
    assert_eq!(report(1).await, true, "nothing else is known");
    let sync = format!("/accounts/{MP}/templates/sync");
    two.app.call("POST", &two.key, &sync, None).await.ok(200);
    assert_eq!(two.credits("s1").await[0]["long_term"], false);
    two.wait(5);
    assert_eq!(
        (report(1).await, report(2).await),
        (json!(false), json!(false))
    );
    for staff_id in ["s1", "s2"] {
        assert_eq!(
            two.credits(staff_id).await[0]["long_term"],
            false,
            "{staff_id}"
        );
    }
}

async fn a_report_is_checked(two: Two) {
    two.member("s1", 1).await;
    let path = format!("/miniprogram/{MP}/subscriptions");
    let good = json!({"openid": population::openid(MP, 1), "results": {ONCE: "accept"}});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let future = (two.app.clock.now() + chrono::TimeDelta::minutes(11))
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
        let answer = two.app.post(&two.key, &path, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{body}: {problem}");
        assert!(
            problem["field"].as_str() == Some(field),
            "{body}: {problem}"
        );
    }
    let official = format!("/miniprogram/{OA}/subscriptions");
    two.app
        .post(&two.key, &official, good.clone())
        .await
        .refused(422, "wrong_account_kind", "app_id");
    let foreign = format!("/miniprogram/{FOREIGN}/subscriptions");
    two.app
        .post(&two.key, &foreign, good.clone())
        .await
        .refused(404, "not_found", "");
    two.app
        .post(&two.other, &path, good)
        .await
        .refused(404, "not_found", "");
    assert_eq!(two.credits("s1").await, Vec::<Value>::new());
    two.app
        .get(&two.key, "/staff/nobody/credits")
        .await
        .refused(404, "not_found", "");
    two.app
        .get(&two.other, "/staff/s1/credits")
        .await
        .refused(404, "not_found", "");
}
