//! Who may do what: keys that are unknown, revoked or new, and each route with every kind of key.

mod roles;
mod routes;

use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::models::actor::Actor;
use serde_json::json;

use super::ApiFixture;
use crate::support::TestProject;

both_engines! {
    a_revoked_key_is_refused,
    a_revoked_key_stays_revoked_when_the_clock_is_set_back,
    what_is_no_key_is_refused_and_becomes_one_when_it_is_made,
    a_preflight_is_for_those_who_read_and_those_who_notify,
}

async fn a_revoked_key_is_refused(api: ApiFixture) {
    let app = &api.app;
    let (key, stored) = app
        .bridge
        .keys
        .create(api.project, "k", &[Scope::Read], &Actor::CommandLine)
        .await
        .unwrap();
    let key = secrecy::ExposeSecret::expose_secret(&key).to_owned();
    app.get(&key, "/staff").await.ok(200);
    assert!(app.bridge.keys.revoke(stored.id).await.unwrap());
    app.get(&key, "/staff")
        .await
        .refused(401, "unauthorized", "");
    assert!(!app.bridge.keys.revoke(stored.id).await.unwrap());
    app.advance(Duration::from_secs(10));
    let refused = app.get(&key, "/staff").await;
    assert!(!refused.text.contains(&key));
    refused.refused(401, "unauthorized", "");
    for header in ["Basic abc", "Bearer", "Bearer ", "qq_x", "Bearer \u{e9}"] {
        let request = app.request(reqwest::Method::GET, "/api/v1/staff");
        let request = request.header("Authorization", header.as_bytes());
        app.send(request).await.refused(401, "unauthorized", "");
    }
}

async fn a_revoked_key_stays_revoked_when_the_clock_is_set_back(api: ApiFixture) {
    let app = &api.app;
    let (other, _server) = app.replica();
    for hours in [1, 24] {
        let (key, stored) = app
            .bridge
            .keys
            .create(api.project, "k", &[Scope::Read], &Actor::CommandLine)
            .await
            .unwrap();
        let key = secrecy::ExposeSecret::expose_secret(&key).to_owned();
        app.get(&key, "/staff").await.ok(200);
        assert!(other.keys.revoke(stored.id).await.unwrap());
        app.clock.turn_back(Duration::from_secs(hours * 3_600));
        app.get(&key, "/staff")
            .await
            .refused(401, "unauthorized", "");
    }
}

async fn what_is_no_key_is_refused_and_becomes_one_when_it_is_made(api: ApiFixture) {
    let app = &api.app;
    let unknown = |n: u8| {
        format!(
            "qq_{}",
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [n; 32])
        )
    };
    let asked: Vec<String> = (0..100).map(unknown).collect();
    let asked = asked.iter().map(|key| app.get(key, "/staff"));
    for answer in futures_util::future::join_all(asked).await {
        answer.refused(401, "unauthorized", "");
    }
    let (other, _server) = app.replica();
    let (key, _) = other
        .keys
        .create(api.project, "new", &[Scope::Read], &Actor::CommandLine)
        .await
        .unwrap();
    app.get(secrecy::ExposeSecret::expose_secret(&key), "/staff")
        .await
        .ok(200);
}

async fn a_preflight_is_for_those_who_read_and_those_who_notify(api: ApiFixture) {
    let app = &api.app;
    let body = json!({"message_type": "ping", "staff_ids": ["s1"]});
    for (scope, allowed) in [
        (Scope::Read, true),
        (Scope::Notify, true),
        (Scope::Admin, true),
        (Scope::Token, false),
    ] {
        let key = app.key(api.project, &[scope]).await;
        let answer = app
            .post(&key, "/notifications/preflight", body.clone())
            .await;
        match allowed {
            true => answer.refused(422, "unknown_message_type", "message_type"),
            false => answer.refused(403, "missing_scope", ""),
        };
    }
    app.post("", "/notifications/preflight", body)
        .await
        .refused(401, "unauthorized", "");
}

