//! A process that may have few descriptors.

use queqiao::db::Engine;
use tokio::net::TcpStream;

use super::{CliFixture, OA};
use crate::callback::{signed, text};
use crate::support::Fixture as _;

/// More connections than it may have descriptors.
const IDLE: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_descriptors_keep_no_callback_out() {
    let mut cli = CliFixture::on(Engine::Sqlite).await;
    cli.program.descriptors = Some((64, 256));
    cli.program.settings = vec![
        ("QUEQIAO_SERVER__STALLED_SECONDS", "1"),
        ("QUEQIAO_SERVER__MAX_CONNECTIONS", "5000"),
    ];
    let serve = cli.program.serve(&["serve"]);
    let address = serve.url.strip_prefix("http://").unwrap();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let push = signed(&cli.official, &text(&cli.official, "hi"));
    let callback = cli.http.post(format!("{}/callback/{OA}", serve.url));
    let callback = callback.query(&push.query).body(push.body);
    let answer = callback.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "success");
    drop(idle);
    serve.terminate();
    let said = serve.ended();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let err = &said.err;
    assert!(err.contains("connections=128 descriptors=256"), "{err}");
    assert!(err.contains("server.max_connections is more"), "{err}");
    assert!(err.contains("as many connections as there may be"), "{err}");
    for failed in ["Too many open files", "os error 24", "ERROR"] {
        assert!(!err.contains(failed), "{err}");
    }
}
