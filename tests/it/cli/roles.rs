//! Split roles on one database, and the end of a process.

use queqiao::db::Engine;
use queqiao::simulator::{Origin, population};
use serde_json::json;
use tokio::net::TcpStream;

use super::{CliFixture, OA};
use crate::callback::outage::{begin, end};
use crate::support::program::eventually;
use crate::support::{Fixture, postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_takes_in_what_another_works_on() {
    if !postgres::is_there() {
        return;
    }
    let cli = CliFixture::on(Engine::Postgres).await;
    let web = cli.program.serve(&["serve", "--role", "web"]);
    cli.point_to(&web);
    let push = cli.world().follow(OA, 1, Origin::search()).await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    let events = cli.get(&web, "/events").await;
    assert_eq!(events["items"][0]["state"], "waiting", "nobody works yet");
    let worker = cli.program.serve(&["serve", "--role", "worker"]);
    let people = eventually("the profile", async || {
        let people = cli.get(&web, "/people?link_state=single").await;
        (people["items"] != json!([])).then_some(people)
    })
    .await;
    assert_eq!(people["items"][0]["unionid"], population::unionid(1));
    let status = async |path: &str| {
        let request = cli.http.get(format!("{}{path}", worker.url));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/healthz").await, 200);
    assert_eq!(status("/readyz").await, 200);
    assert_eq!(status("/api/v1/events").await, 404, "a worker has no API");
    assert_eq!(status(&format!("/callback/{OA}")).await, 404);
    for running in [web, worker] {
        running.terminate();
        let said = running.ended();
        assert_eq!(said.status.code(), Some(0), "{said:?}");
    }
}

both_engines! {
    what_is_on_its_way_at_sigterm_is_answered_and_the_exit_code_is_0,
}

async fn what_is_on_its_way_at_sigterm_is_answered_and_the_exit_code_is_0(cli: CliFixture) {
    let running = cli.program.serve(&["serve"]);
    let mut begun = Vec::new();
    for number in 0..8 {
        begun.push(begin(&running.url, &cli.official, number).await);
    }
    running.terminate();
    let address = running.url.strip_prefix("http://").unwrap();
    eventually("the shutdown", async || {
        TcpStream::connect(address).await.err()
    })
    .await;
    for (stream, body) in begun {
        let answer = end(stream, &body).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nsuccess"), "{answer}");
    }
    let said = running.ended();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(said.err.contains("stopped"), "{said:?}");
    let again = cli.program.serve(&["serve", "--role", "web"]);
    let events = cli.get(&again, "/events").await;
    assert_eq!(events["items"].as_array().unwrap().len(), 8);
}

/// A statement that waits for a lock for ever, as in a database that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_has_stopped_is_gone_whatever_the_database_does() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, PgConnection};
    if !postgres::is_there() {
        return;
    }
    let mut cli = CliFixture::on(Engine::Postgres).await;
    cli.program.settings.extend([
        ("QUEQIAO_SERVER__SHUTDOWN_SECONDS", "1"),
        ("QUEQIAO_DATABASE__LOCK_TIMEOUT_MS", "600000"),
        ("QUEQIAO_DATABASE__STATEMENT_TIMEOUT_MS", "3600000"),
    ]);
    let running = cli.program.serve(&["serve"]);
    let database = cli.program.database.text();
    let mut holder = PgConnection::establish(database).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE staff IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let put = cli.http.put(format!("{}/api/v1/staff/s1", running.url));
    let put = put.bearer_auth(&cli.key).json(&json!({}));
    let put = tokio::spawn(put.send());
    eventually("the statement", async || {
        postgres::waits_for_a_lock(database).then_some(())
    })
    .await;
    running.terminate();
    let said = running.ended();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(said.err.contains("stopped"), "{said:?}");
    drop(put.await);
    drop(holder);
}

both_engines! {
    what_is_no_text_in_the_environment_does_no_harm_or_is_named,
    an_empty_rust_log_silences_nothing,
}

async fn what_is_no_text_in_the_environment_does_no_harm_or_is_named(cli: CliFixture) {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = || std::ffi::OsString::from_vec(b"\xd6\xd0".to_vec());
    let run = |name: &str, value: std::ffi::OsString| {
        let mut command = cli.program.command(&["projects", "list"]);
        let done = command.env(name, value).output().unwrap();
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    for name in ["FOO", "RUST_LOG"] {
        assert_eq!(run(name, bad()).0, Some(0), "{name}");
    }
    for name in ["QUEQIAO_SERVER__BIND", "QUEQIAO_MASTER_KEY", "DATABASE_URL"] {
        let (code, said) = run(name, bad());
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(name) && said.contains("UTF-8"), "{said}");
    }
    let (code, said) = run("QUEQIAO_PROCESS__BATCH_ROWS", "-5".into());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("process.batch_rows is '-5', must be a whole number from 1 to 5000"),
        "{said}"
    );
}

async fn an_empty_rust_log_silences_nothing(mut cli: CliFixture) {
    // Compose files make empty ones of what they do not know.
    cli.program.settings.push(("RUST_LOG", ""));
    let running = cli.program.serve(&["serve"]);
    running.terminate();
    let said = running.ended();
    assert!(said.err.contains("stopped"), "{said:?}");
}
