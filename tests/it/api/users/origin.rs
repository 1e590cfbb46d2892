//! A page of another site cannot use the cookie of whoever looks at it.

use serde_json::json;

use super::super::ApiFixture;
use crate::support::browser::PASSWORD;
use crate::support::{Setup, TestApp};

both_engines! {
    what_changes_something_comes_from_a_page_of_ours,
}

/// What such a request with the cookie is answered.
async fn tried(app: &TestApp, cookie: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = app.request(reqwest::Method::PUT, "/api/v1/staff/s1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("Cookie", cookie).json(&json!({}));
    let answer = app.send(request).await;
    if answer.status == 403 {
        answer.refused(403, "cross_site", "");
    }
    answer.status
}

async fn what_changes_something_comes_from_a_page_of_ours(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await.at("one");
    // There are two projects.
    let project = ("Queqiao-Project", "one");
    let own = app.url.as_str();
    let elsewhere = own.replace("http://", "https://");
    let port = own.replace("127.0.0.1:", "127.0.0.1:1");
    for (headers, allowed) in [
        (vec![("Sec-Fetch-Site", "same-origin")], true),
        (vec![("Sec-Fetch-Site", "none")], true),
        (vec![("Sec-Fetch-Site", "same-site")], false),
        (vec![("Sec-Fetch-Site", "cross-site")], false),
        (vec![("Sec-Fetch-Site", "")], false),
        (
            vec![("Sec-Fetch-Site", "cross-site"), ("Origin", own)],
            false,
        ),
        (vec![("Origin", own)], true),
        (vec![("Origin", "https://evil.example")], false),
        (vec![("Origin", "null")], false),
        (vec![("Origin", port.as_str())], false),
        (vec![("Referer", own)], false),
        (vec![], false),
        // A proxy in front may end TLS.
        (
            vec![("Origin", elsewhere.as_str()), ("Host", "127.0.0.1")],
            false,
        ),
    ] {
        let all: Vec<_> = headers.iter().copied().chain([project]).collect();
        let status = tried(app, &owner.cookie, &all).await;
        assert_eq!(status != 403, allowed, "{headers:?}: {status}");
    }
    // What changes nothing may come from anywhere.
    let look = owner
        .bare("GET", "/staff")
        .header("Sec-Fetch-Site", "cross-site");
    app.send(look).await.ok(200);
    // Nor does another site sign anybody in.
    let body = json!({"name": "owner", "password": PASSWORD});
    for (headers, status) in [
        (vec![("Sec-Fetch-Site", "cross-site")], 403),
        (vec![("Origin", "https://evil.example")], 403),
        (vec![], 200),
    ] {
        let mut request = app.request(reqwest::Method::POST, "/api/v1/session");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = app.send(request.json(&body)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn the_public_address_is_ours_too() {
    let project = Setup::on(queqiao::db::Engine::Sqlite)
        .settings(|config| config.server.public_url = "http://wx.example.com".to_owned())
        .project("one")
        .start()
        .await;
    let app = &project.app;
    let owner = app.owner().await;
    for (origin, expected) in [
        ("http://wx.example.com", 201),
        ("https://wx.example.com", 403),
        ("http://wx.example.com.evil.example", 403),
    ] {
        let status = tried(app, &owner.cookie, &[("Origin", origin)]).await;
        assert_eq!(status, expected, "{origin}");
    }
}
