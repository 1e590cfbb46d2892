//! Owners add, change and delete users; the last of them stays.

use queqiao::ids::UserId;
use queqiao::models::user::Role;
use serde_json::json;

use super::super::ApiFixture;
use crate::support::browser::{Browser, PASSWORD};

both_engines! {
    an_owner_adds_changes_and_deletes_users,
    what_cannot_be_a_user_is_refused_with_the_field,
    the_last_owner_stays,
    of_two_owners_who_go_at_the_same_time_one_stays,
    an_erasure_has_the_user_who_asked_for_it,
}

async fn an_owner_adds_changes_and_deletes_users(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await;
    let body = json!({
        "name": "wang.fang", "display_name": "王芳", "password": PASSWORD,
        "roles": [{"project": "one", "role": "operator"}],
    });
    let added = owner.post("/users", body).await.ok(201);
    let path = format!("/users/{}", added["id"]);
    assert_eq!(added["display_name"], "王芳");
    assert_eq!(added["roles"][0]["project_id"], json!(api.project));
    assert_eq!(added["roles"][0]["role"], "operator");
    assert_eq!(
        (&added["owner"], &added["disabled"]),
        (&json!(false), &json!(false))
    );
    assert!(!added.to_string().contains("argon2"), "{added}");
    assert_eq!(owner.get(&path).await.ok(200), added);
    let listed = owner.get("/users?limit=1").await.ok(200);
    assert_eq!(listed["items"][0]["name"], "wang.fang");
    let next = listed["next_cursor"].as_str().unwrap();
    let listed = owner
        .get(&format!("/users?limit=1&cursor={next}"))
        .await
        .ok(200);
    assert_eq!(listed["items"][0]["name"], "owner");
    assert_eq!(listed["next_cursor"], json!(null));
    let browser = Browser::signed_in(app, "wang.fang").await;
    browser.put("/staff/s1", json!({})).await.ok(201);
    // What is left out stays.
    let changed = owner
        .put(&path, json!({"display_name": "Fang"}))
        .await
        .ok(200);
    assert_eq!(changed["display_name"], "Fang");
    assert_eq!(changed["roles"], added["roles"]);
    let changed = owner.put(&path, json!({"display_name": ""})).await.ok(200);
    assert_eq!(changed["display_name"], json!(null));
    let viewer = json!({"roles": [{"project": api.project.to_string(), "role": "viewer"}]});
    owner.put(&path, viewer).await.ok(200);
    browser
        .put("/staff/s1", json!({}))
        .await
        .refused(403, "missing_role", "");
    let changed = owner.put(&path, json!({"owner": true})).await.ok(200);
    assert_eq!(changed["owner"], true);
    browser.get("/users").await.ok(200);
    assert_eq!(owner.delete(&path).await.status, 204);
    browser
        .get("/session")
        .await
        .refused(401, "unauthorized", "");
    owner.get(&path).await.refused(404, "not_found", "");
    owner.delete(&path).await.refused(404, "not_found", "");
    owner
        .put(&path, json!({}))
        .await
        .refused(404, "not_found", "");
    let sessions = format!("{path}/sessions");
    owner.delete(&sessions).await.refused(404, "not_found", "");
}

