//! One token for everybody: lent to those who may, replaced once when it is bad, and written down.

use std::time::Duration;

use futures_util::future::join_all;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::bridge::accounts::register::Draft;
use queqiao::models::account::{AccountKind, TokenSource};
use queqiao::models::actor::Actor;
use queqiao::simulator::{Fault, FaultKind};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{ApiFixture, FOREIGN, OA};
use crate::support::{TestApp, logs};

const STABLE_TOKEN: &str = "/cgi-bin/stable_token";

fn lend() -> String {
    format!("/accounts/{OA}/access-token")
}

async fn report(app: &TestApp, key: &str, token: &str) -> Value {
    let path = format!("/accounts/{OA}/access-token/invalid");
    let answer = app.post(key, &path, json!({"access_token": token})).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.ok(200)
}

async fn borrow(app: &TestApp, key: &str) -> String {
    let answer = app.get(key, &lend()).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.ok(200)["access_token"].as_str().unwrap().to_owned()
}

fn fetched(app: &TestApp) -> u64 {
    let world = app.simulator.world();
    world.calls(STABLE_TOKEN, Some(OA)).unwrap()
}

both_engines! {
    everybody_is_lent_the_same_token_with_its_remaining_life,
    a_bad_token_is_replaced_once_and_an_old_one_changes_nothing,
    a_report_that_wechat_does_not_bear_out_is_answered_so,
    loans_and_reports_are_written_down_without_the_token,
    who_may_not_have_a_token_gets_none_and_leaves_no_entry,
    a_refusal_of_the_token_call_is_told_in_words,
}

async fn everybody_is_lent_the_same_token_with_its_remaining_life(api: ApiFixture) {
    let app = &api.app;
    let key = app.key(api.project, &[Scope::Token]).await;
    let first = app.get(&key, &lend()).await.ok(200);
    assert_eq!(first["expires_in"], 7200);
    assert_eq!(
        first.as_object().unwrap().len(),
        2,
        "nothing but WeChat's own members"
    );
    app.advance(Duration::from_secs(100));
    let second = app.get(&api.key, &lend()).await.ok(200);
    assert_eq!(second["access_token"], first["access_token"]);
    assert_eq!(second["expires_in"], 7100);
    let (bridge, _server) = app.replica();
    let caller = bridge
        .keys
        .verify(&key.clone().into())
        .await
        .unwrap()
        .unwrap();
    let loan = bridge.lend_token(&caller, OA).await.unwrap();
    assert_eq!(first["access_token"], loan.token.expose());
    assert_eq!(fetched(app), 1, "one token for all");
    // It works at WeChat.
    let token = first["access_token"].as_str().unwrap();
    let url = format!(
        "{}cgi-bin/user/get?access_token={token}",
        app.simulator.base_url()
    );
    let followers: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(followers["total"], 0, "{followers}");
    app.advance(Duration::from_secs(7200));
    let renewed = app.get(&key, &lend()).await.ok(200);
    assert_ne!(renewed["access_token"], first["access_token"]);
    assert_eq!(renewed["expires_in"], 7200);
}

async fn a_bad_token_is_replaced_once_and_an_old_one_changes_nothing(api: ApiFixture) {
    let app = &api.app;
    let key = app.key(api.project, &[Scope::Token]).await;
    let (bridge, _server) = app.replica();
    let caller = bridge
        .keys
        .verify(&key.clone().into())
        .await
        .unwrap()
        .unwrap();
    let old = borrow(app, &key).await;
    bridge.lend_token(&caller, OA).await.unwrap();
    app.simulator.world().invalidate_tokens(OA).unwrap();
    let reports = join_all((0..8).map(|_| report(app, &key, &old))).await;
    let replaced = reports
        .iter()
        .filter(|report| report["replaced"] == true)
        .count();
    assert_eq!((replaced, fetched(app)), (1, 2), "{reports:?}");
    let new = borrow(app, &key).await;
    assert_ne!(new, old);
    // The other replica still has the old one in its memory, and must not lend it.
    assert_eq!(
        bridge.lend_token(&caller, OA).await.unwrap().token.expose(),
        new
    );
    for stale in [old.as_str(), "another", &format!("{new}x")] {
        let answer = report(app, &key, stale).await;
        assert_eq!(
            (&answer["replaced"], &answer["outcome"]),
            (&json!(false), &json!("not_current"))
        );
    }
    assert_eq!((borrow(app, &key).await, fetched(app)), (new, 2));
}

async fn a_report_that_wechat_does_not_bear_out_is_answered_so(api: ApiFixture) {
    let app = &api.app;
    let token = borrow(app, &api.key).await;
    let answer = report(app, &api.key, &token).await;
    assert_eq!(
        (&answer["replaced"], &answer["outcome"]),
        (&json!(false), &json!("still_good"))
    );
    assert_eq!((borrow(app, &api.key).await, fetched(app)), (token, 2));
}

