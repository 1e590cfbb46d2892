//! What does not bind: only a valid token does, and never silently in the place of somebody.

use std::time::Duration;

use queqiao::simulator::{Kind, Origin, population};
use serde_json::{Value, json};

use super::super::{ApiFixture, FOREIGN, MP, OA};
use super::follower;

both_engines! {
    an_expired_token_is_refused_by_the_time_of_the_scan,
    a_used_token_is_refused_to_others,
    a_revoked_token_is_refused,
    a_token_is_good_in_its_own_accounts_only,
    a_staff_member_is_never_rebound_silently,
    a_person_belongs_to_one_staff_member,
    no_event_has_a_token_or_a_ticket,
    a_login_code_is_not_spent_on_a_token_that_nobody_can_use,
    nothing_but_the_token_binds,
}

async fn an_expired_token_is_refused_by_the_time_of_the_scan(api: ApiFixture) {
    let late = api.invite("s1", json!({"expires_in_seconds": 60})).await;
    let token = late["token"].as_str().unwrap();
    api.app.advance(Duration::from_secs(61));
    assert!(
        !api.scan(1, &late).await,
        "WeChat itself tells of no such scan"
    );
    assert_eq!(api.invitations("s1").await[0]["state"], "expired");
    api.present(OA, 1, token).await;
    assert_eq!(api.last_refusal("s1").await, "expired");
    api.log_in_with(2, &late["token"])
        .await
        .refused(422, "invitation_expired", "invitation");
    assert_eq!(api.bound("s1").await, Vec::<String>::new());
    // A scan in time counts even if its event waits here.
    let early = api.invite("s2", json!({"expires_in_seconds": 60})).await;
    assert!(api.scan(1, &early).await);
    api.app.advance(Duration::from_secs(3_600));
    api.app.drain().await;
    assert_eq!(api.bound("s2").await, [follower(1)]);
}

async fn a_used_token_is_refused_to_others(api: ApiFixture) {
    let invited = api.invite("s1", json!({})).await;
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert!(api.scan(2, &invited).await);
    api.app.drain().await;
    let shown = api.invitations("s1").await.remove(0);
    assert_eq!(shown["last_refusal"]["reason"], "used");
    let who = format!("/people/{}", shown["last_refusal"]["identity_id"]);
    let who = api.app.get(&api.key, &who).await.ok(200);
    assert_eq!(who["identities"][0]["openid"], follower(2));
    api.log_in_with(3, &invited["token"])
        .await
        .refused(409, "invitation_used", "invitation");
    assert_eq!(api.bound("s1").await, [follower(1)]);
    let path = format!("/staff/s1/invitations/{}", invited["id"]);
    api.app
        .delete(&api.key, &path)
        .await
        .refused(409, "invitation_used", "");
    // Whoever was unbound since does not come back with the old token.
    let whole = api.app.get(&api.key, "/staff/s1").await.ok(200);
    let binding = format!("/staff/s1/bindings/{}", whole["bindings"][0]["id"]);
    assert_eq!(api.app.delete(&api.key, &binding).await.status, 200);
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, Vec::<String>::new());
}

async fn a_revoked_token_is_refused(api: ApiFixture) {
    let invited = api.invite("s1", json!({})).await;
    let path = format!("/staff/s1/invitations/{}", invited["id"]);
    api.app
        .delete(&api.other, &path)
        .await
        .refused(404, "not_found", "");
    for _ in 0..2 {
        assert_eq!(api.app.delete(&api.key, &path).await.status, 204);
    }
    api.staff("s2").await;
    let elsewhere = format!("/staff/s2/invitations/{}", invited["id"]);
    api.app
        .delete(&api.key, &elsewhere)
        .await
        .refused(404, "not_found", "");
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.last_refusal("s1").await, "revoked");
    api.log_in_with(2, &invited["token"])
        .await
        .refused(422, "invitation_revoked", "invitation");
    assert_eq!(api.bound("s1").await, Vec::<String>::new());
}

