//! Staff, bindings and mini-program login.

mod export;
mod filtered;
mod import;

use queqiao::simulator::population;
use serde_json::json;

use super::{ApiFixture, FOREIGN, MP, OA};

both_engines! {
    staff_are_put_found_listed_and_deleted,
    staff_are_grouped_by_tags,
    a_person_is_bound_once_whichever_way,
    a_binding_is_refused_with_what_to_do,
    reach_is_told_account_by_account,
    a_login_stores_the_identity_and_no_session_key,
}

async fn staff_are_put_found_listed_and_deleted(api: ApiFixture) {
    let app = &api.app;
    let created = app
        .put(
            &api.key,
            "/staff/%E6%9D%8E%F0%9F%A6%9C",
            json!({"name": "李"}),
        )
        .await;
    let created = created.ok(201);
    assert_eq!(created["staff_id"], "李🦜");
    assert!(
        created["created_at"].as_str().unwrap().ends_with('Z'),
        "{created}"
    );
    let replaced = app
        .put(&api.key, "/staff/%E6%9D%8E%F0%9F%A6%9C", json!({}))
        .await
        .ok(200);
    assert_eq!(replaced["name"], json!(null));
    for n in 0..5 {
        app.put(&api.key, &format!("/staff/s{n}"), json!({}))
            .await
            .ok(201);
    }
    let ids: Vec<_> = app.all_pages(&api.key, "/staff", 2).await;
    let ids: Vec<_> = ids
        .iter()
        .map(|staff| staff["staff_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["s4", "s3", "s2", "s1", "s0", "李🦜"]);
    assert_eq!(app.delete(&api.key, "/staff/s3").await.status, 200);
    app.get(&api.key, "/staff/s3")
        .await
        .refused(404, "not_found", "");
    app.delete(&api.key, "/staff/s3")
        .await
        .refused(404, "not_found", "");
    for wild in ["%25", "s_", "*"] {
        app.get(&api.key, &format!("/staff/{wild}"))
            .await
            .refused(404, "not_found", "");
    }
}

async fn staff_are_grouped_by_tags(api: ApiFixture) {
    let app = &api.app;
    let tags = json!({"name": "李雷", "tags": ["仓库", "night", "仓库"]});
    let created = app.put(&api.key, "/staff/s1", tags).await.ok(201);
    assert_eq!(created["tags"], json!(["night", "仓库"]));
    app.put(&api.key, "/staff/s2", json!({"tags": ["night"]}))
        .await
        .ok(201);
    app.put(&api.key, "/staff/s3", json!({})).await.ok(201);
    app.put(&api.other, "/staff/s9", json!({"tags": ["night"]}))
        .await
        .ok(201);
    let tagged = async |tag: &str| {
        let page = app
            .get(&api.key, &format!("/staff?tag={tag}"))
            .await
            .ok(200);
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["staff_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(tagged("night").await, ["s2", "s1"]);
    assert_eq!(tagged("%E4%BB%93%E5%BA%93").await, ["s1"]);
    assert_eq!(tagged("nobody").await, Vec::<String>::new());
    // Left out, they stay; given, they are replaced.
    let kept = app
        .put(&api.key, "/staff/s1", json!({"name": "x"}))
        .await
        .ok(200);
    assert_eq!(kept["tags"], json!(["night", "仓库"]));
    let replaced = app
        .put(&api.key, "/staff/s1", json!({"tags": ["day"]}))
        .await
        .ok(200);
    assert_eq!(replaced["tags"], json!(["day"]));
    assert_eq!(
        app.get(&api.key, "/staff/s1").await.ok(200)["tags"],
        json!(["day"])
    );
    assert_eq!(tagged("night").await, ["s2"]);
    assert_eq!(app.delete(&api.key, "/staff/s2").await.status, 200);
    assert_eq!(tagged("night").await, Vec::<String>::new());
    for (tags, code) in [
        (json!([""]), "invalid_field"),
        (json!(["x".repeat(65)]), "too_long"),
        (
            json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>()),
            "too_long",
        ),
    ] {
        let body = json!({"tags": tags});
        app.put(&api.key, "/staff/s3", body)
            .await
            .refused(422, code, "tags");
    }
    let body = json!({"tags": ["a\n"]});
    app.put(&api.key, "/staff/s3", body)
        .await
        .refused(400, "control_character", "tags");
    assert_eq!(
        app.get(&api.key, "/staff/s3").await.ok(200)["tags"],
        json!([])
    );
}

async fn a_person_is_bound_once_whichever_way(api: ApiFixture) {
    let app = &api.app;
    api.new_follower(1).await;
    for staff in ["s1", "s2"] {
        app.put(&api.key, &format!("/staff/{staff}"), json!({}))
            .await
            .ok(201);
    }
    let bind = async |staff: &str, body| {
        app.post(&api.key, &format!("/staff/{staff}/bindings"), body)
            .await
    };
    let openid = population::openid(OA, 1);
    let by_openid = json!({"app_id": OA, "openid": openid});
    let by_unionid = json!({"unionid": population::unionid(1)});
    let binding = bind("s1", by_openid.clone()).await.ok(201);
    assert_eq!(
        bind("s1", by_openid.clone()).await.ok(200)["id"],
        binding["id"]
    );
    for body in [
        by_openid,
        by_unionid.clone(),
        json!({"app_id": MP, "code": api.code(1)}),
    ] {
        let problem = bind("s2", body).await.refused(409, "already_bound", "");
        assert!(
            problem["detail"].as_str().unwrap().contains("s1"),
            "{problem}"
        );
    }
    bind("s1", by_unionid.clone()).await.ok(201);
    let found = app.get(&api.key, "/staff/s1").await.ok(200);
    assert_eq!(found["bindings"].as_array().unwrap().len(), 2);
    assert_eq!(found["identities"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found["reachable"], true);
    for binding in found["bindings"].as_array().unwrap() {
        let path = format!("/staff/s1/bindings/{}", binding["id"]);
        let foreign = format!("/staff/s2/bindings/{}", binding["id"]);
        app.delete(&api.key, &foreign)
            .await
            .refused(404, "not_found", "");
        assert_eq!(app.delete(&api.key, &path).await.status, 200);
    }
    bind("s2", by_unionid).await.ok(201);
}

async fn a_binding_is_refused_with_what_to_do(api: ApiFixture) {
    let app = &api.app;
    app.put(&api.key, "/staff/s1", json!({})).await.ok(201);
    let path = "/staff/s1/bindings";
    for body in [
        json!({}),
        json!({"app_id": OA}),
        json!({"openid": "o"}),
        json!({"app_id": OA, "openid": "o", "code": "c"}),
        json!({"app_id": OA, "unionid": "u"}),
    ] {
        let refused = app.post(&api.key, path, body).await;
        refused.refused(422, "invalid_body", "app_id, code, openid, unionid");
    }
    for (body, status, code, field) in [
        (
            json!({"app_id": FOREIGN, "openid": "o"}),
            422,
            "unknown_app_id",
            "app_id",
        ),
        (
            json!({"app_id": FOREIGN, "code": "c"}),
            422,
            "unknown_app_id",
            "app_id",
        ),
        (
            json!({"app_id": OA, "code": "c"}),
            422,
            "wrong_account_kind",
            "app_id",
        ),
        (
            json!({"app_id": MP, "openid": "o"}),
            422,
            "unknown_openid",
            "openid",
        ),
        (
            json!({"app_id": MP, "code": "never"}),
            422,
            "code_invalid",
            "code",
        ),
        (
            json!({"unionid": "u\u{0}"}),
            400,
            "control_character",
            "unionid",
        ),
        (
            json!({"unionid": "u".repeat(129)}),
            422,
            "too_long",
            "unionid",
        ),
        (json!({"unionid": ""}), 422, "invalid_field", "unionid"),
    ] {
        app.post(&api.key, path, body)
            .await
            .refused(status, code, field);
    }
    let code = api.code(2);
    let nobody = app
        .post(
            &api.key,
            "/staff/no/bindings",
            json!({"app_id": MP, "code": code}),
        )
        .await;
    nobody.refused(404, "not_found", "");
    // The code was not spent on a staff member who does not exist.
    app.post(&api.key, path, json!({"app_id": MP, "code": code}))
        .await
        .ok(201);
    let again = app
        .post(&api.key, path, json!({"app_id": MP, "code": code}))
        .await;
    again.refused(422, "code_used", "code");
}

async fn reach_is_told_account_by_account(api: ApiFixture) {
    let app = &api.app;
    app.put(&api.key, "/staff/s1", json!({})).await.ok(201);
    let reach = async || {
        let staff = app.get(&api.key, "/staff/s1").await.ok(200);
        let listed = app.get(&api.key, "/staff").await.ok(200)["items"][0].clone();
        assert_eq!(listed["accounts"], staff["accounts"]);
        let account = &staff["accounts"][0];
        assert_eq!(account["app_id"], OA);
        assert_eq!(account["reachable"], staff["reachable"]);
        account["reason"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!(reach().await, "not_bound");
    let code = json!({"app_id": MP, "code": api.code(3)});
    app.post(&api.key, "/staff/s1/bindings", code).await.ok(201);
    assert_eq!(reach().await, "no_identity_in_account");
    api.new_follower(3).await;
    assert_eq!(reach().await, "none");
    let push = app.simulator.world().unfollow(OA, 3).await.unwrap();
    assert!(push.verdict.is_accepted());
    app.advance(std::time::Duration::from_secs(5));
    app.drain().await;
    assert_eq!(reach().await, "not_following");
    // An openid that nobody has seen: it is asked about.
    app.put(&api.key, "/staff/s2", json!({})).await.ok(201);
    let unseen = json!({"app_id": OA, "openid": population::openid(OA, 4)});
    app.post(&api.key, "/staff/s2/bindings", unseen)
        .await
        .ok(201);
    let staff = app.get(&api.key, "/staff/s2").await.ok(200);
    assert_eq!(staff["accounts"][0]["reason"], "follow_unknown");
    assert_eq!(staff["identities"][0]["profile_state"], "pending");
    app.drain().await;
    let staff = app.get(&api.key, "/staff/s2").await.ok(200);
    assert_eq!(
        staff["identities"][0]["follow_state"], "not_following",
        "{staff}"
    );
}

async fn a_login_stores_the_identity_and_no_session_key(api: ApiFixture) {
    let app = &api.app;
    let path = format!("/miniprogram/{MP}/sessions");
    let login = async |code: String| app.post(&api.key, &path, json!({"code": code})).await;
    app.put(&api.key, "/staff/s1", json!({})).await.ok(201);
    let unionid = population::unionid(5);
    app.post(&api.key, "/staff/s1/bindings", json!({"unionid": unionid}))
        .await
        .ok(201);
    let answer = login(api.code(5)).await;
    assert!(!answer.text.contains("session_key"), "{answer:?}");
    let answer = answer.ok(200);
    assert_eq!(answer["unionid"], json!(unionid));
    assert_eq!(answer["openid"], json!(population::openid(MP, 5)));
    assert_eq!(answer["staff_ids"], json!(["s1"]));
    assert_eq!(answer["profile_state"], "complete");
    assert_eq!(
        login(api.code(5)).await.ok(200)["identity_id"],
        answer["identity_id"]
    );
    let world = app.simulator.world();
    world
        .change_account(MP, |settings| settings.bound_to_open_platform = false)
        .unwrap();
    let unbound = login(api.code(6)).await.ok(200);
    assert_eq!(unbound["unionid"], json!(null));
    assert_eq!(unbound["profile_state"], "not_bound_to_open_platform");
    login("x".repeat(257))
        .await
        .refused(422, "too_long", "code");
    let oa = format!("/miniprogram/{OA}/sessions");
    let refused = app.post(&api.key, &oa, json!({"code": "c"})).await;
    refused.refused(422, "wrong_account_kind", "app_id");
    world
        .change_account(MP, |settings| settings.secret = "changed".to_owned())
        .unwrap();
    login(api.code(7)).await.refused(502, "wechat_refused", "");
    let accounts = app.get(&api.key, "/accounts").await.ok(200);
    assert_eq!(accounts["items"][1]["problem"]["code"], 40125, "{accounts}");
    for secret in ["session_key", "sealed", "callback_token"] {
        assert!(!accounts.to_string().contains(secret), "{accounts}");
    }
}
