//! Signing in by a password: what is answered, to whom it is not, and how wrong passwords slow down.

use std::time::Duration;

use queqiao::models::user::Role;
use serde_json::{Value, json};

use super::super::ApiFixture;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::{Setup, TestApp, logs};

both_engines! {
    who_signs_in_is_known_until_they_sign_out,
    whether_a_name_is_anybodys_is_not_told,
    wrong_passwords_slow_the_next_one_down,
    a_password_is_changed_by_who_knows_it,
    where_passwords_are_switched_off_none_is_taken,
    no_password_and_no_cookie_is_in_the_log,
}

async fn who_signs_in_is_known_until_they_sign_out(api: ApiFixture) {
    let app = &api.app;
    app.user("Wang.Fang", false, &[("one", Role::Viewer)]).await;
    let mut browser = Browser::new(&app.url);
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
    let answer = browser.sign_in("wang.fang", PASSWORD).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("queqiao-session=qqs_"), "{cookie}");
    for part in ["Path=/", "Max-Age=604800", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.split("; ").any(|one| one == part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let who = answer.ok(200);
    assert_eq!(who["user"]["name"], "Wang.Fang");
    assert_eq!(who["user"]["owner"], false);
    let project = json!({"project_id": api.project, "project": "one", "role": "viewer"});
    assert_eq!(who["projects"], json!([project]));
    assert_eq!(browser.get("/session").await.ok(200), who);
    browser.get("/staff").await.ok(200);
    let out = browser.delete("/session").await;
    assert_eq!(out.status, 204);
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("=; "));
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
    browser.get("/staff").await.refused(401, "unauthorized", "");
    let (_, server) = app.replica();
    let elsewhere = browser.before(&server.url);
    elsewhere
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
}

/// A refusal without what differs: nothing does.
fn refusal(answer: &crate::support::app::Answer) -> Value {
    answer.refused(401, "sign_in_refused", "");
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    answer.json()
}

async fn whether_a_name_is_anybodys_is_not_told(api: ApiFixture) {
    logs::capture();
    let app = &api.app;
    let owner = app.owner().await;
    let id = app.user("ann", false, &[]).await;
    let off = app.user("off", false, &[]).await;
    let path = format!("/users/{off}");
    owner.put(&path, json!({"disabled": true})).await.ok(200);
    let without = owner.post("/users", json!({"name": "without"})).await;
    assert_eq!(without.ok(201)["has_password"], false);
    let mut refused = Vec::new();
    for (name, password) in [
        ("ann", "wrong"),
        ("nobody", "wrong"),
        ("nobody", PASSWORD),
        ("off", PASSWORD),
        ("without", PASSWORD),
    ] {
        let answer = Browser::new(&app.url).sign_in(name, password).await;
        refused.push(refusal(&answer));
    }
    assert!(refused.iter().all(|one| *one == refused[0]), "{refused:?}");
    let lines = logs::lines_with("sign_in_refused");
    assert!(!lines.is_empty());
    let mut browser = Browser::new(&app.url);
    browser.sign_in("ann", PASSWORD).await.ok(200);
    let line = logs::lines_with("signed in").concat();
    assert!(line.contains(&format!("user.id={id}")), "{line}");
    for (body, code, field) in [
        (json!({"name": "ann"}), "missing_field", "password"),
        (
            json!({"name": "", "password": "x"}),
            "invalid_field",
            "name",
        ),
        (
            json!({"name": "ann", "password": ""}),
            "invalid_field",
            "password",
        ),
        (
            json!({"name": "x".repeat(65), "password": "x"}),
            "too_long",
            "name",
        ),
        (
            json!({"name": "ann", "password": "x".repeat(257)}),
            "too_long",
            "password",
        ),
    ] {
        browser
            .post("/session", body)
            .await
            .refused(422, code, field);
    }
}

/// Whether the sign-in has to wait, and how long.
async fn pause(app: &TestApp, name: &str, password: &str) -> Option<u64> {
    let answer = Browser::new(&app.url).sign_in(name, password).await;
    if answer.status != 429 {
        return None;
    }
    answer.refused(429, "sign_in_paused", "");
    let seconds = answer.headers["retry-after"].to_str().unwrap();
    Some(seconds.parse().unwrap())
}

