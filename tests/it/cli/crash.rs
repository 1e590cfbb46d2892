//! Killed between the commit of a callback and its answer.

use queqiao::db::Engine;
use queqiao::models::event;
use queqiao::simulator::{Fault, FaultKind, Origin, population};
use queqiao::wechat::crypto::AesKey;
use queqiao::wechat::push::{self, Sender, Signed};
use reqwest::Response;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{CliFixture, MP, OA};
use crate::invariants::SEND;
use crate::support::Fixture;
use crate::support::api::by_openid;
use crate::support::program::{Running, eventually};
use crate::support::setup::template;

pub(super) fn follow(cli: &CliFixture, person: u32) -> Signed {
    let settings = &cli.official;
    let openid = population::openid(OA, person);
    let now = cli.world().now() / 1000;
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let fields = push::event(&settings.original_id, &openid, now, "subscribe").with("EventKey", "");
    let sender = Sender {
        token: &settings.token,
        aes_key: Some(&key),
        app_id: OA,
        to_user_name: &settings.original_id,
        mode: settings.mode,
        format: settings.format,
        timestamp: now,
        nonce: "88412",
        openid: &openid,
    };
    push::sign_and_seal(&fields, &sender).unwrap()
}

/// Sends the push and never looks at the answer.
async fn send_blindly(running: &Running, push: &Signed) -> TcpStream {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&push.query)
        .finish();
    let length = push.body.len();
    let head = format!(
        "POST /callback/{OA}?{query} HTTP/1.1\r\nHost: queqiao\r\nContent-Length: {length}\r\n\r\n"
    );
    let address = running.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&push.body).await.unwrap();
    stream
}

pub(super) async fn send_again(cli: &CliFixture, running: &Running, push: &Signed) -> Response {
    let request = cli.http.post(format!("{}/callback/{OA}", running.url));
    request
        .query(&push.query)
        .body(push.body.clone())
        .send()
        .await
        .unwrap()
}

both_engines! {
    a_callback_that_was_committed_and_not_answered_has_its_effect_once,
    a_message_that_was_accepted_and_not_recorded_is_seen_once,
}

async fn a_callback_that_was_committed_and_not_answered_has_its_effect_once(cli: CliFixture) {
    let mut first = cli.program.serve(&["serve", "--role", "web"]);
    let code = cli.world().log_in(MP, 1).unwrap();
    let login = cli
        .http
        .post(format!("{}/api/v1/miniprogram/{MP}/sessions", first.url));
    let login = login
        .bearer_auth(&cli.key)
        .json(&json!({"code": code}))
        .send()
        .await
        .unwrap();
    assert_eq!(login.status(), 200);
    cli.world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let push = follow(&cli, 1);
    let _unread = send_blindly(&first, &push).await;
    let db = cli.program.database.db();
    eventually("the row", async || {
        let count = db.read(event::waiting_count).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    first.kill();
    let second = cli.program.serve(&["serve"]);
    for _ in 0..3 {
        let answer = send_again(&cli, &second, &push).await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.text().await.unwrap().as_str()
            ),
            (200, "success")
        );
    }
    let people = eventually("the link", async || {
        let people = cli.get(&second, "/people?link_state=linked").await;
        (people["items"] != json!([])).then_some(people)
    })
    .await;
    assert_eq!(people["items"].as_array().unwrap().len(), 1);
    assert_eq!(people["items"][0]["unionid"], population::unionid(1));
    assert_eq!(
        people["items"][0]["identities"].as_array().unwrap().len(),
        2
    );
    let events = cli.get(&second, "/events").await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events["items"][0]["state"], "processed");
    assert_eq!(cli.world().calls("/cgi-bin/user/info", None).unwrap(), 1);
    assert_eq!(
        cli.get(&second, "/people").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn a_message_that_was_accepted_and_not_recorded_is_seen_once(engine: Engine) {
    let mut cli = CliFixture::on(engine).await;
    cli.program
        .settings
        .push(("QUEQIAO_DELIVER__LEASE_SECONDS", "1"));
    cli.program
        .settings
        .push(("QUEQIAO_WECHAT__TIMEOUT_MS", "500"));
    let listed = template("TPL", "Title: {{thing1.DATA}}");
    cli.world().add_template(OA, &listed).unwrap();
    let mut first = cli.program.serve(&["serve"]);
    cli.point_to(&first);
    cli.world().follow(OA, 1, Origin::search()).await.unwrap();
    let api = cli.api(&first);
    let routes = json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": "hi"}}]);
    api.message_type("ping", routes).await;
    api.staff("s1").bound_to(by_openid(OA, 1)).await;
    cli.world()
        .add_fault(Fault::at(SEND, FaultKind::TimeOutAfter).times(1))
        .unwrap();
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {}});
    let asked = api.post("/notifications", asked).await.ok(202);
    eventually("the message", async || {
        (cli.world().messages().len() == 1).then_some(())
    })
    .await;
    first.kill();
    let second = cli.program.serve(&["serve"]);
    let path = format!("/notifications/{}/deliveries", asked["id"]);
    let delivery = eventually("the end of the delivery", async || {
        let page = cli.get(&second, &path).await;
        let delivery = page["items"][0].clone();
        (delivery["state"] == "sent" || delivery["state"] == "delivered").then_some(delivery)
    })
    .await;
    let seen = cli.world().messages();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(delivery["msgid"], seen[0].msgid.to_string());
    assert_eq!(cli.world().stats().repeats, 1);
    let outcomes: Vec<_> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["interrupted", "accepted"]);
}
