//! What is wrong with a request is said in one shape, whatever is wrong; and hostile requests.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ApiFixture, MP};
use crate::support::lists::LISTS;

/// The status of a request whose target goes over the wire as it is.
async fn raw(api: &ApiFixture, target: &str) -> String {
    let address = api.app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        api.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

both_engines! {
    no_text_of_a_query_string_or_path_goes_unchecked,
    bodies_that_do_not_fit_are_explained,
    what_does_not_fit_is_said_in_words_of_json_with_its_field,
    where_a_body_says_nothing_it_may_be_left_out,
    strangers_are_told_where_the_documentation_is,
    query_strings_that_do_not_fit_are_explained,
    paths_that_lead_nowhere_are_explained,
    large_bodies_have_their_limit_and_strangers_send_none,
}

async fn no_text_of_a_query_string_or_path_goes_unchecked(api: ApiFixture) {
    let lists = LISTS
        .iter()
        .map(|list| (list, list.filters.iter().map(|(name, _)| *name)));
    for (list, filters) in lists {
        for name in filters.chain(["limit", "cursor"]) {
            let path = list.path.replace("{notification}", "1");
            let control = api.app.get(&api.key, &format!("{path}?{name}=a%00b")).await;
            control.refused(400, "control_character", name);
            let long = api
                .app
                .get(&api.key, &format!("{path}?{name}={}", "x".repeat(513)))
                .await;
            assert_eq!(long.refused(400, "invalid_query", name)["limit"], 512);
        }
    }
    api.app
        .get(&api.key, "/staff/a%00b")
        .await
        .refused(400, "control_character", "staff_id");
    let long = format!("/staff/{}", "x".repeat(513));
    api.app
        .get(&api.key, &long)
        .await
        .refused(400, "invalid_path", "staff_id");
}

async fn bodies_that_do_not_fit_are_explained(api: ApiFixture) {
    let app = &api.app;
    let put = |body: String, kind: &str| {
        let request = app.request(Method::PUT, "/api/v1/staff/s1");
        let request = request.bearer_auth(&api.key).header("Content-Type", kind);
        app.send(request.body(body))
    };
    let json = "application/json";
    for (body, status, code, field) in [
        ("{", 400, "invalid_json", ""),
        ("", 400, "invalid_json", ""),
        ("\u{0}", 400, "invalid_json", ""),
        ("{\"colour\": 1}", 422, "unknown_field", "colour"),
        ("{\"name\": 1}", 422, "invalid_body", "name"),
        ("{\"tags\": \"a,b\"}", 422, "invalid_body", "tags"),
        ("{\"tags\": [\"a\", 1]}", 422, "invalid_body", "tags[1]"),
        (
            "{\"name\": \"a\", \"name\": \"b\"}",
            422,
            "invalid_body",
            "name",
        ),
        ("[1]", 422, "invalid_body", ""),
        ("[\"王芳\", [\"a\"]]", 422, "invalid_body", ""),
        ("{\"name\": \"\\u0000\"}", 400, "control_character", "name"),
        ("{\"name\": \"a\\nb\"}", 400, "control_character", "name"),
        ("{\"name\": \"\"}", 422, "invalid_field", "name"),
    ] {
        put(body.to_owned(), json)
            .await
            .refused(status, code, field);
    }
    put("{}".to_owned(), "text/plain")
        .await
        .refused(415, "unsupported_media_type", "");
    let long = json!({"name": "😀".repeat(201)}).to_string();
    let problem = put(long, json).await.refused(422, "too_long", "name");
    assert_eq!(problem["limit"], 200);
    put(json!({"name": "😀".repeat(200)}).to_string(), json)
        .await
        .ok(201);
    let large = format!("{{\"name\": \"{}\"}}", "a".repeat(64 << 10));
    let problem = put(large, json).await.refused(413, "body_too_large", "");
    assert_eq!(problem["limit"], 64 << 10);
    let missing = app
        .post(&api.key, &format!("/miniprogram/{MP}/sessions"), json!({}))
        .await;
    missing.refused(422, "missing_field", "code");
}

async fn what_does_not_fit_is_said_in_words_of_json_with_its_field(api: ApiFixture) {
    let app = &api.app;
    let path = "/notifications";
    for (body, field, detail) in [
        (
            json!({"message_type": "a", "staff_ids": "a,b"}),
            "staff_ids",
            "staff_ids must be a list, and is the text \"a,b\".",
        ),
        (
            json!({"message_type": 1}),
            "message_type",
            "message_type must be a text, and is the number 1.",
        ),
        (
            json!({"message_type": "a", "all_staff": 1}),
            "all_staff",
            "all_staff must be true or false, and is the number 1.",
        ),
        (
            json!({"message_type": "a", "staff_ids": ["a", {}]}),
            "staff_ids[1]",
            "staff_ids[1] must be a text, and is an object.",
        ),
        (
            json!({"message_type": "a", "people": [["wx1", "o1"]]}),
            "people[0]",
            "people[0] must be an object, and is a list.",
        ),
        (
            json!({"message_type": "a", "params": []}),
            "params",
            "params must be an object, and is a list.",
        ),
        (
            json!(["a"]),
            "",
            "The body must be an object, and is a list.",
        ),
    ] {
        let problem = app
            .post(&api.key, path, body)
            .await
            .refused(422, "invalid_body", field);
        assert_eq!(problem["detail"], detail);
    }
    for word in [json!(5), json!(true), json!([]), json!({})] {
        let body = json!({"routes": [{"account": MP, "template_id": "T", "channel": word}]});
        let answer = app.put(&api.key, "/message-types/a", body).await;
        let problem = answer.refused(422, "invalid_body", "routes[0].channel");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("must be a text"),
            "{problem}"
        );
    }
    for broken in [
        r#"{"message_type": "\ud800"}"#,
        r#"{"params": {"n": 1e}}"#,
        &format!("{{\"params\": {{\"n\": {}", "[".repeat(200)),
    ] {
        let request = app.request(Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&api.key)
            .header("Content-Type", "application/json");
        app.send(request.body(broken.to_owned()))
            .await
            .refused(400, "invalid_json", "");
    }
    let rust = [
        "struct",
        "sequence",
        "a map",
        "u64",
        "i64",
        "integer `",
        "line 1",
        "enum",
        "variant",
        "unit",
    ];
    let wrong = [
        json!(null),
        json!(true),
        json!(-1.5),
        json!("x"),
        json!([]),
        json!([1]),
        json!({"x": 1}),
        json!([[[]]]),
    ];
    for (method, path) in [
        ("PUT", "/staff/s1"),
        ("POST", "/staff/s1/bindings"),
        ("POST", "/staff/s1/invitations"),
        ("PUT", "/message-types/a"),
        ("POST", "/message-types/a/preview"),
        ("POST", path),
        ("POST", "/notifications/preflight"),
        ("POST", "/deliveries/retry"),
        ("POST", "/deliveries/1/retry"),
        ("POST", "/webhooks"),
        ("POST", &format!("/miniprogram/{MP}/sessions")),
        ("POST", &format!("/miniprogram/{MP}/subscriptions")),
        ("POST", &format!("/miniprogram/{MP}/identities")),
        ("POST", &format!("/accounts/{MP}/imports")),
        ("POST", &format!("/accounts/{MP}/access-token/invalid")),
    ] {
        for value in &wrong {
            let member = [
                "name",
                "tags",
                "app_id",
                "openid",
                "routes",
                "staff_ids",
                "people",
                "params",
                "results",
                "limit",
                "events",
                "rows",
            ];
            let bodies = member.map(|name| json!({name: value}));
            for body in bodies.iter().chain([value]) {
                let answer = app.call(method, &api.key, path, Some(body)).await;
                assert!(
                    (200..500).contains(&answer.status),
                    "{method} {path} {body}: {answer:?}"
                );
                if answer.status == 422 {
                    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                    let said = rust.iter().find(|word| detail.contains(**word));
                    assert_eq!(said, None, "{method} {path} {body}: {detail}");
                }
                assert!(
                    value.is_object()
                        || !answer.status.to_string().starts_with('2')
                        || body != value,
                    "{method} {path} takes {body}: {answer:?}"
                );
            }
        }
    }
}

