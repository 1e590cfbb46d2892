//! When the database does not store, when the operator changes an account, and when the service
//! stops while callbacks are on their way.

use diesel::connection::SimpleConnection;
use queqiao::bridge::accounts::register::Draft;
use queqiao::db::{Db, DbError, Engine};
use queqiao::models::account::{AccountKind, TokenSource};
use queqiao::simulator::{Kind, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use queqiao::wechat::push;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CallbackFixture, TIME, USER, assert_success, signed, text};
use crate::support::{Fixture, logs, postgres};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

async fn execute(callback: &CallbackFixture, sql: &'static str) {
    let done = callback.app.bridge.db.write(move |conn| {
        match conn {
            queqiao::db::Conn::Postgres(conn) => conn.batch_execute(sql)?,
            queqiao::db::Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

/// The operator's change, made by another process.
async fn change(callback: &CallbackFixture, settings: &Settings) {
    let draft = Draft {
        project_id: callback.project,
        app_id: settings.app_id.clone(),
        kind: AccountKind::OfficialAccount,
        name: settings.app_id.clone(),
        mode: settings.mode,
        callback_token: settings.token.clone().into(),
        aes_key: Some(settings.encoding_aes_key.clone().into()),
        secret: None,
        token_source: TokenSource::StableToken,
        welcome_text: None,
    };
    let (operator, _server) = callback.app.replica();
    operator.change_account(draft).await.unwrap();
}

/// A callback of which the head is sent: the server has said that it waits for the body.
pub(crate) async fn begin(url: &str, settings: &Settings, number: i64) -> (TcpStream, Vec<u8>) {
    let fields = push::text(&settings.original_id, USER, TIME, "hi", number);
    let push = signed(settings, &fields);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&push.query)
        .finish();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /callback/{}?{query} HTTP/1.1\r\nHost: queqiao\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        settings.app_id,
        push.body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    (stream, push.body)
}

/// Sends the body; what is answered.
pub(crate) async fn end(mut stream: TcpStream, body: &[u8]) -> String {
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"success") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
    String::from_utf8(answer).unwrap()
}

both_engines! {
    what_cannot_be_stored_is_not_acknowledged_and_the_retry_is_stored,
    a_changed_token_is_seen_without_a_restart,
    callbacks_on_their_way_at_shutdown_are_answered_and_stored,
}

async fn what_cannot_be_stored_is_not_acknowledged_and_the_retry_is_stored(
    callback: CallbackFixture,
) {
    logs::capture();
    for mode in [Mode::Plain, Mode::Secure] {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let push = signed(&settings, &text(&settings, "hi"));
        execute(&callback, "ALTER TABLE events RENAME TO events_away").await;
        let answer = callback.push(&settings.app_id, push.clone()).await;
        execute(&callback, "ALTER TABLE events_away RENAME TO events").await;
        assert_eq!((answer.status, answer.text.as_str()), (503, ""));
        let lines = logs::lines_with(&settings.app_id);
        assert!(
            lines.iter().any(|line| line.contains("not_stored")),
            "{lines:?}"
        );
        // A commit that was under way when the caller was answered may store it all the same: the
        // retry is then the event that is there.
        assert_success(&callback.push(&settings.app_id, push).await);
        assert_eq!(callback.only_event(&settings.app_id).await["kind"], "text");
    }
}

async fn a_changed_token_is_seen_without_a_restart(callback: CallbackFixture) {
    for mode in [Mode::Plain, Mode::Secure] {
        let mut settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let old = signed(&settings, &text(&settings, "old"));
        assert_success(&callback.push(&settings.app_id, old.clone()).await);
        settings.token = "anothertoken7".to_owned();
        settings.encoding_aes_key = "Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH".to_owned();
        change(&callback, &settings).await;
        callback.app.advance(std::time::Duration::from_secs(1));
        let new = push::text(&settings.original_id, USER, TIME, "new", 2);
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &new))
                .await,
        );
        assert_eq!(callback.events(&settings.app_id).await.len(), 2);
        assert_eq!(callback.push(&settings.app_id, old).await.status, 403);
    }
}

async fn callbacks_on_their_way_at_shutdown_are_answered_and_stored(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let mut begun = Vec::new();
    for number in 0..8 {
        begun.push(begin(&callback.app.url, &settings, number).await);
    }
    let stopped = tokio::spawn(callback.app.server.handle.stop(true));
    let address = callback.app.url.strip_prefix("http://").unwrap();
    // Once nobody is let in any more, the shutdown is under way.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, refused).await.unwrap();
    for (stream, body) in begun {
        let answer = end(stream, &body).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nsuccess"), "{answer}");
    }
    stopped.await.unwrap();
    let (_bridge, again) = callback.app.replica();
    let path = format!("{}/api/v1/events?app_id={}", again.url, settings.app_id);
    let page = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = callback
        .app
        .send(page.get(path).bearer_auth(&callback.key))
        .await
        .ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 8);
}

/// PostgreSQL restarts, or an administrator ends its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_cost_no_callback() {
    if !postgres::is_there() {
        return;
    }
    let callback = CallbackFixture::on(Engine::Postgres).await;
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let other = Db::open(&callback.app.database.url(), 1).unwrap();
    for number in 0..3 {
        let fields = push::text(&settings.original_id, USER, TIME, "hi", number);
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &fields))
                .await,
        );
        let end_all = other.read(|conn| {
            let queqiao::db::Conn::Postgres(conn) = conn else {
                panic!("this is PostgreSQL");
            };
            Ok::<_, DbError>(conn.batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )?)
        });
        end_all.await.unwrap();
    }
    assert_eq!(callback.events(&settings.app_id).await.len(), 3);
}
