//! How long a session lasts, and what it may do in which project.

use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};
use queqiao::db::DbError;
use queqiao::models::user::Role;
use serde_json::json;

use super::super::ApiFixture;
use crate::support::TestApp;
use crate::support::browser::Browser;
use crate::support::program::eventually;

both_engines! {
    a_session_ends_when_it_is_left_alone_and_in_any_case,
    when_a_session_was_used_is_written_once_a_minute,
    what_ends_a_session_ends_it_in_other_processes_too,
    a_project_is_named_by_who_has_several,
    with_a_key_and_a_cookie_it_is_the_key_that_counts,
}

async fn a_session_ends_when_it_is_left_alone_and_in_any_case(api: ApiFixture) {
    let app = &api.app;
    app.user("ann", false, &[]).await;
    let browser = Browser::signed_in(app, "ann").await;
    let ends = browser.get("/session").await.ok(200);
    app.advance(Duration::from_secs(43_100));
    let later = browser.get("/session").await.ok(200);
    assert_ne!(ends["ends_at"], later["ends_at"]);
    assert_eq!(ends["expires_at"], later["expires_at"]);
    app.advance(Duration::from_secs(43_201));
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
    let browser = Browser::signed_in(app, "ann").await;
    // A week is 168 hours.
    for _ in 0..167 {
        app.advance(Duration::from_secs(3_600));
        browser.get("/session").await.ok(200);
    }
    app.advance(Duration::from_secs(3_601));
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many sessions were last seen so many seconds after they began.
async fn seen_after(app: &TestApp, seconds: i64) -> i64 {
    let read = app.bridge.db.read(move |conn| {
        let later = match conn {
            queqiao::db::Conn::Sqlite(_) => {
                "CAST(ROUND((julianday(seen_at) - julianday(created_at)) * 86400) AS BIGINT)"
            }
            queqiao::db::Conn::Postgres(_) => "EXTRACT(EPOCH FROM seen_at - created_at)::bigint",
        };
        let sql = format!("SELECT COUNT(*) AS count FROM user_sessions WHERE {later} = {seconds}");
        Ok::<_, DbError>(sql_query(sql).get_result::<Counted>(conn)?.count)
    });
    read.await.unwrap()
}

async fn when_a_session_was_used_is_written_once_a_minute(api: ApiFixture) {
    let app = &api.app;
    app.user("ann", false, &[]).await;
    let browser = Browser::signed_in(app, "ann").await;
    app.advance(Duration::from_secs(59));
    browser.get("/session").await.ok(200);
    app.advance(Duration::from_secs(2));
    browser.get("/session").await.ok(200);
    let written = async || (seen_after(app, 61).await == 1).then_some(());
    eventually("the time of the last use", written).await;
    app.advance(Duration::from_secs(59));
    browser.get("/session").await.ok(200);
    assert_eq!(seen_after(app, 61).await, 1);
    app.advance(Duration::from_secs(1));
    browser.get("/session").await.ok(200);
    let written = async || (seen_after(app, 121).await == 1).then_some(());
    eventually("the time of the last use", written).await;
}

async fn what_ends_a_session_ends_it_in_other_processes_too(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await;
    let id = app.user("ann", false, &[("one", Role::Viewer)]).await;
    let path = format!("/users/{id}");
    let (_, server) = app.replica();
    for how in ["role", "password", "sessions", "disabled"] {
        let here = Browser::signed_in(app, "ann").await;
        let there = here.before(&server.url);
        for browser in [&here, &there] {
            browser.get("/staff").await.ok(200);
        }
        let (change, code) = match how {
            "role" => (Some(json!({"roles": []})), (403, "missing_role")),
            "password" => {
                let body = json!({"password": crate::support::browser::PASSWORD});
                (Some(body), (401, "unauthorized"))
            }
            "disabled" => (Some(json!({"disabled": true})), (401, "unauthorized")),
            _ => (None, (401, "unauthorized")),
        };
        match change {
            Some(change) => drop(owner.put(&path, change).await.ok(200)),
            None => {
                let ended = owner.delete(&format!("{path}/sessions")).await.ok(200);
                assert_eq!(ended["ended"], 1);
            }
        }
        here.get("/staff").await.refused(code.0, code.1, "");
        app.advance(Duration::from_secs(3));
        there.get("/staff").await.refused(code.0, code.1, "");
        let roles = json!({"roles": [{"project": "one", "role": "viewer"}]});
        owner.put(&path, roles).await.ok(200);
        owner.delete(&format!("{path}/sessions")).await.ok(200);
    }
}

async fn a_project_is_named_by_who_has_several(api: ApiFixture) {
    let app = &api.app;
    let named = "测试 two";
    let two = app.project(named).await;
    app.user("one", false, &[("one", Role::Viewer)]).await;
    app.user("none", false, &[]).await;
    let both = [("one", Role::Viewer), (named, Role::Operator)];
    app.user("both", false, &both).await;
    app.user("owner", true, &[]).await;
    let put = async |browser: &Browser| browser.put("/staff/s1", json!({})).await;
    let one = Browser::signed_in(app, "one").await;
    put(&one).await.refused(403, "missing_role", "");
    one.get("/staff").await.ok(200);
    one.at("one").get("/staff").await.ok(200);
    // Another project is like none.
    for other in [named, &two.to_string(), "999", "no such project"] {
        let refused = one.at(other).get("/staff").await;
        refused.refused(404, "unknown_project", "Queqiao-Project");
    }
    let none = Browser::signed_in(app, "none").await;
    none.get("/staff").await.refused(403, "missing_role", "");
    none.at("one")
        .get("/staff")
        .await
        .refused(404, "unknown_project", "Queqiao-Project");
    let both = Browser::signed_in(app, "both").await;
    both.get("/staff")
        .await
        .refused(400, "invalid_header", "Queqiao-Project");
    put(&both.at("one")).await.refused(403, "missing_role", "");
    put(&both.at(named)).await.ok(201);
    put(&both.at(&two.to_string())).await.ok(200);
    let owner = Browser::signed_in(app, "owner").await;
    put(&owner.at(&api.project.to_string())).await.ok(201);
    let seen = owner.at(named).get("/staff").await.ok(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
}

async fn with_a_key_and_a_cookie_it_is_the_key_that_counts(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await;
    let both = |method: &str, path: &str, key: &str| {
        let request = owner.bare(method, path);
        request
            .header("Sec-Fetch-Site", "cross-site")
            .bearer_auth(key)
    };
    // Nobody but its holder can send a key, so where it comes from does not matter.
    let put = both("PUT", "/staff/s1", &api.key).json(&json!({}));
    app.send(put).await.ok(201);
    app.send(both("GET", "/staff", "qq_wrong"))
        .await
        .refused(401, "unauthorized", "");
    app.send(both("GET", "/users", &api.key))
        .await
        .refused(403, "user_needed", "");
    app.get(&api.key, "/session")
        .await
        .refused(403, "user_needed", "");
}