#[tokio::test]
async fn each_change_is_logged_with_its_key_and_each_kind_of_refusal_is_told() {
    crate::support::logs::capture();
    let api = <ApiFixture as crate::support::Fixture>::on(queqiao::db::Engine::Sqlite).await;
    let (app, key) = (&api.app, &api.key);
    app.put(key, "/staff/audited-7", serde_json::json!({}))
        .await
        .ok(201);
    app.delete(key, "/staff/audited-8")
        .await
        .refused(404, "not_found", "");
    app.get(key, "/staff/audited-7").await.ok(200);
    let put = crate::support::logs::lines_with("staff_id=audited-7");
    let [put] = put.as_slice() else {
        panic!("{put:?}")
    };
    for part in [
        "change through the API",
        "key.id=",
        "method=PUT",
        "/api/v1/staff/{staff_id}",
        "status=201",
    ] {
        assert!(put.contains(part), "{put}");
    }
    let deleted = crate::support::logs::lines_with("staff_id=audited-8").concat();
    assert!(
        deleted.contains("method=DELETE") && deleted.contains("status=404"),
        "{deleted}"
    );
    let endpoint =
        serde_json::json!({"url": "https://example.com/hook", "events": ["staff.bound"]});
    let endpoint = app.post(key, "/webhooks", endpoint).await.ok(201);
    let made = format!("made={}", endpoint["id"]);
    assert!(
        !crate::support::logs::lines_with(&made).is_empty(),
        "{made}"
    );
    let reader = app.key(api.project, &[Scope::Read]).await;
    app.delete(&reader, "/staff/audited-9")
        .await
        .refused(403, "missing_scope", "");
    let kept_out = crate::support::logs::lines_with("staff_id=audited-9").concat();
    assert!(kept_out.contains("status=403"), "{kept_out}");
    app.get("qq_nobody", "/staff")
        .await
        .refused(401, "unauthorized", "");
    assert!(!crate::support::logs::lines_with("requests to the API refused").is_empty());
}

/// Somebody without a key makes the database look up what is none, as often as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_with_a_key_do_not_wait_for_those_without() {
    use base64::Engine as _;
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, PgConnection};
    if !crate::support::postgres::is_there() {
        return;
    }
    let api = <ApiFixture as crate::support::Fixture>::on(queqiao::db::Engine::Postgres).await;
    let TestProject { app, key, .. } = api.first;
    let app = std::sync::Arc::new(app);
    app.get(&key, "/staff").await.ok(200);
    let mut holder = PgConnection::establish(app.database.text()).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let strangers = (0..60u8).map(|n| {
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([n; 32]);
        let app = std::sync::Arc::clone(&app);
        tokio::spawn(async move { app.get(&format!("qq_{key}"), "/staff").await })
    });
    let strangers: Vec<_> = strangers.collect();
    let db = queqiao::db::Db::open(&app.database.url(), 1).unwrap();
    let waiting = async || {
        let counted = db.read(|conn| {
            let queqiao::db::Conn::Postgres(conn) = conn else {
                panic!("this is PostgreSQL");
            };
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND datname = current_database()";
            let count: i64 = diesel::RunQueryDsl::get_result(
                diesel::dsl::sql::<diesel::sql_types::BigInt>(sql),
                conn,
            )?;
            Ok::<_, queqiao::db::DbError>(count)
        });
        counted.await.unwrap()
    };
    crate::support::program::eventually("a stranger", async || (waiting().await > 0).then_some(()))
        .await;
    // While the key is trusted that was read before.
    for n in 0..3 {
        let path = format!("/staff/waits{n}");
        let put = app.put(&key, &path, json!({}));
        let put = tokio::time::timeout(Duration::from_secs(3), put).await;
        put.expect("nobody waits").ok(201);
        assert_eq!(waiting().await, 1, "one statement for all strangers");
    }
    drop(holder);
    for stranger in strangers {
        stranger.await.unwrap().refused(401, "unauthorized", "");
    }
    // One that has to be read again is, however many are asked for that are none.
    let strangers = (60..200u8).map(|n| {
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([n; 32]);
        let app = std::sync::Arc::clone(&app);
        tokio::spawn(async move { app.get(&format!("qq_{key}"), "/staff").await })
    });
    let strangers: Vec<_> = strangers.collect();
    app.advance(Duration::from_secs(4));
    app.get(&key, "/staff").await.ok(200);
    for stranger in strangers {
        stranger.await.unwrap().refused(401, "unauthorized", "");
    }
}