async fn where_a_body_says_nothing_it_may_be_left_out(api: ApiFixture) {
    let app = &api.app;
    let bare = async |path: &str| {
        app.send(
            app.request(Method::POST, &format!("/api/v1{path}"))
                .bearer_auth(&api.key),
        )
        .await
    };
    bare("/deliveries/1/retry")
        .await
        .refused(404, "not_found", "");
    assert_eq!(
        bare(&format!("/accounts/{}/imports", crate::support::setup::OA))
            .await
            .status,
        202
    );
    bare("/message-types/none/preview")
        .await
        .refused(404, "not_found", "");
    // Where something has to be said, it is missing.
    bare("/notifications")
        .await
        .refused(415, "unsupported_media_type", "");
    bare("/deliveries/retry")
        .await
        .refused(415, "unsupported_media_type", "");
}

async fn strangers_are_told_where_the_documentation_is(api: ApiFixture) {
    let app = &api.app;
    let welcome = app.send(app.request(Method::GET, "/")).await;
    assert_eq!(welcome.status, 200, "{welcome:?}");
    assert!(welcome.text.contains("docs/api.md"), "{welcome:?}");
    for path in ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing"] {
        let problem =
            app.send(app.request(Method::GET, path))
                .await
                .refused(404, "no_such_route", "");
        assert!(
            problem["detail"].as_str().unwrap().contains("docs/api.md"),
            "{problem}"
        );
    }
    let problem = app
        .get(&api.key, "/staff/")
        .await
        .refused(404, "no_such_route", "");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("ask for /api/v1/staff."),
        "{problem}"
    );
}