async fn a_token_is_good_in_its_own_accounts_only(api: ApiFixture) {
    const SECOND: &str = "wx00000000000000a9";
    api.app
        .account(api.project, SECOND, Kind::OfficialAccount)
        .await;
    let invited = api.invite("s1", json!({"mini_program": null})).await;
    let token = invited["token"].as_str().unwrap();
    api.present(FOREIGN, 1, token).await;
    let shown = api.invitations("s1").await.remove(0);
    assert_eq!(shown["last_refusal"]["reason"], "foreign");
    assert_eq!(shown["last_refusal"]["identity_id"], json!(null));
    api.present(SECOND, 1, token).await;
    assert_eq!(api.last_refusal("s1").await, "wrong_account");
    api.log_in_with(1, &invited["token"]).await.refused(
        422,
        "invitation_wrong_account",
        "invitation",
    );
    assert_eq!(api.bound("s1").await, Vec::<String>::new());
    // Refusals do not use it up.
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(1)]);
}

async fn a_staff_member_is_never_rebound_silently(api: ApiFixture) {
    let first = api.invite("s1", json!({})).await;
    assert!(api.scan(1, &first).await);
    api.app.drain().await;
    let second = api.invite("s1", json!({})).await;
    assert!(api.scan(2, &second).await);
    api.app.drain().await;
    assert_eq!(api.last_refusal("s1").await, "already_bound");
    api.log_in_with(2, &second["token"])
        .await
        .refused(409, "already_bound", "invitation");
    assert_eq!(api.bound("s1").await, [follower(1)]);
    // The same person, in another account: nothing to do, and the invitation is used.
    let session = api.log_in_with(1, &second["token"]).await.ok(200);
    assert_eq!(session["invitation"]["bound_now"], false);
    assert_eq!(api.bound("s1").await, [follower(1)]);
    let third = api.invite("s1", json!({"rebind": true})).await;
    assert_eq!(third["rebind"], true);
    assert!(api.scan(2, &third).await);
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(2)]);
}

async fn a_person_belongs_to_one_staff_member(api: ApiFixture) {
    let first = api.invite("s1", json!({})).await;
    assert!(api.scan(1, &first).await);
    api.app.drain().await;
    let second = api.invite("s2", json!({"rebind": true})).await;
    assert!(api.scan(1, &second).await);
    api.app.drain().await;
    assert_eq!(api.last_refusal("s2").await, "person_already_bound");
    // Somebody else has seen it: it binds nobody any more.
    assert_eq!(api.invitations("s2").await[0]["state"], "revoked");
    api.log_in_with(3, &second["token"])
        .await
        .refused(422, "invitation_revoked", "invitation");
    // By another openid of the person, too.
    let third = api.invite("s2", json!({"rebind": true})).await;
    let login = api.log_in_with(1, &third["token"]).await;
    login.refused(409, "person_already_bound", "invitation");
    assert_eq!(api.bound("s1").await, [follower(1)]);
    assert_eq!(api.bound("s2").await, Vec::<String>::new());
}

async fn no_event_has_a_token_or_a_ticket(api: ApiFixture) {
    let first = api.invite("s1", json!({})).await;
    assert!(api.scan(1, &first).await);
    let second = api.invite("s2", json!({})).await;
    assert!(api.scan(1, &second).await);
    let token = second["token"].as_str().unwrap();
    let world = api.app.simulator.world();
    world
        .send_text(OA, 2, &format!("look: {token}"))
        .await
        .unwrap();
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, [follower(1)]);
    assert_eq!(api.last_refusal("s2").await, "person_already_bound");
    let events = api.app.get(&api.key, "/events").await.ok(200);
    let events = events["items"].as_array().unwrap().clone();
    assert_eq!(events.len(), 3);
    let mut said = api.app.get(&api.key, "/people").await.ok(200).to_string();
    for event in events {
        let path = format!("/events/{}", event["id"]);
        said += &api.app.get(&api.key, &path).await.ok(200).to_string();
    }
    for invited in [first, second] {
        let (_, ticket) = invited["qr_url"]
            .as_str()
            .unwrap()
            .split_once("ticket=")
            .unwrap();
        for secret in [
            ticket,
            invited["token"].as_str().unwrap(),
            invited["url"].as_str().unwrap(),
        ] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    assert!(said.contains("invitation:"), "{said}");
    // What stands there instead binds nobody, from wherever it comes.
    let third = api.invite("s3", json!({})).await;
    assert!(api.scan(4, &third).await);
    let hidden = api.app.get(&api.key, "/events?limit=1").await.ok(200);
    let path = format!("/events/{}", hidden["items"][0]["id"]);
    let hidden = api.app.get(&api.key, &path).await.ok(200);
    let scene = hidden["parsed"]["content"]["origin"]["scene"]
        .as_str()
        .unwrap();
    assert!(scene.starts_with("invitation:"), "{hidden}");
    let refused = api.log_in_with(5, &json!(scene)).await;
    refused.refused(422, "invitation_unknown", "invitation");
    api.present(OA, 5, scene).await;
    assert_eq!(
        api.bound("s3").await,
        [follower(4)],
        "the scan itself still binds"
    );
}

