//! How many callbacks per second Queqiao takes in, in one run on one machine: a bare handler,
//! Queqiao on SQLite and on PostgreSQL, under the same load; then the whole path from follow to
//! linked person. The yardstick is the ratio to the bare handler.
//!
//! `cargo bench --bench intake`, optionally with seconds per measurement: `-- 10`.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be made should stop where it stands"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use diesel::prelude::*;
use queqiao::clock::Clock;
use queqiao::db::schema::events;
use queqiao::db::{Db, DbError};
use queqiao::models::account;
use queqiao::models::identity::{self, FollowState, Login, ProfileState};
use queqiao::simulator::population;
use tokio::runtime::Runtime;

use support::cluster::{Cluster, Durability};
use support::{
    AES_KEY, APP_ID, Installation, MINI_APP_ID, Running, TOKEN, database, recycle_wal, simulator,
    wait_until,
};

const CONNECTIONS: u32 = 64;
/// Follows sent for the whole path.
const FOLLOWS: u32 = 40_000;
/// Seconds of load before anything is measured.
const WARM_UP: u32 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "bare") {
        return bare();
    }
    // `cargo test --benches` only wants to know that it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let seconds: u32 = arguments
        .iter()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(8);
    let yardstick = bare_handler(seconds);
    let cluster = Cluster::start(Durability::Durable).expect("PostgreSQL");
    recycle_wal(&cluster);
    intake_alone(
        "postgres",
        Some(database(&cluster, "intake")),
        &yardstick,
        seconds,
    );
    intake_alone("sqlite", None, &yardstick, seconds);
    whole_path(&cluster);
}

/// Reads the body and answers `success`: what the framework itself can do.
#[actix_web::main]
async fn bare() {
    use actix_web::{App, HttpServer, web};
    async fn answer(_body: web::Bytes) -> &'static str {
        "success"
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    println!(
        "listening on http://{}",
        listener.local_addr().expect("an address")
    );
    HttpServer::new(|| App::new().route("/callback/{app_id}", web::post().to(answer)))
        .listen(listener)
        .expect("a listener")
        .run()
        .await
        .expect("a server");
}

/// Measures the bare handler, and returns its events per second in each mode.
fn bare_handler(seconds: u32) -> Vec<f64> {
    println!("\nIntake alone (serve --role web), {CONNECTIONS} connections, {seconds} s each");
    println!(
        "{:<24} {:>10} {:>8} {:>8} {:>9} {:>8}",
        "", "events/s", "p50 ms", "p99 ms", "RSS MiB", "of bare"
    );
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg("bare");
    let bare = Running::start(command);
    let mut yardstick = Vec::new();
    for mode in ["plain", "secure"] {
        load(&bare, mode, 0, WARM_UP);
        let measured = load(&bare, mode, 0, seconds);
        measured.print(
            &format!("bare handler, {mode}"),
            bare.resident_mib(),
            measured.per_second,
        );
        yardstick.push(measured.per_second);
    }
    yardstick
}

fn intake_alone(engine: &str, url: Option<String>, yardstick: &[f64], seconds: u32) {
    let installation = Installation::new(url, "http://127.0.0.1:9");
    let service = installation.serve("web");
    let db = installation.db();
    let mut person = 0;
    for (mode, bare) in ["plain", "secure"].into_iter().zip(yardstick) {
        let warm = load(&service, mode, person, WARM_UP);
        person += warm.sent;
        let before = count(&db);
        let measured = load(&service, mode, person, seconds);
        person += measured.sent;
        let rows = count(&db) - before;
        assert_eq!(rows, measured.accepted, "rows in {engine} and answers 200");
        measured.print(&format!("{engine}, {mode}"), service.resident_mib(), *bare);
    }
    println!("  every 200 is a row: {} in all", count(&db));
}

