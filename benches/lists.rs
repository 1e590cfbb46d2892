//! How long each list takes with each of its filters when there are a million people, events, deliveries
//! and webhook messages and a hundred thousand staff, most of them alike, and what is rare is the
//! oldest. Over HTTP, the first page and one behind it.
//!
//! `cargo bench --bench lists`, optionally with the engines to measure and a number of rows:
//! `-- sqlite 100000`. It fails if the median of any is over 10 ms.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be made should stop where it stands"
)]

#[path = "lists/cases.rs"]
mod cases;
#[path = "lists/fill.rs"]
mod fill;
mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use cases::{LISTS, List};
use support::cluster::{Cluster, Durability};
use support::{AES_KEY, Installation, Running, SECRET, TOKEN, database};

/// How often each is asked.
const TIMES: usize = 20;
/// What a median may be.
const MOST: Duration = Duration::from_millis(10);
/// Pages at the most on the way to a later one.
const PAGES: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let rows = arguments.iter().find_map(|argument| argument.parse().ok());
    let rows: u32 = rows.unwrap_or(1_000_000);
    let named = |engine: &str| arguments.iter().any(|argument| argument == engine);
    let all = !named("postgres") && !named("sqlite");
    let runtime = Runtime::new().expect("a runtime");
    let mut slow = 0;
    if all || named("postgres") {
        let cluster = Cluster::start(Durability::Durable).expect("PostgreSQL");
        let url = database(&cluster, "lists");
        slow += measure(&runtime, "PostgreSQL", Some(url), rows);
    }
    if all || named("sqlite") {
        slow += measure(&runtime, "SQLite", None, rows);
    }
    if slow == 0 {
        return ExitCode::SUCCESS;
    }
    println!("\n{slow} over {MOST:?}");
    ExitCode::FAILURE
}

/// Fills one engine and asks it everything; returns how many were too slow.
fn measure(runtime: &Runtime, engine: &str, url: Option<String>, rows: u32) -> usize {
    let installation = Installation::new(url, "http://127.0.0.1:9");
    installation.run(&[
        "accounts",
        "add",
        "wx00000000000000c3",
        "--kind",
        "official_account",
        "--mode",
        "compatible",
        "--token",
        TOKEN,
        "--aes-key",
        AES_KEY,
        "--secret",
        SECRET,
    ]);
    let key = installation.run(&["keys", "add", "bench", "--scopes", "admin"]);
    let started = Instant::now();
    fill::fill(
        &mut installation.db().connect().expect("the database answers"),
        rows,
    );
    println!(
        "\n{engine}, {rows} rows, filled in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    println!(
        "{:<72} {:>9} {:>8} {:>6}",
        "", "median ms", "worst ms", "items"
    );
    let asker = Asker {
        runtime,
        http: reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client"),
        service: installation.serve("web"),
        key,
    };
    LISTS.iter().map(|list| asker.all_of(list)).sum()
}

struct Asker<'a> {
    runtime: &'a Runtime,
    http: reqwest::Client,
    service: Running,
    key: String,
}

/// What was asked for, so much of it as matters here.
#[derive(serde::Deserialize)]
struct Page {
    items: Vec<serde::de::IgnoredAny>,
    next_cursor: Option<String>,
}

impl Asker<'_> {
    /// Asks for everything of a list; returns how many were too slow.
    fn all_of(&self, list: &List) -> usize {
        let mut slow = 0;
        for query in list.queries() {
            let mut path = format!("{}?{query}", list.path);
            for page in 0..PAGES {
                let (took, found) = self.ask(&path);
                let (median, worst) = summary(took);
                let mark = if median > MOST { "  too slow" } else { "" };
                slow += usize::from(median > MOST);
                let shown = match page {
                    0 => format!("{}?{query}", list.path),
                    page => format!("{:>8} page {}", "", page + 1),
                };
                println!(
                    "{shown:<72} {:>9.1} {:>8.1} {:>6}{mark}",
                    median.as_secs_f64() * 1e3,
                    worst.as_secs_f64() * 1e3,
                    found.items.len()
                );
                let Some(cursor) = found.next_cursor else {
                    break;
                };
                path = format!("{}?{query}&cursor={cursor}", list.path);
            }
        }
        slow
    }

    fn ask(&self, path: &str) -> (Vec<Duration>, Page) {
        let url = format!("http://{}/api/v1{path}", self.service.address);
        let mut took = Vec::with_capacity(TIMES);
        let mut last = None;
        for _ in 0..=TIMES {
            let started = Instant::now();
            let answer = async {
                let request = self.http.get(&url).bearer_auth(&self.key);
                let answer = request.send().await?;
                let status = answer.status();
                Ok::<_, reqwest::Error>((status, answer.bytes().await?))
            };
            let (status, body) = self.runtime.block_on(answer).expect("an answer");
            took.push(started.elapsed());
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(status.is_success(), "{path}: {body}");
            last = serde_json::from_str(&body).ok();
        }
        // The first one finds nothing in memory yet.
        took.remove(0);
        (took, last.expect("a page"))
    }
}

fn summary(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort();
    let at = |place: usize| took.get(place).copied().unwrap_or_default();
    (at(took.len() / 2), at(took.len().saturating_sub(1)))
}
