//! What is wrong with a request is said in one shape, whatever is wrong; and hostile requests.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{MP, Two};

/// The status of a request whose target goes over the wire as it is.
async fn raw(two: &Two, target: &str) -> String {
    let address = two.app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        two.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

both_engines! {
    async fn bodies_that_do_not_fit_are_explained(two: Two) {
        let app = &two.app;
        let put = |body: String, kind: &str| {
            let request = app.request(Method::PUT, "/api/v1/staff/s1");
            let request = request.bearer_auth(&two.key).header("Content-Type", kind);
            app.send(request.body(body))
        };
        let json = "application/json";
        for (body, status, code, field) in [
            ("{", 400, "invalid_json", ""),
            ("", 400, "invalid_json", ""),
            ("\u{0}", 400, "invalid_json", ""),
            ("{\"colour\": 1}", 422, "unknown_field", "colour"),
            ("{\"name\": 1}", 422, "invalid_body", ""),
            ("{\"name\": \"a\", \"name\": \"b\"}", 422, "invalid_body", "name"),
            ("[1]", 422, "invalid_body", ""),
            ("{\"name\": \"\\u0000\"}", 400, "control_character", "name"),
            ("{\"name\": \"a\\nb\"}", 400, "control_character", "name"),
            ("{\"name\": \"\"}", 422, "invalid_field", "name"),
        ] {
            put(body.to_owned(), json).await.refused(status, code, field);
        }
        put("{}".to_owned(), "text/plain").await.refused(415, "unsupported_media_type", "");
        let long = json!({"name": "😀".repeat(201)}).to_string();
        let problem = put(long, json).await.refused(422, "too_long", "name");
        assert_eq!(problem["limit"], 200);
        put(json!({"name": "😀".repeat(200)}).to_string(), json).await.ok(201);
        let large = format!("{{\"name\": \"{}\"}}", "a".repeat(64 << 10));
        let problem = put(large, json).await.refused(413, "body_too_large", "");
        assert_eq!(problem["limit"], 64 << 10);
        let missing = app.post(&two.key, &format!("/miniprogram/{MP}/sessions"), json!({})).await;
        missing.refused(422, "missing_field", "code");
    }

    async fn query_strings_that_do_not_fit_are_explained(two: Two) {
        let app = &two.app;
        for (path, code, field) in [
            ("/staff?limit=0", "invalid_query", "limit"),
            ("/staff?limit=201", "invalid_query", "limit"),
            ("/staff?limit=x", "invalid_query", "limit"),
            ("/staff?colour=1", "invalid_query", "colour"),
            ("/staff?limit=1&limit=2", "invalid_query", "limit"),
            ("/staff?cursor=AAAA", "invalid_cursor", "cursor"),
            ("/staff?cursor=%00", "invalid_cursor", "cursor"),
            ("/people?follow_state=maybe", "invalid_query", "follow_state"),
            ("/people?link_state=maybe", "invalid_query", "link_state"),
            ("/people?app_id=wx", "invalid_query", "app_id"),
            ("/people?openid=%00", "control_character", "openid"),
            ("/people?unionid=a%0a", "control_character", "unionid"),
            ("/people?staff_id=%7f", "control_character", "staff_id"),
            ("/events?kind=%00", "control_character", "kind"),
            ("/events?openid=%00", "control_character", "openid"),
            ("/events?since=today", "invalid_query", "since"),
            ("/events?until=", "invalid_query", "until"),
            ("/events?app_id=%00", "invalid_query", "app_id"),
            ("/accounts?limit=1", "invalid_query", ""),
            ("/staff/s1?x=1", "invalid_query", ""),
        ] {
            app.get(&two.key, path).await.refused(400, code, field);
        }
        for n in 0..3 {
            app.put(&two.key, &format!("/staff/s{n}"), json!({})).await.ok(201);
        }
        let page = app.get(&two.key, "/staff?limit=1").await.ok(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        let wrong = format!("/events?cursor={cursor}");
        app.get(&two.key, &wrong).await.refused(400, "invalid_cursor", "cursor");
    }

    async fn paths_that_lead_nowhere_are_explained(two: Two) {
        let app = &two.app;
        app.get(&two.key, "/nothing").await.refused(404, "no_such_route", "");
        app.get("", "/nothing").await.refused(404, "no_such_route", "");
        let answer = app.send(app.request(Method::GET, "/api")).await;
        answer.refused(404, "no_such_route", "");
        let answer = app.call("PATCH", &two.key, "/staff/s1", None).await;
        answer.refused(405, "method_not_allowed", "");
        assert_eq!(answer.headers["allow"], "PUT, GET, DELETE");
        for path in ["/events/x", "/notifications/1.5", "/imports/99999999999999999999"] {
            app.get(&two.key, path).await.refused(400, "invalid_path", "");
        }
        for path in ["/events/-1", "/people/9223372036854775807"] {
            app.get(&two.key, path).await.refused(404, "not_found", "");
        }
        app.get(&two.key, "/staff/a%00b").await.refused(400, "control_character", "staff_id");
        app.get(&two.key, "/message-types/%0d%0a").await.refused(400, "control_character", "name");
        let imports = app.post(&two.key, "/accounts/wx%00/imports", json!({})).await;
        imports.refused(400, "control_character", "app_id");
        for (target, status) in [
            ("/api/v1/../v1/staff", "404"),
            ("/api/v1/staff/..%2f..%2faccounts", "404"),
            ("/api/v1/%2e%2e/staff", "404"),
            ("//api/v1/staff", "404"),
            ("/api/v1/staff/", "404"),
            ("/api/v1/staff/%ff%fe", "404"),
            ("/api/v1/staff", "200"),
        ] {
            assert_eq!(raw(&two, target).await, status, "{target}");
        }
    }

    async fn large_bodies_have_their_limit_and_strangers_send_none(two: Two) {
        let app = &two.app;
        let ids: Vec<String> = (0..700_000).map(|n| format!("staff-{n:010}")).collect();
        let body = json!({"message_type": "ping", "staff_ids": ids});
        assert!(body.to_string().len() > 10 << 20);
        let refused = app.post(&two.key, "/notifications", body).await;
        refused.refused(422, "invalid_field", "staff_ids");
        let huge = format!("{{\"message_type\": \"{}\"}}", "a".repeat(16 << 20));
        let request = app.request(Method::POST, "/api/v1/notifications").bearer_auth(&two.key);
        let request = request.header("Content-Type", "application/json").body(huge);
        app.send(request).await.refused(413, "body_too_large", "");
    }
}
