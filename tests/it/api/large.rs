//! Large bodies: what is too much is refused by its place while it is read, and not too many come at once.

use queqiao::db::Engine;
use reqwest::Method;
use serde_json::json;

use super::{ApiFixture, MP};
use crate::support::{Setup, TestProject};

both_engines! {
    what_is_too_much_is_named_before_the_rest_is_read,
    a_row_that_is_too_much_is_refused_alone,
}

async fn what_is_too_much_is_named_before_the_rest_is_read(api: ApiFixture) {
    let most = api.app.bridge.config.deliver.max_recipients;
    let cases = [
        // None of them is whole: what is behind the limit is not looked at.
        (
            "/notifications",
            format!(r#"{{"staff_ids":[{}"","#, r#""","#.repeat(most)),
            "staff_ids",
            Some(most),
        ),
        (
            "/notifications/preflight",
            format!(r#"{{"people":[{}{{}},"#, "{},".repeat(most)),
            "people",
            Some(most),
        ),
        (
            "/notifications",
            format!(r#"{{"params":{{"a":"{}"}},"#, "x".repeat(200_000)),
            "params",
            Some(65_536),
        ),
        (
            "/notifications",
            format!(r#"{{"tag":"{}","#, "x".repeat(65_537)),
            "tag",
            Some(65_536),
        ),
        (
            "/notifications",
            format!(r#"{{"{}":"#, "x".repeat(1_025)),
            "",
            Some(1_024),
        ),
        (
            "/deliveries/retry",
            format!("{{\"{}\":", "x".repeat(1_025)),
            "",
            Some(1_024),
        ),
    ];
    let send = async |path: &str, body: String| {
        let request = api
            .app
            .request(Method::POST, &format!("/api/v1{path}"))
            .bearer_auth(&api.key);
        api.app
            .send(
                request
                    .header("content-type", "application/json")
                    .body(body),
            )
            .await
    };
    for (path, body, field, limit) in cases {
        let problem = send(path, body).await.refused(422, "invalid_field", field);
        assert_eq!(
            problem["limit"].as_u64(),
            limit.map(|limit| limit as u64),
            "{problem}"
        );
    }
    let rows = format!(r#"{{"rows":[{}{{}},"#, "{},".repeat(10_000));
    send(&format!("/miniprogram/{MP}/identities"), rows)
        .await
        .refused(422, "invalid_field", "rows");
    let events = format!(
        r#"{{"url":"https://example.com/","events":[{}"*","#,
        r#""*","#.repeat(1_000)
    );
    send("/webhooks", events)
        .await
        .refused(422, "invalid_field", "events");
    let answers = vec![format!(r#"{{"results":{{{}}}}}"#, vec![r#""a":"""#; 100].join(",")); 8_000];
    let people = format!(r#"{{"people":[{}"#, answers.join(","));
    send("/notifications", people)
        .await
        .refused(422, "invalid_field", "people[5882].results");
}

async fn a_row_that_is_too_much_is_refused_alone(api: ApiFixture) {
    let consents: serde_json::Map<_, _> = (0..30).map(|at| (format!("T{at}"), json!(1))).collect();
    let rows = json!([
        {"openid": "oRow1"},
        {"openid": "oRow2", "consents": consents},
        {"openid": "oRow3", "unionid": "x".repeat(40_000)},
        {"openid": "oRow4", "consents": {"T": [[[[{"deep": []}]]]]}},
    ]);
    let path = format!("/miniprogram/{MP}/identities");
    let answer = api
        .app
        .post(&api.key, &path, json!({"rows": rows}))
        .await
        .ok(200);
    assert_eq!(answer["rows"][0]["outcome"], "created");
    for (row, word) in [(1, "at most 20"), (2, "at most 32768"), (3, "consents.T")] {
        let row = &answer["rows"][row];
        assert_eq!(row["outcome"], "refused", "{answer}");
        assert!(row["detail"].as_str().unwrap().contains(word), "{row}");
    }
}

#[tokio::test]
async fn large_bodies_share_a_budget_and_give_it_back() {
    let small = |config: &mut queqiao::config::Config| config.api.large_body_bytes = 1 << 20;
    let setup = Setup::on(Engine::Sqlite).settings(small).project("one");
    let TestProject { app, key, .. } = setup.start().await;
    let ids =
        |count: usize| json!({"message_type": "none", "staff_ids": vec!["x".repeat(100); count]});
    for _ in 0..3 {
        let busy = app.post(&key, "/notifications", ids(12_000)).await;
        busy.refused(503, "busy", "");
        assert_eq!(busy.headers["retry-after"], "2");
        let taken = app.post(&key, "/notifications", ids(9_000)).await;
        taken.refused(422, "unknown_message_type", "message_type");
    }
}

#[tokio::test]
async fn a_key_may_not_test_endpoints_without_end_and_answers_are_sealed() {
    let few = |config: &mut queqiao::config::Config| {
        config.api.webhook_tests_per_minute = 2;
        config.webhooks.allow_private_addresses = true;
    };
    let setup = Setup::on(Engine::Sqlite).settings(few).project("one");
    let TestProject { app, key, .. } = setup.start().await;
    let endpoint = json!({"url": "http://127.0.0.1:9/", "events": ["*"]});
    let made = app.post(&key, "/webhooks", endpoint).await.ok(201);
    let path = format!("/webhooks/{}/test", made["id"]);
    let test = async || app.call("POST", &key, &path, None).await;
    for _ in 0..2 {
        test().await.ok(202);
    }
    let refused = test().await;
    assert_eq!(refused.refused(429, "too_often", "")["limit"], 2);
    assert_eq!(refused.headers["retry-after"], "30");
    app.advance(std::time::Duration::from_secs(31));
    test().await.ok(202);
    let answers = [
        app.get(&key, "/webhooks").await,
        app.get("", "/webhooks").await,
        app.get(&key, "/nowhere").await,
        app.delete(&key, "/webhooks").await,
    ];
    for answer in answers {
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{answer:?}"
        );
        assert_eq!(answer.headers["cache-control"], "no-store", "{answer:?}");
    }
}