async fn query_strings_that_do_not_fit_are_explained(api: ApiFixture) {
    let app = &api.app;
    for (path, code, field) in [
        ("/staff?limit=0", "invalid_query", "limit"),
        ("/staff?limit=201", "invalid_query", "limit"),
        ("/staff?limit=x", "invalid_query", "limit"),
        ("/staff?colour=1", "invalid_query", "colour"),
        ("/staff?limit=1&limit=2", "invalid_query", "limit"),
        ("/staff?cursor=AAAA", "invalid_cursor", "cursor"),
        ("/staff?cursor=%00", "control_character", "cursor"),
        (
            "/people?follow_state=maybe",
            "invalid_query",
            "follow_state",
        ),
        ("/people?link_state=maybe", "invalid_query", "link_state"),
        ("/people?app_id=wx", "invalid_query", "app_id"),
        ("/people?openid=%00", "control_character", "openid"),
        ("/people?unionid=a%0a", "control_character", "unionid"),
        ("/people?staff_id=%7f", "control_character", "staff_id"),
        ("/events?kind=%00", "control_character", "kind"),
        ("/events?openid=%00", "control_character", "openid"),
        ("/events?since=today", "invalid_query", "since"),
        ("/events?until=", "invalid_query", "until"),
        ("/events?app_id=%00", "control_character", "app_id"),
        ("/accounts?limit=1", "invalid_query", ""),
        ("/staff/s1?x=1", "invalid_query", ""),
    ] {
        app.get(&api.key, path).await.refused(400, code, field);
    }
    for n in 0..3 {
        app.put(&api.key, &format!("/staff/s{n}"), json!({}))
            .await
            .ok(201);
    }
    let page = app.get(&api.key, "/staff?limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let wrong = format!("/events?cursor={cursor}");
    app.get(&api.key, &wrong)
        .await
        .refused(400, "invalid_cursor", "cursor");
}

async fn paths_that_lead_nowhere_are_explained(api: ApiFixture) {
    let app = &api.app;
    app.get(&api.key, "/nothing")
        .await
        .refused(404, "no_such_route", "");
    app.get("", "/nothing")
        .await
        .refused(404, "no_such_route", "");
    let answer = app.send(app.request(Method::GET, "/api")).await;
    answer.refused(404, "no_such_route", "");
    let answer = app.call("PATCH", &api.key, "/staff/s1", None).await;
    answer.refused(405, "method_not_allowed", "");
    assert_eq!(answer.headers["allow"], "PUT, GET, HEAD, DELETE");
    for path in [
        "/events/x",
        "/notifications/1.5",
        "/imports/99999999999999999999",
    ] {
        app.get(&api.key, path)
            .await
            .refused(400, "invalid_path", "");
    }
    for path in ["/events/-1", "/people/9223372036854775807"] {
        app.get(&api.key, path).await.refused(404, "not_found", "");
    }
    app.get(&api.key, "/staff/a%00b")
        .await
        .refused(400, "control_character", "staff_id");
    app.get(&api.key, "/message-types/%0d%0a")
        .await
        .refused(400, "control_character", "name");
    let imports = app
        .post(&api.key, "/accounts/wx%00/imports", json!({}))
        .await;
    imports.refused(400, "control_character", "app_id");
    for (target, status) in [
        ("/api/v1/../v1/staff", "404"),
        ("/api/v1/staff/..%2f..%2faccounts", "404"),
        ("/api/v1/%2e%2e/staff", "404"),
        ("//api/v1/staff", "404"),
        ("/api/v1/staff/", "404"),
        ("/api/v1/staff/%ff%fe", "400"),
        ("/api/v1/staff", "200"),
    ] {
        assert_eq!(raw(&api, target).await, status, "{target}");
    }
}

async fn large_bodies_have_their_limit_and_strangers_send_none(api: ApiFixture) {
    let app = &api.app;
    let ids: Vec<String> = (0..700_000).map(|n| format!("staff-{n:010}")).collect();
    let body = json!({"message_type": "ping", "staff_ids": ids});
    assert!(body.to_string().len() > 10 << 20);
    let refused = app.post(&api.key, "/notifications", body).await;
    refused.refused(422, "invalid_field", "staff_ids");
    let huge = format!("{{\"message_type\": \"{}\"}}", "a".repeat(16 << 20));
    let request = app
        .request(Method::POST, "/api/v1/notifications")
        .bearer_auth(&api.key);
    let request = request
        .header("Content-Type", "application/json")
        .body(huge);
    app.send(request).await.refused(413, "body_too_large", "");
}
