//! Killed between the commit of a callback and its answer.

use queqiao::db::DbError;
use queqiao::models::event;
use queqiao::simulator::{Origin, population};
use queqiao::wechat::crypto::AesKey;
use queqiao::wechat::push::{self, Sender, Signed};
use reqwest::Response;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{MP, OA, Shop};
use crate::support::program::{Running, eventually};

fn follow(shop: &Shop, person: u32) -> Signed {
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

async fn send_again(shop: &Shop, running: &Running, push: &Signed) -> Response {
    let request = shop.http.post(format!("{}/callback/{OA}", running.url));
    request
        .query(&push.query)
        .body(push.body.clone())
        .send()
        .await
        .unwrap()
}

both_engines! {
    async fn a_callback_that_was_committed_and_not_answered_has_its_effect_once(shop: Shop) {
        let mut first = shop.program.serve(&["serve", "--role", "web"]);
        let code = shop.world().log_in(MP, 1).unwrap();
        let login = shop.http.post(format!("{}/api/v1/miniprogram/{MP}/sessions", first.url));
        let login = login.bearer_auth(&shop.key).json(&json!({"code": code})).send().await.unwrap();
        assert_eq!(login.status(), 200);
        shop.world().add_followers(OA, 1..2, &Origin::search()).unwrap();
        let push = follow(&shop, 1);
        let _unread = send_blindly(&first, &push).await;
        let db = shop.program.database.db();
        eventually("the row", async || {
            let count = db.read(|conn| Ok::<_, DbError>(event::waiting_count(conn)?)).await.unwrap();
            (count == 1).then_some(())
        }).await;
        first.kill();
        let second = shop.program.serve(&["serve"]);
        for _ in 0..3 {
            let answer = send_again(&shop, &second, &push).await;
            assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "success"));
        }
        let people = eventually("the link", async || {
            let people = shop.get(&second, "/people?link_state=linked").await;
            (people["items"] != json!([])).then_some(people)
        }).await;
        assert_eq!(people["items"].as_array().unwrap().len(), 1);
        assert_eq!(people["items"][0]["unionid"], population::unionid(1));
        assert_eq!(people["items"][0]["identities"].as_array().unwrap().len(), 2);
        let events = shop.get(&second, "/events").await;
        assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
        assert_eq!(events["items"][0]["state"], "processed");
        assert_eq!(shop.world().calls("/cgi-bin/user/info", None).unwrap(), 1);
        assert_eq!(shop.get(&second, "/people").await["items"].as_array().unwrap().len(), 1);
    }
}
