//! Invitations: from the request to the binding, by a scan and by a login.

mod late;
mod refused;

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::simulator::{Fault, FaultKind, population};
use serde_json::{Value, json};
use url::Url;

use super::{ApiFixture, FOREIGN, MP, OA};
use crate::support::app::Answer;

impl ApiFixture {
    /// Makes an invitation for a staff member, who is put first.
    async fn invite(&self, staff_id: &str, more: Value) -> Value {
        let path = format!("/staff/{staff_id}");
        assert!(self.app.put(&self.key, &path, json!({})).await.status < 300);
        let mut body = json!({"app_id": OA, "mini_program": {"app_id": MP, "path": "pages/bind"}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let path = format!("{path}/invitations");
        self.app.post(&self.key, &path, body).await.ok(201)
    }

    /// A person scans the picture of an invitation; returns whether WeChat told anybody.
    async fn scan(&self, person: u32, invited: &Value) -> bool {
        let url: Url = invited["qr_url"].as_str().unwrap().parse().unwrap();
        let (_, ticket) = url
            .query_pairs()
            .find(|(name, _)| name == "ticket")
            .unwrap();
        let world = self.app.simulator.world();
        let push = world.scan_code(OA, person, &ticket).await.unwrap();
        push.is_some_and(|push| push.verdict.is_accepted())
    }

    /// An event of a scan with this scene, as if such a code had been made.
    async fn present(&self, app_id: &str, person: u32, scene: &str) {
        let world = self.app.simulator.world();
        let push = world.scan(app_id, person, scene).await.unwrap();
        assert!(push.verdict.is_accepted());
        self.app.drain().await;
    }

    async fn log_in_with(&self, person: u32, token: &Value) -> Answer {
        let body = json!({"code": self.code(person), "invitation": token});
        let path = format!("/miniprogram/{MP}/sessions");
        self.app.post(&self.key, &path, body).await
    }

    async fn invitations(&self, staff_id: &str) -> Vec<Value> {
        let path = format!("/staff/{staff_id}/invitations");
        let list = self.app.get(&self.key, &path).await.ok(200);
        list["items"].as_array().unwrap().clone()
    }

    /// The openids that a staff member is bound to.
    async fn bound(&self, staff_id: &str) -> Vec<String> {
        let whole = self
            .app
            .get(&self.key, &format!("/staff/{staff_id}"))
            .await
            .ok(200);
        let mut openids = Vec::new();
        for binding in whole["bindings"].as_array().unwrap() {
            let path = format!("/people/{}", binding["identity_id"]);
            let person = self.app.get(&self.key, &path);
            let person = person.await.ok(200);
            let identities = person["identities"].as_array().unwrap().clone();
            let own = identities
                .iter()
                .find(|own| own["id"] == binding["identity_id"])
                .unwrap();
            openids.push(own["openid"].as_str().unwrap().to_owned());
        }
        openids
    }

    /// Why the newest invitation of a staff member was last refused.
    async fn last_refusal(&self, staff_id: &str) -> String {
        let newest = self.invitations(staff_id).await.remove(0);
        let refusal = &newest["last_refusal"];
        assert!(refusal.is_null() || refusal["detail"].as_str().unwrap().len() > 20);
        refusal["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// The openid of a person in the official account.
fn follower(person: u32) -> String {
    population::openid(OA, person)
}

both_engines! {
    one_scan_follows_and_binds,
    who_follows_already_is_bound_by_a_scan_of_the_picture_or_its_text,
    a_login_from_the_page_binds,
    of_two_who_scan_at_once_one_wins,
    who_uses_two_invitations_at_once_becomes_one_staff_member,
    a_push_that_is_repeated_or_replayed_changes_nothing,
    a_newer_invitation_takes_the_place_of_the_open_one,
    wechats_trouble_is_told_apart_and_leaves_nothing_behind,
    what_cannot_be_an_invitation_is_refused,
}

async fn one_scan_follows_and_binds(api: ApiFixture) {
    let invited = api.invite("s1", json!({})).await;
    let token = invited["token"].as_str().unwrap();
    assert!(token.len() == 47 && token.starts_with("qqi_"), "{token}");
    assert_eq!(
        invited["mini_program"]["path"],
        format!("pages/bind?invitation={token}")
    );
    assert_eq!(
        (&invited["state"], &invited["app_id"]),
        (&json!("open"), &json!(OA))
    );
    let picture = "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=gQ";
    assert!(
        invited["qr_url"].as_str().unwrap().starts_with(picture),
        "{invited}"
    );
    assert!(
        invited["url"]
            .as_str()
            .unwrap()
            .starts_with("http://weixin.qq.com/q/")
    );
    let shown = api.app.get(&api.key, "/staff/s1/invitations").await;
    for secret in [token, invited["url"].as_str().unwrap(), "ticket", "pages/"] {
        assert!(!shown.text.contains(secret), "{shown:?}");
    }
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(1)]);
    let used = api.invitations("s1").await.remove(0);
    assert_eq!(
        (&used["state"], &used["last_refusal"]),
        (&json!("used"), &json!(null))
    );
    let whole = api.app.get(&api.key, "/staff/s1").await.ok(200);
    assert_eq!(
        used["used_by_identity_id"],
        whole["bindings"][0]["identity_id"]
    );
    assert_eq!(whole["reachable"], true, "{whole}");
    let person = &whole["identities"][0];
    assert_eq!(person["follow_state"], "following");
    assert_eq!(person["subscribe_scene"], "ADD_SCENE_QR_CODE");
    assert_eq!(person["unionid"], population::unionid(1));
}

async fn who_follows_already_is_bound_by_a_scan_of_the_picture_or_its_text(api: ApiFixture) {
    api.new_follower(1).await;
    let invited = api.invite("s1", json!({})).await;
    let text = invited["url"].as_str().unwrap();
    let world = api.app.simulator.world();
    assert!(world.scan_code(OA, 1, text).await.unwrap().is_some());
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(1)]);
    let events = api
        .app
        .get(&api.key, "/events?kind=event.scan")
        .await
        .ok(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}

async fn a_login_from_the_page_binds(api: ApiFixture) {
    let invited = api.invite("s1", json!({})).await;
    let session = api.log_in_with(1, &invited["token"]).await.ok(200);
    assert_eq!(session["staff_ids"], json!(["s1"]));
    let accepted = json!({"id": invited["id"], "staff_id": "s1", "bound_now": true});
    assert_eq!(session["invitation"], accepted);
    assert_eq!(api.bound("s1").await, [population::openid(MP, 1)]);
    // Once more by the same person, here and by a scan, changes nothing.
    let again = api.log_in_with(1, &invited["token"]).await.ok(200);
    assert_eq!(again["invitation"]["bound_now"], false);
    api.new_follower(1).await;
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [population::openid(MP, 1)]);
    assert_eq!(api.last_refusal("s1").await, "");
    // A login without an invitation says nothing of one.
    let path = format!("/miniprogram/{MP}/sessions");
    let plain = api
        .app
        .post(&api.key, &path, json!({"code": api.code(1)}))
        .await
        .ok(200);
    assert!(plain.get("invitation").is_none(), "{plain}");
}

async fn of_two_who_scan_at_once_one_wins(api: ApiFixture) {
    let (other, _server) = api.app.replica();
    for round in 0..4_u32 {
        let staff_id = format!("s{round}");
        let invited = api.invite(&staff_id, json!({})).await;
        let (first, second) = (round * 2, round * 2 + 1);
        assert!(api.scan(first, &invited).await);
        if round % 2 == 0 {
            // In one batch; else in two, by two processes at once.
            assert!(api.scan(second, &invited).await);
            api.app.bridge.run(StepName::Process).await.unwrap();
        } else {
            let login = api.log_in_with(second, &invited["token"]);
            let (login, step) = tokio::join!(login, other.run(StepName::Process));
            step.unwrap();
            assert!([200, 409].contains(&login.status), "{login:?}");
        }
        api.app.drain().await;
        let bound = api.bound(&staff_id).await;
        assert_eq!(bound.len(), 1, "{bound:?}");
        assert_eq!(api.last_refusal(&staff_id).await, "used");
    }
}

async fn who_uses_two_invitations_at_once_becomes_one_staff_member(api: ApiFixture) {
    let (other, _server) = api.app.replica();
    for person in 0..4_u32 {
        // So that it is known that both openids are one person's.
        api.new_follower(person).await;
        let (left, right) = (format!("left{person}"), format!("right{person}"));
        let scanned = api.invite(&left, json!({})).await;
        let opened = api.invite(&right, json!({})).await;
        assert!(api.scan(person, &scanned).await);
        let login = api.log_in_with(person, &opened["token"]);
        let (login, step) = tokio::join!(login, other.run(StepName::Process));
        step.unwrap();
        api.app.drain().await;
        let (left, right) = (api.bound(&left).await, api.bound(&right).await);
        assert_eq!(left.len() + right.len(), 1, "{left:?} {right:?}");
        match right.len() {
            1 => login.ok(200),
            _ => login.refused(409, "person_already_bound", "invitation"),
        };
    }
}

async fn a_push_that_is_repeated_or_replayed_changes_nothing(api: ApiFixture) {
    let world = api.app.simulator.world();
    world.set_push_copies(OA, 3).unwrap();
    let invited = api.invite("s1", json!({})).await;
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    let events = api
        .app
        .get(&api.key, "/events?kind=event.subscribe")
        .await
        .ok(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    let replay = format!("/events/{}/replay", events["items"][0]["id"]);
    let before = api.invitations("s1").await;
    assert!(api.app.post(&api.key, &replay, json!({})).await.status < 300);
    api.app.drain().await;
    assert_eq!(api.invitations("s1").await, before);
    assert_eq!(api.bound("s1").await, [follower(1)]);
}

async fn a_newer_invitation_takes_the_place_of_the_open_one(api: ApiFixture) {
    let first = api.invite("s1", json!({})).await;
    let second = api.invite("s1", json!({})).await;
    assert_ne!(first["token"], second["token"]);
    let states: Vec<Value> = api
        .invitations("s1")
        .await
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["open", "revoked"]);
    api.log_in_with(1, &first["token"])
        .await
        .refused(422, "invitation_revoked", "invitation");
    assert!(api.scan(1, &second).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(1)]);
    let pages = api
        .app
        .all_pages(&api.key, "/staff/s1/invitations", 1)
        .await;
    assert_eq!(pages.len(), 2);
}

