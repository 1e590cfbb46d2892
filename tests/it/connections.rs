//! Connections, met through raw sockets: whatever a client does or does not do, on whatever route, the server closes its
//! connection, and one that is worked for stays.

use std::ops::Deref;
use std::time::Duration;

use futures_util::future::join_all;
use queqiao::config::Config;
use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};

use crate::callback::{new_app_id, signed, text};
use crate::support::program::eventually;
use crate::support::setup::MP;
use crate::support::{Setup, TestProject};

/// How long a slow machine may take for what takes seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server with an account, and a key for all.
struct ServerFixture {
    project: TestProject,
    official: Settings,
}

impl Deref for ServerFixture {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.project
    }
}

impl ServerFixture {
    /// With limits of a second, and settings of its own.
    async fn with(settings: impl FnOnce(&mut Config)) -> Self {
        let official = Settings::new(&new_app_id(), Kind::OfficialAccount);
        let project = Setup::on(Engine::Sqlite)
            .settings(|config| {
                config.server.stalled_seconds = 1;
                config.server.body_seconds = 1;
            })
            .settings(settings)
            .project("one")
            .account(official.clone())
            .mini_program(MP)
            .start()
            .await;
        Self { project, official }
    }

    fn address(&self) -> &str {
        self.app.url.strip_prefix("http://").unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// A connection on which this was sent.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    /// Method and path of a request of each class, with the headers that it needs.
    fn requests(&self) -> Vec<String> {
        let key = format!("Authorization: Bearer {}\r\n", self.key);
        let json = "Content-Type: application/json\r\n";
        let push = signed(&self.official, &text(&self.official, "hi"));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&push.query)
            .finish();
        let account = &self.official.app_id;
        [
            ("GET /healthz", String::new()),
            ("GET /readyz", String::new()),
            ("POST /nowhere", String::new()),
            ("POST /callback/wx0000000000000000", String::new()),
            (&format!("POST /callback/{account}"), String::new()),
            (&format!("POST /callback/{account}?{query}"), String::new()),
            (&format!("GET /callback/{account}?{query}"), String::new()),
            ("POST /api/v1/nowhere", String::new()),
            ("POST /api/v1/notifications", json.to_owned()),
            ("POST /api/v1/notifications", format!("{key}{json}")),
            ("GET /api/v1/events", key),
        ]
        .into_iter()
        .map(|(line, headers)| format!("{line} HTTP/1.1\r\nHost: queqiao\r\n{headers}"))
        .collect()
    }
}

/// All that comes until the server closes the connection.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let end = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(end.is_ok(), "still open after: {text}");
    text
}

/// The same, while these bytes are sent again and again.
async fn until_closed_while(stream: TcpStream, piece: &[u8], every: Duration) -> String {
    let (mut read, mut write) = stream.into_split();
    let dripping = async {
        let mut times = interval(every);
        loop {
            times.tick().await;
            if write.write_all(piece).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        said = until_closed(&mut read) => said,
        () = dripping => unreachable!(),
    }
}

/// One answer that has a length; the connection stays.
async fn answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let (_, length) = head.split_once("content-length: ").unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    return text;
                }
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{text}");
        }
    };
    timeout(DEADLINE, read).await.expect("an answer")
}

