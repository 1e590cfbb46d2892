//! `queqiao trigger` against `queqiao serve`, beside what `queqiao simulate` pushes.

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings, population};
use queqiao::wechat::callback::Mode;
use serde_json::{Value, json};

use super::{CliFixture, OA};
use crate::callback::new_app_id;
use crate::support::Fixture;
use crate::support::program::Running;
use crate::support::setup::add_account;

const ACTIONS: [(&str, &str, &str, &str); 5] = [
    ("subscribe", "", "follow", "{}"),
    (
        "subscribe",
        "shop_12",
        "follow",
        r#"{"subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":"shop_12"}"#,
    ),
    ("unsubscribe", "", "unfollow", "null"),
    ("click", "menu_1", "click", r#"{"key":"menu_1"}"#),
    ("text", "余额?", "text", r#"{"content":"余额?"}"#),
];

/// Tells the simulator's own process something; what it answers.
async fn tell(
    cli: &CliFixture,
    simulate: &Running,
    method: reqwest::Method,
    path: &str,
    body: &Value,
) -> Value {
    let request = cli
        .http
        .request(method, format!("{}/_sim{path}", simulate.url));
    let response = request.json(body).send().await.unwrap();
    assert!(
        response.status().is_success(),
        "{path}: {}",
        response.status()
    );
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// What is stored newest, with everything that is different in each push made equal.
async fn newest(cli: &CliFixture, serve: &Running, app_id: &str, person: u32) -> Value {
    let listed = cli
        .get(serve, &format!("/events?app_id={app_id}&limit=1"))
        .await;
    let event = cli
        .get(serve, &format!("/events/{}", listed["items"][0]["id"]))
        .await;
    let openid = population::openid(app_id, person);
    assert_eq!(event["openid"], openid, "{event}");
    let parsed = &event["parsed"];
    let mut raw = event["raw"].as_str().unwrap().replace(&openid, "USER");
    raw = raw.replace(&parsed["create_time"].to_string(), "TIME");
    if let Some(id) = parsed["msg_id"].as_str() {
        raw = raw.replace(id, "ID");
    }
    // QR codes of the simulator have a ticket, which is not kept.
    let ticket = ["<Ticket></Ticket>", r#","Ticket":"""#];
    raw = ticket
        .iter()
        .fold(raw, |raw, ticket| raw.replace(ticket, ""));
    let mut content = parsed["content"].clone();
    content.as_object_mut().unwrap().remove("ticket");
    json!({"raw": raw, "kind": event["kind"], "content": content})
}

both_engines! {
    a_triggered_event_is_the_same_as_the_simulators,
    a_trigger_with_the_wrong_secret_fails_and_says_so,
}

async fn a_triggered_event_is_the_same_as_the_simulators(cli: CliFixture) {
    let simulate = cli.program.serve(&["simulate", "--people", "50"]);
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let mut settings = Settings::new(&new_app_id(), Kind::OfficialAccount);
        settings.mode = mode;
        let url = format!("{}/callback/{}", serve.url, settings.app_id);
        settings.callback_url = Some(url.parse().unwrap());
        add_account(&cli.program, &settings);
        tell(
            &cli,
            &simulate,
            reqwest::Method::POST,
            "/accounts",
            &json!(settings),
        )
        .await;
        for format in ["xml", "json"] {
            let account = format!("/accounts/{}", settings.app_id);
            tell(
                &cli,
                &simulate,
                reqwest::Method::PATCH,
                &account,
                &json!({"format": format}),
            )
            .await;
            for (kind, key, action, body) in ACTIONS {
                let openid = population::openid(&settings.app_id, 7);
                let triggered = cli.program.run(&[
                    "trigger",
                    kind,
                    "--url",
                    &url,
                    "--token",
                    &settings.token,
                    "--aes-key",
                    &settings.encoding_aes_key,
                    "--mode",
                    mode.as_str(),
                    "--format",
                    format,
                    "--openid",
                    &openid,
                    "--key",
                    key,
                    "--original-id",
                    &settings.original_id,
                ]);
                let out = triggered.ok();
                assert!(out.starts_with("200 OK"), "{out}");
                assert_eq!(out.lines().nth(1), Some("success"), "{out}");
                let ours = newest(&cli, &serve, &settings.app_id, 7).await;
                let act = format!("{account}/people/8/{action}");
                let record = tell(
                    &cli,
                    &simulate,
                    reqwest::Method::POST,
                    &act,
                    &serde_json::from_str(body).unwrap(),
                )
                .await;
                assert_eq!(record["verdict"]["kind"], "success", "{record}");
                assert_eq!(
                    ours,
                    newest(&cli, &serve, &settings.app_id, 8).await,
                    "{mode} {format} {kind}"
                );
            }
        }
    }
    simulate.terminate();
    assert_eq!(simulate.ended().status.code(), Some(0));
}

async fn a_trigger_with_the_wrong_secret_fails_and_says_so(engine: Engine) {
    let cli = CliFixture::on(engine).await;
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let url = format!("{}/callback/{}", serve.url, OA);
    let key = &cli.official.encoding_aes_key;
    let refused = cli.program.run(&[
        "trigger",
        "subscribe",
        "--url",
        &url,
        "--token",
        "wrong",
        "--aes-key",
        key,
    ]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.out.starts_with("403"), "{refused:?}");
    assert!(
        refused.err.contains("would send this push again"),
        "{refused:?}"
    );
    assert!(!refused.err.contains(key.as_str()), "{refused:?}");
}