async fn a_login_code_is_not_spent_on_a_token_that_nobody_can_use(api: ApiFixture) {
    let code = api.code(1);
    let path = format!("/miniprogram/{MP}/sessions");
    let body = |token: &Value| json!({"code": code, "invitation": token});
    let send = async |token: Value| api.app.post(&api.key, &path, body(&token)).await;
    let unknown = json!(format!("qqi_{}", "A".repeat(43)));
    send(unknown)
        .await
        .refused(422, "invitation_unknown", "invitation");
    send(json!("shop_12"))
        .await
        .refused(422, "invitation_unknown", "invitation");
    send(json!(""))
        .await
        .refused(422, "invalid_field", "invitation");
    send(json!("x".repeat(65)))
        .await
        .refused(422, "too_long", "invitation");
    let gone = api.invite("s1", json!({})).await;
    let good = api.invite("s1", json!({})).await;
    send(gone["token"].clone())
        .await
        .refused(422, "invitation_revoked", "invitation");
    let elsewhere = format!("/miniprogram/{FOREIGN}/sessions");
    api.app
        .post(&api.key, &elsewhere, body(&good["token"]))
        .await
        .refused(404, "not_found", "");
    assert_eq!(
        send(good["token"].clone()).await.ok(200)["staff_ids"],
        json!(["s1"])
    );
    send(good["token"].clone())
        .await
        .refused(422, "code_used", "code");
}

async fn nothing_but_the_token_binds(api: ApiFixture) {
    let invited = api.invite("s1", json!({})).await;
    let token = invited["token"].as_str().unwrap().to_owned();
    let letters: Vec<char> = token.chars().collect();
    let mut forged: Vec<String> = (0..letters.len())
        .map(|at| {
            let mut changed = letters.clone();
            changed[at] = if changed[at] == 'A' { 'B' } else { 'A' };
            changed.into_iter().collect()
        })
        .collect();
    forged.extend((0..letters.len()).map(|length| letters[..length].iter().collect()));
    forged.extend([
        token.to_uppercase(),
        token.to_lowercase(),
        format!("{token}A"),
        format!("{token}="),
        format!("qrscene_{token}"),
        token.replace("qqi_", "qqi_qqi_"),
        invited["id"].to_string(),
        "s1".to_owned(),
    ]);
    let world = api.app.simulator.world();
    for (person, scene) in (0..).zip(&forged) {
        assert!(scene != &token);
        let person = person % 10;
        world.scan(OA, person, scene).await.unwrap();
        if person % 5 == 0 {
            world.follow(OA, person, Origin::qr(scene)).await.unwrap();
        }
        if person == 7 {
            let login = api.log_in_with(person, &json!(scene)).await;
            assert_eq!(login.status, 422, "{scene}: {login:?}");
        }
    }
    api.app.drain().await;
    assert_eq!(api.bound("s1").await, Vec::<String>::new());
    assert_eq!(api.last_refusal("s1").await, "");
    assert_eq!(api.invitations("s1").await[0]["state"], "open");
    api.present(OA, 3, &token).await;
    assert_eq!(api.bound("s1").await, [population::openid(OA, 3)]);
}
