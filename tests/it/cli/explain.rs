//! `queqiao explain`, beside what the API answers.

use queqiao::simulator::{Origin, population};
use serde_json::{Value, json};

use super::{CliFixture, MP, OA};
use crate::support::api::by_openid;

both_engines! {
    a_person_is_explained_on_the_command_line,
}

async fn a_person_is_explained_on_the_command_line(cli: CliFixture) {
    let serve = cli.program.serve(&["serve", "--role", "web"]);
    let api = cli.api(&serve);
    cli.world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let routes = json!([{"channel": "mp_subscribe", "account": MP, "template_id": "T", "fields": {"thing1": "hi"}}]);
    api.message_type("ping", routes).await;
    let member = json!({"name": "王芳", "tags": ["night"]});
    api.put("/staff/s1", member).await.ok(201);
    let explain = |more: &[&str]| cli.program.run(&[&["explain"], more].concat());
    let text = explain(&["s1"]).ok();
    for said in [
        "s1  王芳  tags: night\n",
        "\nNext steps\n  1. Create an invitation",
        "\nBound to\n  nobody\n",
        &format!("\n  {OA}  official_account"),
        "    template      no: not_bound. ",
        "\nLast deliveries\n  none\n",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    api.bind("s1", by_openid(OA, 1)).await;
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"]});
    api.post("/notifications", asked).await.ok(202);
    let text = explain(&["s1", "--project", "shop", "--message-type", "ping"]).ok();
    for said in [
        &format!("openid {} in {OA}", population::openid(OA, 1)),
        "  1. Wait until the person's profile",
        "\nMessage type ping\n  would not be sent\n  route 0  mp_subscribe",
        "unreachable  ping  no_identity_in_account",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    let mut told: Value = serde_json::from_str(&explain(&["s1", "--json"]).ok()).unwrap();
    let mut answered = cli.get(&serve, "/staff/s1/explain").await;
    for story in [&mut told, &mut answered] {
        assert!(story.as_object_mut().unwrap().remove("now").is_some());
    }
    assert_eq!(told, answered);
    for (arguments, said) in [
        (&["s2"][..], "project 'shop' has no staff member 's2'"),
        (&["s1", "--project", "x"], "no project 'x'"),
        (
            &["s1", "--message-type", "pong"],
            "no message type \"pong\"",
        ),
    ] {
        let refused = explain(arguments);
        assert_eq!(
            (refused.status.code(), refused.out.as_str()),
            (Some(1), ""),
            "{refused:?}"
        );
        assert!(refused.err.contains(said), "{refused:?}");
    }
}
