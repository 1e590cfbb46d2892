//! How fast Queqiao notifies: one request to 1,000 and to 100,000 staff, sent to the simulated
//! WeChat, beside a bare loop that posts the same messages to the same simulator with as many in
//! flight. The yardstick is the ratio to the bare loop. Then what one notification to one person
//! takes, alone and while a hundred thousand in bulk are sent, and what the service costs while it
//! has nothing to do.
//!
//! `cargo bench --bench deliver`, optionally with the engines to measure: `-- postgres`.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be made should stop where it stands"
)]

#[path = "deliver/notified.rs"]
mod notified;
#[path = "deliver/stage.rs"]
mod stage;
mod support;

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use notified::Figures;
use stage::{IN_FLIGHT, Stage};
use support::cluster::{Cluster, Durability};
use support::wait_until;

/// The sizes of a notification; the small one is sent this often, and the middle one shown.
const SMALL: (u32, usize) = (1_000, 5);
const LARGE: u32 = 100_000;
/// Notifications to one person.
const SINGLE: u32 = 20;
/// How long doing nothing is watched.
const IDLE: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let wanted = |engine: &str| {
        let engines = ["postgres", "sqlite"];
        arguments.iter().any(|argument| argument == engine)
            || !arguments
                .iter()
                .any(|argument| engines.contains(&argument.as_str()))
    };
    let runtime = Runtime::new().expect("a runtime");
    for engine in ["postgres", "sqlite"] {
        if !wanted(engine) {
            continue;
        }
        let cluster = (engine == "postgres")
            .then(|| Cluster::start(Durability::Durable).expect("PostgreSQL"));
        for receipts in [false, true] {
            measure(&runtime, cluster.as_ref(), receipts);
        }
    }
}

fn measure(runtime: &Runtime, cluster: Option<&Cluster>, receipts: bool) {
    let stage = Stage::set(
        runtime,
        cluster,
        LARGE,
        if receipts { "receipts" } else { "plain" },
    );
    println!(
        "\n{}, {} receipts, {IN_FLIGHT} in flight",
        if cluster.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        },
        if receipts { "with" } else { "without" },
    );
    println!(
        "{:<16} {:>9} {:>10} {:>8} {:>11} {:>9} {:>9} {:>11} {:>12} {:>8}",
        "",
        "accept ms",
        "sent/s",
        "of bare",
        "delivered/s",
        "p50 ms",
        "p99 ms",
        "progress ms",
        "accepted MiB",
        "peak MiB"
    );
    // Its receipts would belong to nobody, so it runs without; the first run warms up.
    stage.bare(LARGE);
    let bare = stage.bare(LARGE);
    println!("{:<16} {:>9} {bare:>10.0} {:>8.2}", "bare loop", "", 1.0);
    let mut small: Vec<f64> = (0..SMALL.1).map(|_| stage.bare(SMALL.0)).collect();
    small.sort_by(f64::total_cmp);
    let bare_small = small.get(SMALL.1 / 2).copied().unwrap_or(bare);
    let name = format!("bare, {} only", SMALL.0);
    println!("{name:<16} {:>9} {bare_small:>10.0} {:>8.2}", "", 1.0);
    if receipts {
        stage.want_receipts();
    }
    stage.notify(SMALL.0).settle(receipts);
    let mut small: Vec<Figures> = (0..SMALL.1)
        .map(|_| stage.notify(SMALL.0).settle(receipts))
        .collect();
    small.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    if let Some(middle) = small.get(SMALL.1 / 2) {
        middle.print(bare_small);
    }
    stage.notify(LARGE).settle(receipts).print(bare);
    if !receipts {
        one_person(&stage);
        one_among_many(&stage);
        idle(&stage);
    }
}

/// From the request to the message, for one person.
fn one_person(stage: &Stage<'_>) {
    let mut took: Vec<Duration> = (0..SINGLE)
        .map(|_| {
            let before = stage.seen();
            let started = Instant::now();
            let notified = stage.notify(1);
            wait_until(Duration::from_secs(5), "one message", || {
                stage.seen().messages > before.messages
            });
            let took = started.elapsed();
            notified.settle(false);
            took
        })
        .collect();
    took.sort();
    let [fastest, middle, slowest] = [0, took.len() / 2, took.len() - 1]
        .map(|at| took.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3);
    println!(
        "one person, from the request until WeChat has the message: {middle:.1} ms, \
         {fastest:.1} to {slowest:.1} ms"
    );
}

/// From the request to the record of its sending, for one person, while a large one in bulk is sent.
fn one_among_many(stage: &Stage<'_>) {
    let bulk = stage.notify_as(LARGE, "bulk");
    let mut took: Vec<Duration> = Vec::new();
    while took.len() < SINGLE as usize && bulk.counts().queued > LARGE / 4 {
        let started = Instant::now();
        let urgent = stage.notify_as(1, "urgent");
        wait_until(Duration::from_secs(30), "one urgent message", || {
            urgent.counts().queued == 0
        });
        took.push(started.elapsed());
    }
    took.sort();
    let [middle, slowest] = [took.len() / 2, took.len().saturating_sub(1)]
        .map(|at| took.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3);
    println!(
        "one urgent person while {LARGE} in bulk are sent: {middle:.1} ms, {slowest:.1} ms at the most, \
         of {}",
        took.len()
    );
    wait_until(Duration::from_secs(180), "the bulk", || {
        bulk.counts().queued == 0
    });
}

/// What the service does while there is nothing to do.
fn idle(stage: &Stage<'_>) {
    // The transactions of the last notification are counted late.
    std::thread::sleep(Duration::from_secs(2));
    let (processor, transactions) = (stage.processor_time(), stage.transactions());
    std::thread::sleep(IDLE);
    let seconds = IDLE.as_secs_f64();
    let processor = (stage.processor_time() - processor).as_secs_f64() / seconds * 100.0;
    print!("idle: {processor:.1}% of a processor");
    if let (Some(before), Some(after)) = (transactions, stage.transactions()) {
        // Asking is a transaction, too.
        print!(
            ", {:.0} transactions/s",
            (after - before - 1) as f64 / seconds
        );
    }
    println!();
}
