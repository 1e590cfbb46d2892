//! Why a person is reached or not, and what is said to do about it.

mod accounts;
mod calls;
mod trail;

use queqiao::bridge::steps::StepName;
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::routes::RouteFixture;
use crate::support::api::{by_openid, by_unionid};
use crate::support::setup::{MP, OA};

impl RouteFixture {
    async fn explain(&self, staff_id: &str) -> Value {
        self.explain_with(staff_id, "").await
    }

    async fn explain_with(&self, staff_id: &str, query: &str) -> Value {
        let path = format!("/staff/{staff_id}/explain{query}");
        self.app.get(&self.key, &path).await.ok(200)
    }
}

fn steps(story: &Value) -> Vec<&str> {
    let steps = story["next_steps"].as_array().unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| step.as_str().unwrap()).collect();
    assert!(!steps.is_empty(), "{story}");
    for step in &steps {
        assert!(step.ends_with(['.', ')']) && !step.contains("  "), "{step}");
    }
    steps
}

/// One of the steps says all of these words.
#[track_caller]
fn says(story: &Value, words: &[&str]) {
    let found = steps(story)
        .iter()
        .any(|step| words.iter().all(|word| step.contains(word)));
    assert!(found, "{words:?} in {:#}", story["next_steps"]);
}

both_engines! {
    whoever_is_reached_needs_nothing,
    the_routes_of_a_message_type_are_judged_one_by_one,
    whoever_is_not_bound_is_to_be_bound,
    a_missing_unionid_is_told_with_its_reason,
    whoever_unfollowed_is_asked_to_follow,
}

async fn whoever_is_reached_needs_nothing(routes: RouteFixture) {
    routes.member("s1", 1).await;
    let story = routes.explain("s1").await;
    assert_eq!(
        steps(&story),
        [format!(
            "Nothing: a notification reaches them as a template message of account {OA}."
        )]
    );
    let unionid = population::unionid(1);
    assert_eq!(
        (&story["unionid"]["unionid"], &story["unionid"]["reason"]),
        (&json!(unionid), &json!(null))
    );
    assert_eq!(
        (
            &story["bindings"][0]["unionid"],
            &story["bindings"][0]["app_id"]
        ),
        (&json!(unionid), &json!(null))
    );
    let official = &story["accounts"][0];
    assert_eq!(
        (&official["app_id"], &official["trouble"]),
        (&json!(OA), &json!([]))
    );
    assert_eq!(
        official["template"],
        json!({"would_send": true, "reason": null, "detail": null})
    );
    let identity = &official["identities"][0];
    assert_eq!(
        (&identity["openid"], &identity["follow_state"]),
        (&json!(population::openid(OA, 1)), &json!("following"))
    );
    assert!(identity["since"].is_string(), "{identity}");
    let mini = &story["accounts"][1];
    assert_eq!(
        (&mini["kind"], &mini["template"]),
        (&json!("mini_program"), &json!(null))
    );
    assert_eq!(
        (&story["deliveries"], &story["message_type"]),
        (&json!([]), &json!(null))
    );
}