async fn wechats_trouble_is_told_apart_and_leaves_nothing_behind(api: ApiFixture) {
    let world = api.app.simulator.world();
    api.staff("s1").await;
    let path = "/staff/s1/invitations";
    for (at, errcode, status, code, said) in [
        (
            "/cgi-bin/qrcode/create",
            45009,
            503,
            "wechat_busy",
            "daily limit",
        ),
        (
            "/cgi-bin/qrcode/create",
            40013,
            502,
            "wechat_refused",
            "app id is wrong",
        ),
        (
            "/cgi-bin/qrcode/create",
            48001,
            502,
            "wechat_refused",
            "no permission",
        ),
        (
            "/cgi-bin/qrcode/create",
            40053,
            502,
            "wechat_refused",
            "QR code",
        ),
        ("/cgi-bin/qrcode/create", -1, 503, "wechat_unreachable", ""),
        (
            "/cgi-bin/stable_token",
            40164,
            502,
            "wechat_refused",
            "whitelist",
        ),
    ] {
        world
            .add_fault(Fault::at(at, FaultKind::Errcode { errcode }))
            .unwrap();
        let answer = api.app.post(&api.key, path, json!({"app_id": OA})).await;
        let problem = answer.refused(status, code, "");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
        world.clear_faults();
        api.app.advance(Duration::from_secs(7200));
    }
    assert_eq!(api.invitations("s1").await, Vec::<Value>::new());
    // A token that WeChat has ended is replaced, and the call made once more.
    api.invite("s1", json!({})).await;
    world.invalidate_tokens(OA).unwrap();
    api.invite("s1", json!({})).await;
    assert_eq!(api.invitations("s1").await.len(), 2);
}

