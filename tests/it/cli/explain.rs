//! `queqiao explain`, beside what the API answers.

use queqiao::simulator::{Origin, population};
use reqwest::Method;
use serde_json::{Value, json};

use super::{MP, OA, Shop};

both_engines! {
    a_person_is_explained_on_the_command_line,
}

async fn a_person_is_explained_on_the_command_line(shop: Shop) {
    let serve = shop.program.serve(&["serve", "--role", "web"]);
    let send = async |method: Method, path: &str, body: Value| {
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
    shop.world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let routes = json!([{"channel": "mp_subscribe", "account": MP, "template_id": "T", "fields": {"thing1": "hi"}}]);
    send(
        Method::PUT,
        "/message-types/ping",
        json!({"routes": routes}),
    )
    .await;
    send(
        Method::PUT,
        "/staff/s1",
        json!({"name": "王芳", "tags": ["night"]}),
    )
    .await;
    let explain = |more: &[&str]| shop.program.run(&[&["explain"], more].concat());
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
    send(
        Method::POST,
        "/staff/s1/bindings",
        json!({"app_id": OA, "openid": population::openid(OA, 1)}),
    )
    .await;
    send(
        Method::POST,
        "/notifications",
        json!({"message_type": "ping", "staff_ids": ["s1"]}),
    )
    .await;
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
    let mut answered = shop.get(&serve, "/staff/s1/explain").await;
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