const SLOWLY: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let server = ServerFixture::with(|_| {}).await;
    for begun in ["", "GE", "GET /healthz HTTP/1.1\r\nHost: queqiao\r\n"] {
        let said = until_closed(&mut server.send(begun).await).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    let begun = server.send("GET /healthz HTTP/1.1\r\nX: ").await;
    until_closed_while(begun, b"x", SLOWLY).await;
    // The second head has no timer of the server's own.
    let mut again = server
        .send("GET /healthz HTTP/1.1\r\nHost: queqiao\r\n\r\n")
        .await;
    assert!(answer(&mut again).await.starts_with("HTTP/1.1 200"));
    again
        .write_all(b"GET /healthz HTTP/1.1\r\nX: ")
        .await
        .unwrap();
    let said = until_closed_while(again, b"x", SLOWLY).await;
    assert!(!said.contains("200"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_end_is_not_waited_for_on_any_route() {
    let server = ServerFixture::with(|_| {}).await;
    let framings = [
        "Transfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "Content-Length: 40\r\n\r\n{",
        "Content-Length: 40\r\nExpect: 100-continue\r\n\r\n",
        "Content-Length: 40\r\nConnection: close\r\n\r\n",
    ];
    let mut all = Vec::new();
    for request in &server.requests() {
        for framing in framings {
            all.push((format!("{request}{framing}"), server.connect().await));
        }
    }
    let all = all.into_iter().map(async |(request, mut stream)| {
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        let said = said
            .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
            .unwrap_or(&said);
        assert!(
            said.starts_with("HTTP/1.1 "),
            "{request} was answered: {said}"
        );
    });
    join_all(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_is_not_waited_for_on_any_route() {
    let server = ServerFixture::with(|_| {}).await;
    let mut all = Vec::new();
    for request in server.requests() {
        for (framing, piece) in [
            ("Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
            ("Content-Length: 100000\r\n\r\n", " "),
        ] {
            let stream = server.send(format!("{request}{framing}")).await;
            all.push(until_closed_while(stream, piece.as_bytes(), SLOWLY));
        }
    }
    for said in join_all(all).await {
        assert!(said.starts_with("HTTP/1.1 "), "{said}");
    }
}

/// The body is unread, and comes as fast as it can: it is read past, and not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_goes_on_after_the_answer_is_not_read_for_ever() {
    let server = ServerFixture::with(|_| {}).await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for request in ["GET /healthz", "POST /api/v1/events", "POST /callback/wx1"] {
        let head =
            format!("{request} HTTP/1.1\r\nHost: queqiao\r\nTransfer-Encoding: chunked\r\n\r\n");
        let stream = server.send(head).await;
        let said = until_closed_while(stream, chunk.as_bytes(), Duration::from_millis(1)).await;
        assert!(said.starts_with("HTTP/1.1 "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_ways_of_http_hold_no_connection_either() {
    let server = ServerFixture::with(|_| {}).await;
    for request in [
        "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /callback/wx1 HTTP/1.0\r\nContent-Length: 9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: queqiao\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: queqiao\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "CONNECT queqiao:443 HTTP/1.1\r\nHost: queqiao\r\n\r\n",
        "POST /api/v1/events HTTP/1.1\r\nHost: queqiao\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
        // Pipelined: the last body does not end.
        "GET /healthz HTTP/1.1\r\nHost: queqiao\r\n\r\nGET /healthz HTTP/1.1\r\nHost: queqiao\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        "no HTTP at all\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let said = until_closed(&mut server.send(request).await).await;
        assert!(said.starts_with("HTTP/1."), "{request}: {said}");
    }
    for request in server.requests() {
        let mut stream = server.send(format!("{request}\r\n")).await;
        stream.shutdown().await.unwrap();
        let said = until_closed(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 "), "half-closed: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_the_answers_is_cut_off() {
    let server = ServerFixture::with(|_| {}).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = server.address().parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let asked = "GET /callback/wx1 HTTP/1.1\r\nHost: queqiao\r\n\r\n".repeat(100);
    let mut sent = 0;
    let asking = async {
        while stream.write_all(asked.as_bytes()).await.is_ok() {
            sent += asked.len();
        }
    };
    timeout(DEADLINE, asking).await.expect("it is cut off");
    // What the systems keep on the way, and no more: answers that nobody takes are not piled up.
    assert!(sent < 24 << 20, "{sent} bytes of requests were read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_worked_for_is_not_cut_off_and_who_then_does_nothing_is() {
    let server = ServerFixture::with(|config| config.server.body_seconds = 3).await;
    let world = server.app.simulator.world();
    let slow = Duration::from_millis(2_500);
    world.set_latency("/sns/jscode2session", slow).unwrap();
    let head = format!(
        "POST /api/v1/miniprogram/{MP}/sessions HTTP/1.1\r\nHost: queqiao\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n",
        server.key
    );
    let body = r#"{"code": "071"}"#;
    let length = body.len();
    let mut stream = server
        .send(format!("{head}Content-Length: {length}\r\n\r\n{body}"))
        .await;
    let said = answer(&mut stream).await;
    assert!(said.contains(r#""code":"code_invalid""#), "{said}");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: queqiao\r\n\r\n")
        .await
        .unwrap();
    let said = until_closed(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // By the time this is answered, the time of the connection was up long ago.
    let unfinished = format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n");
    let said = until_closed(&mut server.send(unfinished).await).await;
    assert!(said.contains(r#""code":"slow_body""#), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_of_all_connections_others_wait_their_turn() {
    let server = ServerFixture::with(|config| config.server.max_connections = 2).await;
    let mut idle = [server.connect().await, server.connect().await];
    let third = server.send("GET /healthz HTTP/1.1\r\nHost: queqiao\r\n\r\n");
    let said = answer(&mut third.await).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // The first of them has made room: its end is there already.
    let mut byte = [0];
    let ended = idle
        .iter_mut()
        .any(|stream| stream.try_read(&mut byte).is_ok());
    assert!(ended, "three at a time");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections_and_others_have_theirs() {
    let server = ServerFixture::with(|config| {
        config.server.stalled_seconds = 60;
        config.server.max_connections_per_address = 2;
    });
    let server = server.await;
    let asked = "GET /healthz HTTP/1.1\r\nHost: queqiao\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.send(asked).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other
        .connect(server.address().parse().unwrap())
        .await
        .unwrap();
    other.write_all(asked.as_bytes()).await.unwrap();
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"));
    drop(held.pop());
    eventually("another turn", async || {
        let mut stream = server.connect().await;
        stream.write_all(asked.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())
    })
    .await;
}