async fn loans_and_reports_are_written_down_without_the_token(api: ApiFixture) {
    logs::capture();
    let app = &api.app;
    let name = format!("erp {:016x}", rand::random::<u64>());
    let (key, stored) = app
        .bridge
        .keys
        .create(api.project, &name, &[Scope::Token], &Actor::CommandLine)
        .await
        .unwrap();
    let key = key.expose_secret();
    let token = borrow(app, key).await;
    report(app, key, "stale-1").await;
    app.simulator.world().invalidate_tokens(OA).unwrap();
    report(app, key, &token).await;
    let entries = app.all_pages(&api.key, "/audit", 2).await;
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (&entry["action"], &entry["outcome"]))
        .collect();
    let (lent, reported) = (json!("access_token.lent"), json!("access_token.reported"));
    assert_eq!(
        said,
        [
            (&reported, &json!("replaced")),
            (&reported, &json!("not_current")),
            (&lent, &Value::Null),
        ]
    );
    for entry in &entries {
        assert_eq!(entry["key"], json!({"id": stored.id.0, "name": name}));
        assert_eq!(entry["app_id"], OA);
        assert_eq!(entry["at"], json!(app.clock.now().and_utc()));
    }
    let everything = json!(entries).to_string();
    for secret in [token.as_str(), "stale-1", key] {
        assert!(!everything.contains(secret));
        assert_eq!(logs::lines_with(secret), Vec::<String>::new());
    }
    assert_eq!(logs::lines_with(&name).len(), 3, "one line each");
    assert_eq!(
        app.get(&api.other, "/audit").await.ok(200)["items"],
        json!([])
    );
    app.get(key, "/audit")
        .await
        .refused(403, "missing_scope", "");
}

async fn who_may_not_have_a_token_gets_none_and_leaves_no_entry(api: ApiFixture) {
    let app = &api.app;
    let invalid = format!("/accounts/{OA}/access-token/invalid");
    let body = json!({"access_token": "x"});
    for scope in [Scope::Notify, Scope::Read] {
        let key = app.key(api.project, &[scope]).await;
        app.get(&key, &lend())
            .await
            .refused(403, "missing_scope", "");
        app.post(&key, &invalid, body.clone())
            .await
            .refused(403, "missing_scope", "");
    }
    let key = app.key(api.project, &[Scope::Token]).await;
    for foreign in [FOREIGN, "wx00000000000000ff", "nonsense"] {
        let path = format!("/accounts/{foreign}/access-token");
        app.get(&key, &path).await.refused(404, "not_found", "");
        app.post(&key, &format!("{path}/invalid"), body.clone())
            .await
            .refused(404, "not_found", "");
    }
    app.post(&key, &invalid, json!({"access_token": ""}))
        .await
        .refused(422, "invalid_field", "access_token");
    app.post(&key, &invalid, json!({}))
        .await
        .refused(422, "missing_field", "access_token");
    app.get(&key, "/staff")
        .await
        .refused(403, "missing_scope", "");
    let bare = "wx00000000000000c1";
    let draft = Draft {
        project_id: api.project,
        name: "bare".to_owned(),
        app_id: bare.to_owned(),
        kind: AccountKind::OfficialAccount,
        mode: queqiao::wechat::callback::Mode::Plain,
        callback_token: "token".to_owned().into(),
        aes_key: None,
        secret: None,
        token_source: TokenSource::StableToken,
        welcome_text: None,
    };
    app.bridge.add_account(draft).await.unwrap();
    let path = format!("/accounts/{bare}/access-token");
    app.get(&key, &path)
        .await
        .refused(422, "no_app_secret", "app_id");
    assert_eq!(
        app.get(&api.key, "/audit").await.ok(200)["items"],
        json!([])
    );
}

async fn a_refusal_of_the_token_call_is_told_in_words(api: ApiFixture) {
    let app = &api.app;
    for (errcode, status, code, words) in [
        (40164, 502, "wechat_refused", "whitelist"),
        (45009, 503, "wechat_busy", "limit"),
        (-1, 503, "wechat_unreachable", "busy"),
    ] {
        let world = app.simulator.world();
        world
            .add_fault(Fault::at(STABLE_TOKEN, FaultKind::Errcode { errcode }))
            .unwrap();
        let problem = app.get(&api.key, &lend()).await.refused(status, code, "");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(words) && detail.contains(&errcode.to_string()),
            "{detail}"
        );
        world.clear_faults();
    }
    let token = borrow(app, &api.key).await;
    app.simulator.world().invalidate_tokens(OA).unwrap();
    let fault = Fault::at(STABLE_TOKEN, FaultKind::Errcode { errcode: 40164 });
    app.simulator.world().add_fault(fault).unwrap();
    let invalid = format!("/accounts/{OA}/access-token/invalid");
    let refused = app
        .post(&api.key, &invalid, json!({"access_token": token}))
        .await;
    refused.refused(502, "wechat_refused", "");
    let entries = app.get(&api.key, "/audit").await.ok(200);
    assert_eq!(entries["items"][0]["outcome"], "not_refreshed", "{entries}");
    app.simulator.world().clear_faults();
    assert_ne!(
        borrow(app, &api.key).await,
        token,
        "the bad one was thrown away"
    );
}