async fn what_cannot_be_a_user_is_refused_with_the_field(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await;
    let role = |project: &str, role: &str| json!([{"project": project, "role": role}]);
    for (body, status, code, field) in [
        (json!({"name": "OWNER"}), 409, "user_exists", "name"),
        (json!({"name": ""}), 422, "invalid_field", "name"),
        (json!({"name": "a b"}), 422, "invalid_field", "name"),
        (
            json!({"name": "x".repeat(65)}),
            422,
            "invalid_field",
            "name",
        ),
        (
            json!({"name": "a", "password": "short"}),
            422,
            "invalid_field",
            "password",
        ),
        (
            json!({"name": "abcdefghij", "password": "ABCDEFGHIJ"}),
            422,
            "invalid_field",
            "password",
        ),
        (
            json!({"name": "a", "display_name": "\n"}),
            422,
            "invalid_field",
            "display_name",
        ),
        (
            json!({"name": "a", "roles": role("none", "viewer")}),
            422,
            "invalid_field",
            "roles[0].project",
        ),
        (
            json!({"name": "a", "roles": role("one", "owner")}),
            422,
            "invalid_field",
            "roles[0].role",
        ),
        (
            json!({"name": "a", "roles": role("one", "king")}),
            422,
            "invalid_body",
            "roles[0].role",
        ),
        (
            json!({"name": "a", "admin": true}),
            422,
            "unknown_field",
            "admin",
        ),
    ] {
        owner
            .post("/users", body)
            .await
            .refused(status, code, field);
    }
    let twice = json!([{"project": "one", "role": "viewer"}, {"project": api.project.to_string(), "role": "viewer"}]);
    owner
        .post("/users", json!({"name": "a", "roles": twice}))
        .await
        .refused(422, "invalid_field", "roles[1].project");
    assert_eq!(
        owner.get("/users").await.ok(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // Nobody else makes users.
    app.user("ann", false, &[("one", Role::Operator)]).await;
    let ann = Browser::signed_in(app, "ann").await;
    ann.post("/users", json!({"name": "a"}))
        .await
        .refused(403, "missing_role", "");
}

async fn the_last_owner_stays(api: ApiFixture) {
    let app = &api.app;
    let owner = app.owner().await;
    let own = owner.get("/session").await.ok(200)["user"]["id"].clone();
    let path = format!("/users/{own}");
    let other = app.user("other", true, &[]).await;
    let other = format!("/users/{other}");
    owner.put(&other, json!({"disabled": true})).await.ok(200);
    let without = json!({"name": "without", "owner": true});
    owner.post("/users", without).await.ok(201);
    // One who cannot sign in is none, disabled or without a password.
    for change in [json!({"owner": false}), json!({"disabled": true})] {
        owner
            .put(&path, change)
            .await
            .refused(409, "last_owner", "");
    }
    owner.delete(&path).await.refused(409, "last_owner", "");
    owner
        .put(&path, json!({"display_name": "x", "owner": true}))
        .await
        .ok(200);
    owner.put(&other, json!({"disabled": false})).await.ok(200);
    owner.put(&path, json!({"owner": false})).await.ok(200);
    owner.get("/users").await.refused(403, "missing_role", "");
}

async fn of_two_owners_who_go_at_the_same_time_one_stays(api: ApiFixture) {
    let app = &api.app;
    let mut owners: Vec<UserId> = Vec::new();
    for name in ["a", "b", "c"] {
        owners.push(app.user(name, true, &[]).await);
    }
    let (other, _server) = app.replica();
    let gone = futures_util::future::join_all(owners.iter().enumerate().map(|(at, id)| {
        let bridge = match at {
            0 => &app.bridge,
            _ => &other,
        };
        bridge.delete_user(*id)
    }));
    let gone = gone.await;
    assert_eq!(
        gone.iter().filter(|gone| gone.is_ok()).count(),
        2,
        "{gone:?}"
    );
}

async fn an_erasure_has_the_user_who_asked_for_it(api: ApiFixture) {
    let app = &api.app;
    api.new_follower(0).await;
    let id = app.user("ann", false, &[("one", Role::Operator)]).await;
    let ann = Browser::signed_in(app, "ann").await;
    let people = ann.get("/people").await.ok(200);
    let path = format!("/people/{}", people["items"][0]["identity_id"]);
    let erased = ann.delete(&path).await.ok(200);
    assert_eq!(erased["by"], "user");
    let entry = ann.get("/audit").await.ok(200)["items"][0].clone();
    assert_eq!(entry["action"], "person.erased");
    assert_eq!(entry["by"], "user");
    assert_eq!(entry["user"], json!({"id": id, "name": "ann"}));
    assert_eq!(entry["key"], json!(null));
}