async fn the_routes_of_a_message_type_are_judged_one_by_one(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes
        .channels(&["mp_subscribe", "template", "oa_subscribe"])
        .await;
    let story = routes.explain_with("s1", "?message_type=ping").await;
    let of_type = &story["message_type"];
    assert_eq!(
        (&of_type["verdict"], &of_type["route"]),
        (&json!("would_send"), &json!(1))
    );
    let verdicts: Vec<&str> = of_type["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["no_credit", "taken", "no_credit"]);
    assert_eq!(
        steps(&story),
        [format!(
            "Nothing: a notification of type ping reaches them as a template message of account {OA}."
        )]
    );
    routes.world().unfollow(OA, 1).await.unwrap();
    routes.app.drain().await;
    let story = routes.explain_with("s1", "?message_type=ping").await;
    assert_eq!(
        (
            &story["message_type"]["verdict"],
            &story["message_type"]["route"]
        ),
        (&json!("would_wait"), &json!(0))
    );
    says(&story, &["follow account", OA]);
    let (app, key) = (&routes.app, &routes.key);
    app.get(key, "/staff/s1/explain?message_type=pong")
        .await
        .refused(422, "unknown_message_type", "message_type");
    app.get(key, "/staff/s1/explain?type=ping")
        .await
        .refused(400, "invalid_query", "type");
    app.get(key, "/staff/nobody/explain")
        .await
        .refused(404, "not_found", "");
}

async fn whoever_is_not_bound_is_to_be_bound(routes: RouteFixture) {
    routes
        .app
        .put(&routes.key, "/staff/a%20b", json!({"name": "Li"}))
        .await
        .ok(201);
    let story = routes.explain("a%20b").await;
    assert_eq!(
        (&story["staff_id"], &story["name"], &story["bindings"]),
        (&json!("a b"), &json!("Li"), &json!([]))
    );
    assert_eq!(steps(&story).len(), 1);
    says(
        &story,
        &[
            "Create an invitation",
            "POST /staff/a%20b/invitations",
            OA,
            "POST /staff/a%20b/bindings",
        ],
    );
    assert_eq!(story["accounts"][0]["template"]["reason"], "not_bound");
    assert_eq!(
        story["accounts"][0]["customer"]["reason"],
        "no_identity_in_account"
    );
    let invited = json!({"app_id": OA});
    let invited = routes
        .app
        .post(&routes.key, "/staff/a%20b/invitations", invited)
        .await
        .ok(201);
    let story = routes.explain("a%20b").await;
    let open = &story["invitations"][0];
    assert_eq!(
        (
            &open["id"],
            &open["state"],
            &open["app_id"],
            &open["refusal"]
        ),
        (&invited["id"], &json!("open"), &json!(OA), &json!(null))
    );
    says(
        &story,
        &[
            &format!("QR code of invitation {}", invited["id"]),
            "good until",
            "POST /staff/a%20b/bindings",
        ],
    );
    // Somebody who is another staff member scans it.
    routes.member("s1", 1).await;
    routes
        .world()
        .scan_code(OA, 1, invited["url"].as_str().unwrap())
        .await
        .unwrap();
    routes.app.drain().await;
    let story = routes.explain("a%20b").await;
    assert_eq!(story["invitations"][0]["refusal"], "person_already_bound");
    says(
        &story,
        &[
            &format!("Invitation {} was presented", invited["id"]),
            "bound to another staff member",
        ],
    );
    // It is in the wrong hands, so it is good for nobody any more.
    assert_eq!(story["invitations"][0]["state"], "revoked");
    let invited = json!({"app_id": OA});
    let invited = routes
        .app
        .post(&routes.key, "/staff/a%20b/invitations", invited)
        .await
        .ok(201);
    routes
        .world()
        .scan_code(OA, 2, invited["url"].as_str().unwrap())
        .await
        .unwrap();
    routes.app.drain().await;
    let story = routes.explain("a%20b").await;
    assert_eq!(
        story["bindings"][0]["invitation_id"], invited["id"],
        "{story}"
    );
    assert_eq!(story["bindings"][0]["openid"], population::openid(OA, 2));
}

async fn a_missing_unionid_is_told_with_its_reason(routes: RouteFixture) {
    let world = routes.world();
    routes.channels(&["template", "mp_subscribe"]).await;
    routes
        .staff("never_followed")
        .bound_to(by_openid(OA, 3))
        .await;
    routes
        .staff("wrong_openid")
        .bound_to(json!({"app_id": OA, "openid": "oNobody"}))
        .await;
    routes.allow(MP, 6).await;
    routes
        .staff("never_logged_in")
        .bound_to(by_openid(MP, 6))
        .await;
    routes.staff("never_seen").bound_to(by_unionid(7)).await;
    routes.app.drain().await;
    world
        .change_account(OA, |settings| settings.bound_to_open_platform = false)
        .unwrap();
    routes.follows(4).await;
    routes.app.drain().await;
    routes.staff("not_bound").bound_to(by_openid(OA, 4)).await;
    routes.follows(5).await;
    routes.app.bridge.run(StepName::Process).await.unwrap();
    routes.staff("pending").bound_to(by_openid(OA, 5)).await;
    for (staff_id, reason, words) in [
        (
            "never_followed",
            "not_following",
            ["Ask them to follow account", OA, "only of followers"],
        ),
        (
            "wrong_openid",
            "unknown_openid",
            [
                "Bind them again",
                OA,
                "DELETE /staff/wrong_openid/bindings/",
            ],
        ),
        (
            "never_logged_in",
            "login_needed",
            ["open mini-program", MP, "links them to"],
        ),
        (
            "not_bound",
            "not_bound_to_open_platform",
            ["Bind account", OA, "open.weixin.qq.com"],
        ),
        ("pending", "pending", ["Wait until", OA, "is fetched"]),
    ] {
        let story = routes.explain(staff_id).await;
        let unionid = &story["unionid"];
        assert_eq!(
            (&unionid["unionid"], &unionid["reason"]),
            (&json!(null), &json!(reason)),
            "{staff_id}"
        );
        assert!(
            unionid["detail"]
                .as_str()
                .unwrap()
                .contains("unionid is not known"),
            "{unionid}"
        );
        if reason == "pending" {
            assert!(unionid["next_try_at"].is_string(), "{unionid}");
        }
        says(&story, &words);
    }
    let story = routes.explain("never_seen").await;
    assert_eq!(
        (
            &story["unionid"]["unionid"],
            &story["accounts"][0]["identities"]
        ),
        (&json!(population::unionid(7)), &json!([]))
    );
    says(
        &story,
        &[
            "Ask them to follow account",
            OA,
            "POST /accounts",
            "imports",
        ],
    );
    says(&story, &["open mini-program", MP, "log in"]);
}

async fn whoever_unfollowed_is_asked_to_follow(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.world().unfollow(OA, 1).await.unwrap();
    routes.app.drain().await;
    let story = routes.explain("s1").await;
    let official = &story["accounts"][0];
    assert_eq!(
        (
            &official["template"]["would_send"],
            &official["template"]["reason"]
        ),
        (&json!(false), &json!("not_following"))
    );
    assert_eq!(official["identities"][0]["follow_state"], "not_following");
    assert!(official["identities"][0]["since"].is_string(), "{official}");
    assert_eq!(official["customer"]["reason"], "not_following");
    assert_eq!(steps(&story).len(), 1);
    says(
        &story,
        &[
            "Ask them to follow account",
            OA,
            "POST /staff/s1/invitations",
        ],
    );
}
