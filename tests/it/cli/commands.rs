//! The other commands, what they say when they are misused, and what they never say.

use queqiao::db::Engine;
use queqiao::simulator::{Origin, population};
use serde_json::json;

use super::{MP, OA, Shop};
use crate::support::program::{Program, eventually};

/// The value of a counter in Prometheus' text.
fn counter(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in {metrics}"))
}

both_engines! {
    a_load_is_stored_to_the_last_event,
    what_is_not_understood_is_counted,
    followers_are_imported_once,
    dead_letters_are_listed_and_retried,
    migrating_twice_is_migrating_once,
    no_secret_is_ever_said,
}

async fn a_load_is_stored_to_the_last_event(shop: Shop) {
    let serve = shop.program.serve(&["serve", "--role", "web"]);
    let url = format!("{}/callback/{OA}", serve.url);
    let (token, key) = (&shop.official.token, &shop.official.encoding_aes_key);
    let load = |first: &str| {
        let said = shop.program.run(&[
            "load",
            "--url",
            &url,
            "--token",
            token,
            "--aes-key",
            key,
            "--events",
            "500",
            "--connections",
            "8",
            "--first-person",
            first,
            "--json",
        ]);
        serde_json::from_str::<serde_json::Value>(&said.ok()).unwrap()
    };
    let stored = async || {
        let metrics = shop
            .http
            .get(format!("{}/metrics", serve.url))
            .send()
            .await
            .unwrap();
        counter(&metrics.text().await.unwrap(), "queqiao_events_waiting")
    };
    let report = load("0");
    assert_eq!(
        (&report["sent"], &report["accepted"]),
        (&json!(500), &json!(500)),
        "{report}"
    );
    assert_eq!(stored().await, 500);
    assert_eq!(load("500")["accepted"], 500);
    assert_eq!(stored().await, 1000);
}

