//! Login when WeChat is in trouble, and where its session_key does not go.

use std::time::Duration;

use diesel::sql_types::{Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use queqiao::bridge::Bridge;
use queqiao::db::{DbError, Engine};
use queqiao::simulator::{Fault, FaultKind};
use queqiao::wechat::client::{Client, ClientOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{ApiFixture, MP};

const SESSION_KEY: &str = "c2Vzc2lvbi1rZXktc2VjcmV0IQ==";

/// A WeChat that logs everybody in once, under a session_key that is known to the test.
async fn known_session_key() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        let body = json!({"openid": "oOne", "unionid": "uOne", "session_key": SESSION_KEY});
        let body = body.to_string();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    Client::new(ClientOptions::new(base.parse().unwrap())).unwrap()
}

#[derive(QueryableByName)]
struct Dump {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

/// Everything that the database holds of identities and accounts.
async fn stored(api: &ApiFixture) -> Vec<u8> {
    match api.app.bridge.db.engine() {
        Engine::Sqlite => {
            let file = format!("{:?}", api.app.database.url());
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.extend(std::fs::read(format!("{file}-wal")).unwrap_or_default());
            bytes
        }
        Engine::Postgres => {
            let dump = api.app.bridge.db.read(|conn| {
                let query = "SELECT (SELECT string_agg(i::text, '') FROM identities i) || \
                             (SELECT string_agg(a::text, '') FROM accounts a) AS text";
                Ok::<_, DbError>(sql_query(query).get_result::<Dump>(conn)?)
            });
            dump.await.unwrap().text.unwrap().into_bytes()
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

both_engines! {
    the_session_key_is_stored_nowhere,
    wechats_trouble_is_told_apart,
}

async fn the_session_key_is_stored_nowhere(api: ApiFixture) {
    let (app, bridge) = (&api.app, &api.app.bridge);
    let wechat = known_session_key().await;
    let (vault, config) = (bridge.vault.clone(), bridge.config.clone());
    let bridge = Bridge::new(bridge.db.clone(), app.clock.clone(), wechat, vault, config);
    let identity = bridge.log_in(api.project, MP, "code").await.unwrap();
    assert!(!format!("{identity:?}").contains(SESSION_KEY));
    let stored = stored(&api).await;
    assert!(contains(&stored, "oOne") && contains(&stored, "uOne"));
    assert!(!contains(&stored, SESSION_KEY));
    let person = app.get(&api.key, &format!("/people/{}", identity.id)).await;
    assert_eq!(person.ok(200)["unionid"], "uOne");
    assert!(!person.text.contains(SESSION_KEY));
}

async fn wechats_trouble_is_told_apart(api: ApiFixture) {
    let app = &api.app;
    let world = app.simulator.world();
    let path = format!("/miniprogram/{MP}/sessions");
    let cases = [
        (FaultKind::Reset, 503, "wechat_unreachable"),
        (
            FaultKind::HttpError { status: 502 },
            503,
            "wechat_unreachable",
        ),
        (
            FaultKind::Errcode { errcode: -1 },
            503,
            "wechat_unreachable",
        ),
        (FaultKind::Errcode { errcode: 45011 }, 503, "wechat_busy"),
        (FaultKind::Errcode { errcode: 40226 }, 422, "login_refused"),
        (FaultKind::Errcode { errcode: 40013 }, 502, "wechat_refused"),
    ];
    for (kind, status, code) in cases {
        world
            .add_fault(Fault::at("/sns/jscode2session", kind))
            .unwrap();
        let answer = app
            .post(&api.key, &path, json!({"code": api.code(1)}))
            .await;
        answer.refused(status, code, "");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
        for secret in ["secret=", "js_code", "jscode2session", "http"] {
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
        world.clear_faults();
    }
    app.advance(Duration::from_secs(1));
    app.post(&api.key, &path, json!({"code": api.code(1)}))
        .await
        .ok(200);
}
