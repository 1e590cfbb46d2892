//! What HTTP itself asks of every route: HEAD beside GET, and bytes that are text.

use reqwest::Method;
use serde_json::json;

use super::{ApiFixture, OA};

both_engines! {
    head_is_answered_where_get_is_and_has_no_body,
    bytes_that_are_no_text_are_refused_with_the_field,
    a_body_takes_the_times_that_a_query_string_takes,
}

async fn head_is_answered_where_get_is_and_has_no_body(api: ApiFixture) {
    let app = &api.app;
    for path in [
        "/healthz",
        "/readyz",
        "/readyz/callbacks",
        "/",
        "/api/v1/staff",
        "/api/v1/people?limit=1",
        "/api/v1/staff/nobody",
        "/api/v1/accounts",
        "/callback/wx00000000000000ff",
    ] {
        let ask = async |method| {
            app.send(app.request(method, path).bearer_auth(&api.key))
                .await
        };
        let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.text, "", "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.headers.get(name), get.headers.get(name), "{path}");
        }
    }
    let head = app.send(app.request(Method::HEAD, "/api/v1/staff")).await;
    assert_eq!((head.status, head.text.as_str()), (401, ""));
    let head = app
        .send(
            app.request(Method::HEAD, "/api/v1/deliveries/retry")
                .bearer_auth(&api.key),
        )
        .await;
    assert_eq!(head.status, 405);
}

async fn bytes_that_are_no_text_are_refused_with_the_field(api: ApiFixture) {
    let app = &api.app;
    app.put(&api.key, "/staff/%E6%9D%8E", json!({}))
        .await
        .ok(201);
    app.get(&api.key, "/staff/%e6%9d%8E").await.ok(200);
    for bytes in ["%FF", "%fe", "a%C3", "%ED%A0%80", "%E6%9D"] {
        let path = format!("/staff/{bytes}");
        app.put(&api.key, &path, json!({}))
            .await
            .refused(400, "invalid_path", "staff_id");
        app.get(&api.key, &format!("{path}/credits")).await.refused(
            400,
            "invalid_path",
            "staff_id",
        );
        let path = format!("/people?limit=1&openid={bytes}");
        app.get(&api.key, &path)
            .await
            .refused(400, "invalid_query", "openid");
        app.get(&api.key, &format!("/people?{bytes}=1"))
            .await
            .refused(400, "invalid_query", "");
    }
    // No digits: then it is a sign like others.
    app.get(&api.key, "/staff/%zz")
        .await
        .refused(404, "not_found", "");
}

async fn a_body_takes_the_times_that_a_query_string_takes(api: ApiFixture) {
    let app = &api.app;
    for path in ["/deliveries/retry", "/events/replay"] {
        for (since, until) in [
            (json!(1_767_225_600), json!(1_767_225_601)),
            (json!("1767225600"), json!("2026-01-02T00:00:00Z")),
            (json!(0), json!(null)),
        ] {
            let body = json!({"app_id": OA, "since": since, "until": until});
            let answer = app.post(&api.key, path, body).await.ok(202);
            assert_eq!(answer["taken"], 0, "{answer}");
        }
        for wrong in [json!(true), json!([1]), json!({}), json!(1.5)] {
            let refused = app
                .post(&api.key, path, json!({"app_id": OA, "until": wrong}))
                .await;
            assert_eq!(
                (refused.status, &refused.json()["field"]),
                (422, &json!("until")),
                "{refused:?}"
            );
        }
    }
}