/// Follows that are stored, profiled through WeChat and linked to the mini-program's identities.
fn whole_path(cluster: &Cluster) {
    let runtime = Runtime::new().expect("a runtime");
    println!("\nThe whole path (serve), {FOLLOWS} follows of people known to the mini-program");
    for engine in ["sqlite", "postgres"] {
        let wechat = simulator(FOLLOWS, &[]);
        let url = (engine == "postgres").then(|| database(cluster, "path"));
        let installation = Installation::new(url, &format!("http://{}", wechat.address));
        let db = installation.db();
        know(&runtime, &db);
        let service = installation.serve("all");
        let before = batch_calls(&wechat);
        let started = std::time::Instant::now();
        let sent = generate(&service, "secure", 0, &["--events", &FOLLOWS.to_string()]);
        let took_in = started.elapsed();
        wait_until(Duration::from_secs(120), "linking", || {
            linked(&db) >= i64::from(FOLLOWS)
        });
        let elapsed = started.elapsed().as_secs_f64();
        assert_eq!(sent.accepted, i64::from(FOLLOWS));
        let calls = batch_calls(&wechat) - before;
        println!(
            "{engine:<10} {:>7.0} follows/s stored, profiled and linked ({:.1} s, of which intake {:.1} s); {:.1} API calls per 1,000; {:.0} MiB",
            f64::from(FOLLOWS) / elapsed,
            elapsed,
            took_in.as_secs_f64(),
            calls as f64 * 1e3 / f64::from(FOLLOWS),
            service.resident_mib(),
        );
    }
}

fn batch_calls(wechat: &Running) -> i64 {
    let url = format!("http://{}/_sim/stats", wechat.address);
    let output = Command::new(env!("CARGO_BIN_EXE_queqiao"))
        .args(["simulate", "--stats", &url])
        .output()
        .expect("the program starts");
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout).expect("stats");
    let calls = stats
        .get("calls")
        .and_then(serde_json::Value::as_object)
        .cloned()
        .unwrap_or_default();
    calls.values().filter_map(serde_json::Value::as_i64).sum()
}

/// Everybody has logged in to the mini-program before.
fn know(runtime: &Runtime, db: &Db) {
    let people: Vec<u32> = (0..FOLLOWS).collect();
    for chunk in people.chunks(2_000) {
        let chunk = chunk.to_vec();
        let stored = runtime.block_on(db.write(move |conn| {
            let mini = account::by_app_id(conn, MINI_APP_ID)?.expect("the mini-program");
            let now = Clock::system().now();
            for &person in &chunk {
                let openid = population::openid(MINI_APP_ID, person);
                let unionid = population::unionid(person);
                identity::log_in(
                    conn,
                    &Login {
                        project_id: mini.project_id,
                        account_id: mini.id,
                        openid: &openid,
                        unionid: Some(&unionid),
                        follow_state: FollowState::Unknown,
                        followed_time: 0,
                        unfollowed_time: 0,
                        profile_state: ProfileState::Complete,
                        profile_attempts: 0,
                        profile_fetched_at: now,
                        created_at: now,
                        updated_at: now,
                    },
                )?;
            }
            Ok::<_, DbError>(())
        }));
        stored.expect("the mini-program's people");
    }
}

fn count(db: &Db) -> i64 {
    let mut conn = db.connect().expect("the database answers");
    events::table
        .count()
        .get_result(&mut conn)
        .expect("a count")
}

/// Followers of the service account who share a unionid with somebody in the mini-program.
fn linked(db: &Db) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        linked: i64,
    }
    let mut conn = db.connect().expect("the database answers");
    let counts: Vec<Count> = diesel::sql_query(
        "SELECT COUNT(*) AS linked FROM identities f \
         JOIN identities m ON m.project_id = f.project_id AND m.unionid = f.unionid \
         AND m.account_id <> f.account_id WHERE f.follow_state = 'following'",
    )
    .load(&mut conn)
    .expect("a count");
    counts.first().map_or(0, |count| count.linked)
}

/// What one load measured, read from the generator's JSON.
#[derive(serde::Deserialize)]
struct Measured {
    accepted: i64,
    sent: u32,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Measured {
    fn print(&self, name: &str, resident_mib: f64, bare: f64) {
        println!(
            "{name:<24} {:>10.0} {:>8.2} {:>8.2} {resident_mib:>9.1} {:>8.2}",
            self.per_second,
            self.p50_ms,
            self.p99_ms,
            self.per_second / bare
        );
    }
}

/// Puts a load on from another process.
fn load(service: &Running, mode: &str, first_person: u32, seconds: u32) -> Measured {
    generate(
        service,
        mode,
        first_person,
        &["--seconds", &seconds.to_string()],
    )
}

fn generate(service: &Running, mode: &str, first_person: u32, until: &[&str]) -> Measured {
    let output = Command::new(env!("CARGO_BIN_EXE_queqiao"))
        .args([
            "load",
            "--json",
            "--mode",
            mode,
            "--token",
            TOKEN,
            "--aes-key",
            AES_KEY,
        ])
        .args([
            "--url",
            &format!("http://{}/callback/{APP_ID}", service.address),
        ])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--first-person", &first_person.to_string()])
        .args(until)
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "load: {errors}");
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}
