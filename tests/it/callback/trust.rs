//! What a callback may cost before it is trusted: nothing of a body is read, no room is taken beyond the bound, and
//! the log does not grow with what is refused.

use std::time::Duration;

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use queqiao::wechat::push::{self, Signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{CallbackFixture, TIME, assert_success, signed, signed_at, text};
use crate::support::logs;

/// Far beyond what anything here takes, and below the five seconds after which a slow body is given up.
const SOON: Duration = Duration::from_secs(4);

impl CallbackFixture {
    /// Sends a head, and what of the body is given.
    async fn begin(
        &self,
        settings: &Settings,
        push: &Signed,
        framing: &str,
        body: &[u8],
    ) -> TcpStream {
        let query: Vec<_> = push
            .query
            .iter()
            .map(|(name, value)| {
                let value: String =
                    url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                format!("{name}={value}")
            })
            .collect();
        let head = format!(
            "POST /callback/{}?{} HTTP/1.1\r\nHost: queqiao\r\n{framing}\r\n\r\n",
            settings.app_id,
            query.join("&"),
        );
        let mut stream = TcpStream::connect(self.app.url.strip_prefix("http://").unwrap())
            .await
            .unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }
}

/// The status of the answer, if one comes soon.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = [0; 12];
    timeout(SOON, stream.read_exact(&mut head))
        .await
        .ok()?
        .ok()?;
    std::str::from_utf8(&head[9..]).unwrap().parse().ok()
}

async fn one_budget(engine: Engine) {
    let callback =
        CallbackFixture::with(engine, |config| config.intake.queue_bytes = 100_000).await;
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let push = signed(&settings, &text(&settings, "hi"));
    let mut held = callback
        .begin(&settings, &push, "Content-Length: 90000", &[b' '; 80_000])
        .await;
    let mut beside = callback
        .begin(&settings, &push, "Content-Length: 50000", &[b' '; 40_000])
        .await;
    // The two may come in either order; one of them has no room.
    let refused = tokio::select! {
        status = status(&mut held) => status,
        status = status(&mut beside) => status,
    };
    assert_eq!(refused, Some(503));
    drop((held, beside));
    // The room is given back with the connection.
    let accepted = async {
        while callback.push(&settings.app_id, push.clone()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), accepted).await.unwrap();
    // A body that does not say its length takes its room as it comes.
    let mut held = callback
        .begin(&settings, &push, "Content-Length: 80000", &[b' '; 70_000])
        .await;
    let chunk = [b"8000\r\n".as_slice(), &[b' '; 0x8000], b"\r\n"].concat();
    let mut beside = callback
        .begin(&settings, &push, "Transfer-Encoding: chunked", &chunk)
        .await;
    let refused = tokio::select! {
        status = status(&mut held) => status,
        status = status(&mut beside) => status,
    };
    assert_eq!(refused, Some(503));
    // One body alone is taken whatever its size.
    drop((held, beside));
    let accepted = async {
        let large = "x".repeat(200_000);
        let fields = push::text(&settings.original_id, super::USER, TIME, &large, 2);
        while callback
            .push(&settings.app_id, signed(&settings, &fields))
            .await
            .status
            != 200
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), accepted).await.unwrap();
    assert_eq!(callback.events(&settings.app_id).await.len(), 2);
}

both_engines! {
    bodies_of_which_the_query_says_nothing_leave_room_for_wechats,
    nothing_of_a_body_is_awaited_whose_query_is_not_trusted,
    bodies_that_are_read_and_those_that_wait_share_one_budget,
    refusals_are_one_line_for_an_account_a_cause_and_a_second,
    an_openid_that_no_index_takes_is_kept_raw,
}

async fn bodies_of_which_the_query_says_nothing_leave_room_for_wechats(engine: Engine) {
    let callback =
        CallbackFixture::with(engine, |config| config.intake.queue_bytes = 100_000).await;
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let push = signed(&settings, &text(&settings, "hi"));
    let mut doubtful = push.clone();
    doubtful.query.retain(|(name, _)| *name != "signature");
    let mut held = Vec::new();
    // Nor does what is only announced, with a query that somebody has seen.
    held.push(
        callback
            .begin(&settings, &push, "Content-Length: 90000", b"")
            .await,
    );
    for framing in [
        "Content-Length: 90000",
        "Content-Length: 20000",
        "Transfer-Encoding: chunked",
    ] {
        for _ in 0..4 {
            held.push(callback.begin(&settings, &doubtful, framing, b"").await);
        }
    }
    assert_success(&callback.push(&settings.app_id, push).await);
    drop(held);
    // It is taken, if there is room for it.
    let accepted = async {
        while callback
            .push(&settings.app_id, doubtful.clone())
            .await
            .status
            != 200
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), accepted).await.unwrap();
}

async fn nothing_of_a_body_is_awaited_whose_query_is_not_trusted(callback: CallbackFixture) {
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let good = signed(&settings, &text(&settings, "hi"));
        let mut wrong = good.clone();
        wrong.query[0].1 = "0".repeat(40);
        let mut old = good.clone();
        old.query = signed_at(&settings, &text(&settings, "hi"), TIME).query;
        let unsigned = Signed {
            query: Vec::new(),
            body: Vec::new(),
        };
        for push in [wrong, old, unsigned] {
            for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
                if push.query.is_empty() && framing.starts_with("Transfer") {
                    continue;
                }
                let mut stream = callback.begin(&settings, &push, framing, b"").await;
                assert_eq!(
                    status(&mut stream).await,
                    Some(403),
                    "{mode} {framing} {push:?}"
                );
            }
        }
        assert_success(&callback.push(&settings.app_id, good).await);
    }
}

async fn bodies_that_are_read_and_those_that_wait_share_one_budget(engine: Engine) {
    one_budget(engine).await;
}

async fn refusals_are_one_line_for_an_account_a_cause_and_a_second(callback: CallbackFixture) {
    logs::capture();
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let mut push = signed(&settings, &text(&settings, "hi"));
    push.query[0].1 = "0".repeat(40);
    for _ in 0..20 {
        assert_eq!(
            callback.push(&settings.app_id, push.clone()).await.status,
            403
        );
    }
    assert_eq!(logs::lines_with(&settings.app_id).len(), 1);
    callback.app.advance(Duration::from_secs(1));
    assert_eq!(callback.push(&settings.app_id, push).await.status, 403);
    let lines = logs::lines_with(&settings.app_id);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[1].contains("more=19") && lines[1].contains("wrong_signature"),
        "{lines:?}"
    );
}

async fn an_openid_that_no_index_takes_is_kept_raw(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    for length in [129, 700_000] {
        let openid = "o".repeat(length);
        let fields = push::text(&settings.original_id, &openid, TIME, "hi", length as i64);
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &fields))
                .await,
        );
    }
    let longest = "o".repeat(128);
    let fields = push::text(&settings.original_id, &longest, TIME, "hi", 1);
    assert_success(
        &callback
            .push(&settings.app_id, signed(&settings, &fields))
            .await,
    );
    callback.app.drain().await;
    let events = callback.events(&settings.app_id).await;
    assert_eq!(events.len(), 3);
    for event in events {
        assert_eq!(
            (&event["state"], &event["kind"]),
            (&"processed".into(), &"text".into()),
            "{event}"
        );
        if event["openid"] != longest {
            assert_eq!(event["openid"], serde_json::Value::Null);
            assert!(
                event["problem"].as_str().unwrap().contains("characters"),
                "{event}"
            );
            let whole = callback.event(&event).await;
            assert!(whole["raw"].as_str().unwrap().contains(&"o".repeat(129)));
        }
    }
}
