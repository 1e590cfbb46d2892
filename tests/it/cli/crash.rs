//! Killed between the commit of a callback and its answer.

use queqiao::db::Engine;
use queqiao::models::event;
use queqiao::simulator::{Fault, FaultKind, Origin, TemplateSettings, population};
use queqiao::wechat::crypto::AesKey;
use queqiao::wechat::push::{self, Sender, Signed};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{MP, OA, Shop};
use crate::invariants::SEND;
use crate::support::Fixture;
use crate::support::program::{Running, eventually};

pub(super) fn follow(shop: &Shop, person: u32) -> Signed {
    let settings = &shop.official;
    let openid = population::openid(OA, person);
    let now = shop.world().now() / 1000;
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

pub(super) async fn send_again(shop: &Shop, running: &Running, push: &Signed) -> Response {
    let request = shop.http.post(format!("{}/callback/{OA}", running.url));
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

async fn a_callback_that_was_committed_and_not_answered_has_its_effect_once(shop: Shop) {
    let mut first = shop.program.serve(&["serve", "--role", "web"]);
    let code = shop.world().log_in(MP, 1).unwrap();
    let login = shop
        .http
        .post(format!("{}/api/v1/miniprogram/{MP}/sessions", first.url));
    let login = login
        .bearer_auth(&shop.key)
        .json(&json!({"code": code}))
        .send()
        .await
        .unwrap();
    assert_eq!(login.status(), 200);
    shop.world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let push = follow(&shop, 1);
    let _unread = send_blindly(&first, &push).await;
    let db = shop.program.database.db();
    eventually("the row", async || {
        let count = db.read(event::waiting_count).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    first.kill();
    let second = shop.program.serve(&["serve"]);
    for _ in 0..3 {
        let answer = send_again(&shop, &second, &push).await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.text().await.unwrap().as_str()
            ),
            (200, "success")
        );
    }
    let people = eventually("the link", async || {
        let people = shop.get(&second, "/people?link_state=linked").await;
        (people["items"] != json!([])).then_some(people)
    })
    .await;
    assert_eq!(people["items"].as_array().unwrap().len(), 1);
    assert_eq!(people["items"][0]["unionid"], population::unionid(1));
    assert_eq!(
        people["items"][0]["identities"].as_array().unwrap().len(),
        2
    );
    let events = shop.get(&second, "/events").await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events["items"][0]["state"], "processed");
    assert_eq!(shop.world().calls("/cgi-bin/user/info", None).unwrap(), 1);
    assert_eq!(
        shop.get(&second, "/people").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn a_message_that_was_accepted_and_not_recorded_is_seen_once(engine: Engine) {
    let mut shop = Shop::on(engine).await;
    shop.program
        .settings
        .push(("QUEQIAO_DELIVER__LEASE_SECONDS", "1"));
    shop.program
        .settings
        .push(("QUEQIAO_WECHAT__TIMEOUT_MS", "500"));
    let template = TemplateSettings {
        template_id: "TPL".to_owned(),
        title: "Notice".to_owned(),
        content: "Title: {{thing1.DATA}}".to_owned(),
        ..TemplateSettings::default()
    };
    shop.world().add_template(OA, &template).unwrap();
    let mut first = shop.program.serve(&["serve"]);
    shop.point_to(&first);
    shop.world().follow(OA, 1, Origin::search()).await.unwrap();
    let call = async |method: Method, path: &str, body: Value| {
        let request = shop
            .http
            .request(method, format!("{}/api/v1{path}", first.url));
        let answer = request
            .bearer_auth(&shop.key)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let routes = json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": "hi"}}]);
    call(
        Method::PUT,
        "/message-types/ping",
        json!({"routes": routes}),
    )
    .await;
    call(Method::PUT, "/staff/s1", json!({})).await;
    let bind = json!({"app_id": OA, "openid": population::openid(OA, 1)});
    call(Method::POST, "/staff/s1/bindings", bind).await;
    shop.world()
        .add_fault(Fault::at(SEND, FaultKind::TimeOutAfter).times(1))
        .unwrap();
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {}});
    let asked = call(Method::POST, "/notifications", asked).await;
    eventually("the message", async || {
        (shop.world().messages().len() == 1).then_some(())
    })
    .await;
    first.kill();
    let second = shop.program.serve(&["serve"]);
    let path = format!("/notifications/{}/deliveries", asked["id"]);
    let delivery = eventually("the end of the delivery", async || {
        let page = shop.get(&second, &path).await;
        let delivery = page["items"][0].clone();
        (delivery["state"] == "sent" || delivery["state"] == "delivered").then_some(delivery)
    })
    .await;
    let seen = shop.world().messages();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(delivery["msgid"], seen[0].msgid.to_string());
    assert_eq!(shop.world().stats().repeats, 1);
    let outcomes: Vec<_> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["interrupted", "accepted"]);
}