async fn what_cannot_be_an_invitation_is_refused(api: ApiFixture) {
    api.staff("s1").await;
    let path = "/staff/s1/invitations";
    let mini = |value: Value| json!({"app_id": OA, "mini_program": value});
    let life = |seconds: Value| json!({"app_id": OA, "expires_in_seconds": seconds});
    for (body, code, field) in [
        (json!({}), "missing_field", "app_id"),
        (json!({"app_id": ""}), "invalid_field", "app_id"),
        (
            json!({"app_id": "wxffffffffffffffff"}),
            "unknown_app_id",
            "app_id",
        ),
        (json!({"app_id": FOREIGN}), "unknown_app_id", "app_id"),
        (json!({"app_id": MP}), "wrong_account_kind", "app_id"),
        (
            mini(json!({"app_id": OA})),
            "wrong_account_kind",
            "mini_program.app_id",
        ),
        (
            mini(json!({"app_id": "x"})),
            "unknown_app_id",
            "mini_program.app_id",
        ),
        (
            mini(json!({"app_id": MP, "path": "/a"})),
            "invalid_field",
            "mini_program.path",
        ),
        (
            mini(json!({"app_id": MP, "path": "a#b"})),
            "invalid_field",
            "mini_program.path",
        ),
        (
            mini(json!({"app_id": MP, "path": "a".repeat(513)})),
            "too_long",
            "mini_program.path",
        ),
        (life(json!(59)), "invalid_field", "expires_in_seconds"),
        (
            life(json!(2_592_001)),
            "invalid_field",
            "expires_in_seconds",
        ),
        (
            json!({"app_id": OA, "colour": "red"}),
            "unknown_field",
            "colour",
        ),
    ] {
        let answer = api.app.post(&api.key, path, body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        answer.refused(422, code, field);
    }
    let body = json!({"app_id": OA});
    let app = &api.app;
    app.post(&api.key, "/staff/nobody/invitations", body.clone())
        .await
        .refused(404, "not_found", "");
    app.post(&api.other, path, body.clone())
        .await
        .refused(422, "unknown_app_id", "app_id");
    app.get(&api.other, path)
        .await
        .refused(404, "not_found", "");
    let reader = app.key(api.project, &[Scope::Read]).await;
    app.post(&reader, path, body.clone())
        .await
        .refused(403, "missing_scope", "");
    app.get(&reader, path).await.ok(200);
    let notifier = app.key(api.project, &[Scope::Notify]).await;
    let rebind = json!({"app_id": OA, "rebind": true});
    app.post(&notifier, path, rebind)
        .await
        .refused(403, "missing_scope", "rebind");
    let made = app.post(&notifier, path, body).await;
    assert_eq!(made.headers["cache-control"], "no-store");
    assert_eq!(made.ok(201)["mini_program"], json!(null));
    assert_eq!(api.invitations("s1").await.len(), 1);
}
