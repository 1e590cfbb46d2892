//! The other commands, what they say when they are misused, and what they never say.

use queqiao::db::Engine;
use queqiao::simulator::{Origin, population};
use serde_json::json;

use super::{CliFixture, MP, OA};
use crate::support::api::by_openid;
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

async fn a_load_is_stored_to_the_last_event(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let url = format!("{}/callback/{OA}", serve.url);
    let (token, key) = (&cli.official.token, &cli.official.encoding_aes_key);
    let load = |first: &str| {
        let said = cli.program.run(&[
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
        let metrics = cli
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

async fn what_is_not_understood_is_counted(cli: CliFixture) {
    let serve = cli.program.serve(&["serve"]);
    cli.point_to(&serve);
    let push = async |rest: &str| {
        let body = format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>oX</FromUserName>{rest}</xml>"
        );
        let push = cli.world().push_raw(OA, "oX", &body).await.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
    };
    push("<CreateTime>1767225600</CreateTime><MsgType>event</MsgType><Event>brand_new</Event>")
        .await;
    push("<CreateTime>1767225601</CreateTime><MsgType>hologram</MsgType>").await;
    push("<CreateTime>1767225602</CreateTime><MsgType>text</MsgType><Content>a</Wrong>").await;
    let forged = cli
        .http
        .post(format!("{}/callback/{OA}", serve.url))
        .body("<xml/>")
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), 403);
    eventually("the end of the work", async || {
        let events = cli.get(&serve, "/events").await;
        let events = events["items"].as_array().unwrap();
        (events.len() == 3 && events.iter().all(|event| event["state"] == "processed"))
            .then_some(())
    })
    .await;
    let metrics = cli
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

async fn followers_are_imported_once(cli: CliFixture) {
    cli.world()
        .add_followers(OA, 0..25, &Origin::search())
        .unwrap();
    let import = || {
        cli.program
            .run(&["followers", "import", "--account", OA])
            .ok()
    };
    assert!(import().contains("25 followers seen, 25 of them new"));
    assert!(import().contains("25 followers seen, 0 of them new"));
    let url = cli.world().settings(OA).unwrap().callback_url.clone();
    assert_eq!(url, None, "nobody hears of this");
    cli.world().unfollow(OA, 3).await.unwrap();
    let reconciled = cli
        .program
        .run(&["followers", "import", "--account", OA, "--reconcile"])
        .ok();
    assert!(
        reconciled.contains("24 followers seen, 0 of them new; 1 marked as gone"),
        "{reconciled}"
    );
    for (account, reason) in [(MP, "mini-program"), ("wx0000000000000bad", "no account")] {
        let refused = cli
            .program
            .run(&["followers", "import", "--account", account]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.err.contains(reason), "{refused:?}");
    }
}

async fn dead_letters_are_listed_and_retried(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let api = cli.api(&serve);
    let routes = json!([{"account": OA, "template_id": "T", "fields": {"thing1": "hi"}}]);
    api.message_type("ping", routes).await;
    api.staff("s1").await;
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"]});
    api.post("/notifications", asked).await.ok(202);
    let run = |arguments: &[&str]| cli.program.run(&[&["deliveries"], arguments].concat());
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
    api.bind("s1", by_openid(OA, 1)).await;
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

async fn no_secret_is_ever_said(cli: CliFixture) {
    let serve = cli.program.serve(&["serve"]);
    cli.point_to(&serve);
    cli.world().follow(OA, 1, Origin::search()).await.unwrap();
    let code = cli.world().log_in(MP, 2).unwrap();
    let login = cli
        .http
        .post(format!("{}/api/v1/miniprogram/{MP}/sessions", serve.url));
    assert_eq!(
        login
            .bearer_auth(&cli.key)
            .json(&json!({"code": code}))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    eventually("the profile", async || {
        let people = cli
            .get(
                &serve,
                &format!("/people?unionid={}", population::unionid(1)),
            )
            .await;
        (people["items"] != json!([])).then_some(())
    })
    .await;
    // Trouble is logged with its cause, so there it matters most.
    cli.world().invalidate_tokens(OA).unwrap();
    cli.world()
        .change_account(OA, |settings| settings.secret = "changed".to_owned())
        .unwrap();
    cli.world().follow(OA, 3, Origin::search()).await.unwrap();
    cli.http
        .post(format!("{}/callback/{OA}?signature=f0f0f0", serve.url))
        .body("hush")
        .send()
        .await
        .unwrap();
    eventually("the trouble", async || {
        let accounts = cli.get(&serve, "/accounts").await;
        accounts["items"][0]["problem"].is_object().then_some(())
    })
    .await;
    let said = [
        cli.program.run(&["accounts", "list"]),
        cli.program.run(&["keys", "list"]),
        cli.program.run(&["projects", "list"]),
        {
            serve.terminate();
            serve.ended()
        },
        cli.program.run(&["accounts", "resume", OA]),
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
        &cli.key,
        &code,
    ];
    for settings in [&cli.official, &cli.mini] {
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