async fn what_is_not_understood_is_counted(shop: Shop) {
    let serve = shop.program.serve(&["serve"]);
    shop.point_to(&serve);
    let push = async |rest: &str| {
        let body = format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>oX</FromUserName>{rest}</xml>"
        );
        let push = shop.world().push_raw(OA, "oX", &body).await.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
    };
    push("<CreateTime>1767225600</CreateTime><MsgType>event</MsgType><Event>brand_new</Event>")
        .await;
    push("<CreateTime>1767225601</CreateTime><MsgType>hologram</MsgType>").await;
    push("<CreateTime>1767225602</CreateTime><MsgType>text</MsgType><Content>a</Wrong>").await;
    let forged = shop
        .http
        .post(format!("{}/callback/{OA}", serve.url))
        .body("<xml/>")
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), 403);
    eventually("the end of the work", async || {
        let events = shop.get(&serve, "/events").await;
        let events = events["items"].as_array().unwrap();
        (events.len() == 3 && events.iter().all(|event| event["state"] == "processed"))
            .then_some(())
    })
    .await;
    let metrics = shop
        .http
        .get(format!("{}/metrics", serve.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(counter(&metrics, "queqiao_events_unknown_total"), 2);
    assert_eq!(counter(&metrics, "queqiao_callbacks_unparsed_total"), 1);
    assert_eq!(
        counter(&metrics, "queqiao_callbacks_total{outcome=\"stored\"}"),
        3
    );
    assert_eq!(
        counter(
            &metrics,
            "queqiao_callbacks_total{outcome=\"missing_signature\"}"
        ),
        1
    );
}

async fn followers_are_imported_once(shop: Shop) {
    shop.world()
        .add_followers(OA, 0..25, &Origin::search())
        .unwrap();
    let import = || {
        shop.program
            .run(&["followers", "import", "--account", OA])
            .ok()
    };
    assert!(import().contains("25 followers seen, 25 of them new"));
    assert!(import().contains("25 followers seen, 0 of them new"));
    let url = shop.world().settings(OA).unwrap().callback_url.clone();
    assert_eq!(url, None, "nobody hears of this");
    shop.world().unfollow(OA, 3).await.unwrap();
    let reconciled = shop
        .program
        .run(&["followers", "import", "--account", OA, "--reconcile"])
        .ok();
    assert!(
        reconciled.contains("24 followers seen, 0 of them new; 1 marked as gone"),
        "{reconciled}"
    );
    for (account, reason) in [(MP, "mini-program"), ("wx0000000000000bad", "no account")] {
        let refused = shop
            .program
            .run(&["followers", "import", "--account", account]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.err.contains(reason), "{refused:?}");
    }
}

async fn dead_letters_are_listed_and_retried(shop: Shop) {
    let serve = shop.program.serve(&["serve", "--role", "web"]);
    let put = async |method: reqwest::Method, path: &str, body: serde_json::Value| {
        let request = shop
            .http
            .request(method, format!("{}/api/v1{path}", serve.url));
        let status = request
            .bearer_auth(&shop.key)
            .json(&body)
            .send()
            .await
            .unwrap()
            .status();
        assert!(status.is_success(), "{path}: {status}");
    };
    let routes = json!([{"account": OA, "template_id": "T", "fields": {"thing1": "hi"}}]);
    put(
        reqwest::Method::PUT,
        "/message-types/ping",
        json!({"routes": routes}),
    )
    .await;
    put(reqwest::Method::PUT, "/staff/s1", json!({})).await;
    put(
        reqwest::Method::POST,
        "/notifications",
        json!({"message_type": "ping", "staff_ids": ["s1"]}),
    )
    .await;
    let run = |arguments: &[&str]| shop.program.run(&[&["deliveries"], arguments].concat());
    let listed = run(&["list"]).ok();
    assert!(
        listed.contains("s1") && listed.contains("unreachable") && listed.contains("not_bound"),
        "{listed}"
    );
    assert_eq!(run(&["list", "--state", "failed"]).ok(), "");
    assert_eq!(
        run(&["list", "--account", OA, "--since", "2026-01-01T00:00:00Z"]).ok(),
        "",
        "it took no route"
    );
    let refused = run(&["retry", "--staff", "s1"]).ok();
    assert!(
        refused.contains("0 are sent again") && refused.contains("1  not_bound"),
        "{refused}"
    );
    put(
        reqwest::Method::POST,
        "/staff/s1/bindings",
        json!({"app_id": OA, "openid": population::openid(OA, 1)}),
    )
    .await;
    assert!(run(&["retry", "1"]).ok().contains("1 are sent again"));
    assert!(run(&["list", "--state", "queued"]).ok().contains("s1"));
    for (arguments, said) in [
        (&["retry"][..], "say which"),
        (&["retry", "1", "--staff", "s1"], "not both"),
        (&["retry", "7"], "no delivery 7"),
        (&["list", "--account", "wx1"], "no account wx1"),
    ] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

async fn migrating_twice_is_migrating_once(engine: Engine) {
    let program = Program::new(engine);
    for _ in 0..2 {
        assert!(program.run(&["migrate"]).ok().contains("up to date"));
    }
}

async fn no_secret_is_ever_said(shop: Shop) {
    let serve = shop.program.serve(&["serve"]);
    shop.point_to(&serve);
    shop.world().follow(OA, 1, Origin::search()).await.unwrap();
    let code = shop.world().log_in(MP, 2).unwrap();
    let login = shop
        .http
        .post(format!("{}/api/v1/miniprogram/{MP}/sessions", serve.url));
    assert_eq!(
        login
            .bearer_auth(&shop.key)
            .json(&json!({"code": code}))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    eventually("the profile", async || {
        let people = shop
            .get(
                &serve,
                &format!("/people?unionid={}", population::unionid(1)),
            )
            .await;
        (people["items"] != json!([])).then_some(())
    })
    .await;
    // Trouble is logged with its cause, so there it matters most.
    shop.world().invalidate_tokens(OA).unwrap();
    shop.world()
        .change_account(OA, |settings| settings.secret = "changed".to_owned())
        .unwrap();
    shop.world().follow(OA, 3, Origin::search()).await.unwrap();
    shop.http
        .post(format!("{}/callback/{OA}?signature=f0f0f0", serve.url))
        .body("hush")
        .send()
        .await
        .unwrap();
    eventually("the trouble", async || {
        let accounts = shop.get(&serve, "/accounts").await;
        accounts["items"][0]["problem"].is_object().then_some(())
    })
    .await;
    let said = [
        shop.program.run(&["accounts", "list"]),
        shop.program.run(&["keys", "list"]),
        shop.program.run(&["projects", "list"]),
        {
            serve.terminate();
            serve.ended()
        },
        shop.program.run(&["accounts", "resume", OA]),
    ];
    assert!(said[4].out.contains("resumed"), "{said:?}");
    assert!(
        said[0].out.contains(OA) && said[0].out.contains(MP),
        "{said:?}"
    );
    let log = &said[3].err;
    assert!(
        log.contains("profiles not fetched") && log.contains("access token refreshed"),
        "{log}"
    );
    let mut secrets = vec![
        "access_token=",
        "secret=",
        "94_",
        "hush",
        "f0f0f0",
        &shop.key,
        &code,
    ];
    for settings in [&shop.official, &shop.mini] {
        secrets.extend([
            settings.token.as_str(),
            &settings.encoding_aes_key,
            &settings.secret,
        ]);
    }
    for said in &said {
        for secret in &secrets {
            let everything = format!("{}{}", said.out, said.err);
            assert!(!everything.contains(*secret), "{secret} in {said:?}");
        }
    }
}

#[test]
fn every_command_has_help() {
    use clap::CommandFactory;
    fn visit(command: &clap::Command) -> usize {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} {}",
                command.get_name(),
                argument.get_id()
            );
        }
        1 + command.get_subcommands().map(visit).sum::<usize>()
    }
    let mut command = queqiao::cli::Cli::command();
    command.clone().debug_assert();
    command.build();
    assert!(visit(&command) > 15);
    let program = Program::new(Engine::Sqlite);
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["followers", "import", "--help"],
        &["--version"],
    ] {
        assert!(!program.run(arguments).ok().is_empty(), "{arguments:?}");
    }
}
