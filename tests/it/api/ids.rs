//! Texts that are no openid, unionid or staff id are refused in words wherever such ids come in.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};

/// What no id is, and a word of what is said about it.
const NO_ID: [(&str, &str); 8] = [
    ("undefined", "\"undefined\""),
    ("null", "missing"),
    ("NULL", "missing"),
    ("NaN", "missing"),
    ("None", "missing"),
    (" oABC", "blanks"),
    ("oABC\u{3000}", "blanks"),
    ("", "empty"),
];
/// What besides is no id of WeChat's.
const NOT_OF_WECHAT: [(&str, &str); 4] = [
    ("gh_0a1b2c3d4e5f", "original id"),
    ("o…", "ellipsis"),
    ("oABC...", "ellipsis"),
    (OA, "AppID"),
];

fn said(problem: &Value, text: &str, word: &str) {
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(word), "{text:?}: {problem}");
}

both_engines! {
    an_openid_or_unionid_that_is_none_is_refused_in_words,
    a_staff_id_that_is_none_is_refused_in_words,
}

async fn an_openid_or_unionid_that_is_none_is_refused_in_words(api: ApiFixture) {
    let app = &api.app;
    api.staff("s1").await;
    for (text, word) in NO_ID.iter().chain(&NOT_OF_WECHAT) {
        for (path, body, field) in [
            (
                "/staff/s1/bindings",
                json!({"app_id": OA, "openid": text}),
                "openid",
            ),
            ("/staff/s1/bindings", json!({"unionid": text}), "unionid"),
            (
                &format!("/miniprogram/{MP}/subscriptions"),
                json!({"openid": text, "results": {"T": "accept"}}),
                "openid",
            ),
            (
                "/notifications",
                json!({"message_type": "ping", "people": [{"unionid": "oU"}, {"app_id": OA, "openid": text}]}),
                "people[1].openid",
            ),
            (
                "/notifications/preflight",
                json!({"message_type": "ping", "people": [{"unionid": text}]}),
                "people[0].unionid",
            ),
            ("/deliveries/retry", json!({"openid": text}), "openid"),
            ("/deliveries/retry", json!({"unionid": text}), "unionid"),
        ] {
            let problem = app
                .post(&api.key, path, body)
                .await
                .refused(422, "invalid_field", field);
            said(&problem, text, word);
        }
    }
    for path in [
        "/people?openid=undefined",
        "/deliveries?openid=undefined",
        "/events?openid=undefined",
    ] {
        app.get(&api.key, path)
            .await
            .refused(422, "invalid_field", "openid");
    }
    app.get(&api.key, "/people?unionid=gh_1")
        .await
        .refused(422, "invalid_field", "unionid");
    let member = app.get(&api.key, "/staff/s1").await.ok(200);
    assert_eq!(member["bindings"], json!([]));
    let binding = json!({"unionid": population::unionid(1)});
    api.bind("s1", binding).await;
}

async fn a_staff_id_that_is_none_is_refused_in_words(api: ApiFixture) {
    let app = &api.app;
    for (text, word) in NO_ID {
        let body = json!({"message_type": "ping", "staff_ids": ["s1", text]});
        for path in ["/notifications", "/notifications/preflight"] {
            let answer = app.post(&api.key, path, body.clone()).await;
            said(
                &answer.refused(422, "invalid_field", "staff_ids[1]"),
                text,
                word,
            );
        }
        if text.is_empty() {
            continue;
        }
        let path: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = app
            .put(&api.key, &format!("/staff/{path}"), json!({}))
            .await;
        said(
            &answer.refused(422, "invalid_field", "staff_id"),
            text,
            word,
        );
    }
    assert_eq!(
        app.get(&api.key, "/staff").await.ok(200)["items"],
        json!([])
    );
    let original = app.put(&api.key, "/staff/gh_0a1b2c3d4e5f", json!({})).await;
    said(
        &original.refused(422, "invalid_field", "staff_id"),
        "gh_0a1b2c3d4e5f",
        "original id",
    );
    app.get(&api.key, "/people?staff_id=null")
        .await
        .refused(422, "invalid_field", "staff_id");
    // The business makes its own ids: only WeChat's are known to look otherwise.
    for id in ["ghost_1", "e%201001", "nullo", "...", OA] {
        app.put(&api.key, &format!("/staff/{id}"), json!({}))
            .await
            .ok(201);
    }
}