async fn wrong_passwords_slow_the_next_one_down(api: ApiFixture) {
    let app = &api.app;
    app.user("ann", false, &[]).await;
    app.user("bob", false, &[]).await;
    // Five are free; the right one has to wait like any other.
    for _ in 0..5 {
        assert_eq!(pause(app, "ann", "wrong").await, None);
    }
    assert_eq!(pause(app, "Ann", PASSWORD).await, Some(2));
    assert_eq!(pause(app, "bob", PASSWORD).await, None);
    app.advance(Duration::from_secs(2));
    assert_eq!(pause(app, "ann", "wrong").await, None);
    assert_eq!(pause(app, "ann", PASSWORD).await, Some(4));
    // A clock that is set back starts the pause again, and no longer one.
    app.clock.turn_back(Duration::from_secs(86_400));
    assert_eq!(pause(app, "ann", PASSWORD).await, Some(4));
    app.advance(Duration::from_secs(4));
    assert_eq!(pause(app, "ann", PASSWORD).await, None);
    // What was wrong before a right one does not count any more.
    for _ in 0..5 {
        assert_eq!(pause(app, "ann", "wrong").await, None);
    }
    // Many at once are no way around it: one of these waits, as five were wrong.
    app.advance(Duration::from_secs(2));
    let many = (0..10).map(|_| pause(app, "ann", "wrong"));
    let many = futures_util::future::join_all(many).await;
    assert_eq!(many.iter().filter(|pause| pause.is_none()).count(), 1);
    // Names that are made up count for the address.
    let mut tried = 0;
    while pause(app, &format!("made-up-{tried}"), "wrong")
        .await
        .is_none()
    {
        tried += 1;
        assert!(tried <= 20);
    }
    assert!(pause(app, "bob", PASSWORD).await.is_some());
}

async fn a_password_is_changed_by_who_knows_it(api: ApiFixture) {
    let app = &api.app;
    app.user("ann", false, &[]).await;
    let here = Browser::signed_in(app, "ann").await;
    let there = Browser::signed_in(app, "ann").await;
    let change = async |old: &str, new: &str| {
        let body = json!({"old_password": old, "new_password": new});
        here.put("/session/password", body).await
    };
    change("wrong", "another good one")
        .await
        .refused(422, "wrong_password", "old_password");
    change(PASSWORD, "short")
        .await
        .refused(422, "invalid_field", "new_password");
    there.get("/session").await.ok(200);
    assert_eq!(change(PASSWORD, "another good one").await.status, 204);
    here.get("/session").await.ok(200);
    there.get("/session").await.refused(401, "unauthorized", "");
    let mut again = Browser::new(&app.url);
    refusal(&again.sign_in("ann", PASSWORD).await);
    again.sign_in("ann", "another good one").await.ok(200);
}

async fn where_passwords_are_switched_off_none_is_taken(engine: queqiao::db::Engine) {
    let project = Setup::on(engine)
        .settings(|config| config.users.local = false)
        .project("one")
        .start()
        .await;
    let app = &project.app;
    app.user("ann", false, &[]).await;
    let mut browser = Browser::new(&app.url);
    browser
        .sign_in("ann", PASSWORD)
        .await
        .refused(403, "not_local", "");
}

async fn no_password_and_no_cookie_is_in_the_log(api: ApiFixture) {
    logs::capture();
    let app = &api.app;
    let owner = app.owner().await;
    let unique = || format!("secret-{:x}", rand::random::<u128>());
    let [first, second, wrong] = [unique(), unique(), unique()];
    let added = owner.post("/users", json!({"name": "eve", "password": first}));
    let id = added.await.ok(201)["id"].clone();
    let mut eve = Browser::new(&app.url);
    refusal(&eve.sign_in("eve", &wrong).await);
    eve.sign_in("eve", &first).await.ok(200);
    let change = json!({"old_password": first, "new_password": second});
    assert_eq!(eve.put("/session/password", change).await.status, 204);
    // One that is typed in place of the name, or that is not even a text.
    let mut other = Browser::new(&app.url);
    refusal(&other.sign_in(&wrong, &first).await);
    let body = json!({"name": "eve", "password": [second]});
    let bad = eve.post("/session", body).await;
    assert!(!bad.text.contains(&second), "{bad:?}");
    let body = json!({"password": first});
    let path = format!("/users/{id}");
    owner.put(&path, body).await.ok(200);
    assert!(!logs::lines_with(&format!("object=\"id={id}\"")).is_empty());
    let (_, cookie) = eve.cookie.split_once('=').unwrap();
    for secret in [&first, &second, &wrong, cookie] {
        assert_eq!(logs::lines_with(secret), [""; 0]);
    }
}

#[tokio::test]
async fn over_https_the_cookie_is_the_hosts_own_and_a_proxy_says_who_comes() {
    let project = Setup::on(queqiao::db::Engine::Sqlite)
        .settings(|config| {
            config.server.public_url = "https://wx.example.com".to_owned();
            config.users.behind_proxy = true;
        })
        .project("one")
        .start()
        .await;
    let app = &project.app;
    let owner = app.user("owner", true, &[]).await;
    let mut browser = Browser::new(&app.url);
    let request = browser
        .request("POST", "/session")
        .header("X-Forwarded-For", "6.6.6.6, 192.0.2.7")
        .header("User-Agent", "Firefox")
        .json(&json!({"name": "owner", "password": PASSWORD}));
    let answer = app.send(request).await;
    answer.ok(200);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-queqiao-session=qqs_"),
        "{cookie}"
    );
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    browser.keep(&answer);
    let shown = browser.get(&format!("/users/{owner}")).await.ok(200);
    assert_eq!(shown["sessions"][0]["address"], "192.0.2.7");
    assert_eq!(shown["sessions"][0]["user_agent"], "Firefox");
    // Under another name anybody on the host could have set it.
    browser.cookie = browser.cookie.replace("__Host-", "");
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
}
