//! What a subscription message costs in the ledger of permissions: a consent, a send, its answer and its report, as
//! four transactions, for people of whom nothing is known and for people with ten thousand entries of years. The
//! old entries are folded first, in rounds, as `serve` does by itself. What counts is the ratio of both.
//!
//! `cargo bench --bench permissions`, optionally with the engines to measure: `-- sqlite`. It fails if the ratio is
//! over its bound.

#![allow(
    clippy::expect_used,
    reason = "a measurement that cannot be made should stop where it stands"
)]

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime};
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use queqiao::db::{Conn, QueryResult};
use queqiao::ids::{AccountId, IdentityId};
use queqiao::models::credit::{self, CreditKey, Said, Word};

use support::cluster::{Cluster, Durability};
use support::{Installation, database};

/// People of each kind, and what is entered for those with a long past.
const PEOPLE: i64 = 20;
const ENTRIES: i64 = 10_000;
/// Messages to each person.
const ROUNDS: i64 = 10;
/// What the ratio may be.
const MOST: f64 = 2.0;
const TEMPLATE: &str = "TPL";
/// The day of the measurement, and how long each of the old entries is apart from the next.
const TODAY: i64 = 1_790_000_000;
const APART: i64 = 6_000;
const OLD: i64 = 40 * 86_400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if arguments.iter().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let named = |engine: &str| arguments.iter().any(|argument| argument == engine);
    let all = !named("postgres") && !named("sqlite");
    let mut ratios = Vec::new();
    if all || named("postgres") {
        let cluster = Cluster::start(Durability::Durable).expect("PostgreSQL");
        ratios.push(measure(
            "PostgreSQL",
            Some(database(&cluster, "permissions")),
        ));
    }
    if all || named("sqlite") {
        ratios.push(measure("SQLite", None));
    }
    match ratios.iter().all(|ratio| *ratio <= MOST) {
        true => ExitCode::SUCCESS,
        false => {
            println!("\nover {MOST:.1}");
            ExitCode::FAILURE
        }
    }
}

/// One engine; the ratio.
fn measure(engine: &str, url: Option<String>) -> f64 {
    let installation = Installation::new(url, "http://127.0.0.1:9");
    let conn = &mut installation.db().connect().expect("the database answers");
    fill(conn).expect("the database is filled");
    let unfolded = round(conn, PEOPLE, -1).expect("the database answers");
    let started = Instant::now();
    let mut rounds = 0;
    while fold(conn).expect("the database answers") {
        rounds += 1;
    }
    let folding = started.elapsed();
    // By turns, so that whatever else the machine does meets both.
    let (mut empty, mut full) = (Duration::ZERO, Duration::ZERO);
    for number in 0..ROUNDS {
        empty += round(conn, 0, number).expect("the database answers");
        full += round(conn, PEOPLE, number).expect("the database answers");
    }
    let sends = (PEOPLE * ROUNDS) as f64;
    let [empty, full] = [empty, full].map(|took| took.as_secs_f64() * 1e3 / sends);
    let before = unfolded.as_secs_f64() * 1e3 / PEOPLE as f64;
    let ratio = full / empty;
    println!(
        "{engine}: a message to somebody without a past {empty:.2} ms, with {ENTRIES} entries {full:.2} ms \
         ({before:.2} ms before they were folded, in {rounds} rounds of {:.0} ms): ratio {ratio:.2}",
        folding.as_secs_f64() * 1e3 / f64::from(rounds.max(1)),
    );
    ratio
}

fn fold(conn: &mut Conn) -> QueryResult<bool> {
    let folded = conn.transaction(|conn| credit::fold_old(conn, TODAY))?;
    Ok(folded != credit::Folded::default())
}

/// The second half of the people has a past: consents, sends and their reports, each a while after the one before.
fn fill(conn: &mut Conn) -> QueryResult<()> {
    let people = 2 * PEOPLE;
    conn.batch_execute(&format!(
        "INSERT INTO identities (id, project_id, account_id, openid, follow_state, followed_time, \
         unfollowed_time, profile_state, profile_attempts, created_at, updated_at) \
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {people}) \
         SELECT n, 1, 2, 'o' || n, 'following', 1, 0, 'complete', 0, '2026-01-01', '2026-01-01' FROM n"
    ))?;
    let known: Vec<Said> = (0..people)
        .map(|person| said(person, Word::Pushed, 1_000))
        .collect();
    // Rows are written in the order of their times, as they are in years.
    conn.transaction(|conn| credit::record(conn, &known, now()))?;
    conn.batch_execute(&format!(
        "INSERT INTO credit_entries (credit_id, kind, happened_time, mark) \
         WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {ENTRIES} - 1) \
         SELECT c.id, CASE n % 3 WHEN 0 THEN 'event' WHEN 1 THEN 'taken' ELSE 'sent' END, \
         {TODAY} - {OLD} - ({ENTRIES} - n) * {APART}, CASE n % 3 WHEN 0 THEN 0 ELSE n / 3 + 1 END \
         FROM n, credits c WHERE c.identity_id > {PEOPLE}"
    ))?;
    Ok(())
}

fn now() -> NaiveDateTime {
    DateTime::from_timestamp(TODAY, 0)
        .expect("a time")
        .naive_utc()
}

fn said(person: i64, word: Word, time: i64) -> Said {
    Said {
        account_id: AccountId(2),
        identity_id: IdentityId(person + 1),
        template_id: TEMPLATE.to_owned(),
        word,
        time,
        long_term: false,
    }
}

/// One message to each of some people, from the consent to the report; how long that took.
fn round(conn: &mut Conn, first: i64, number: i64) -> QueryResult<Duration> {
    let started = Instant::now();
    for person in first..first + PEOPLE {
        let time = TODAY + (number + 2) * 1_000;
        let msgid = 1_000_000 + time;
        conn.transaction(|conn| credit::record(conn, &[said(person, Word::Pushed, time)], now()))?;
        let wanted = [CreditKey {
            identity_id: IdentityId(person + 1),
            template_id: TEMPLATE,
        }];
        let taken = conn.transaction(|conn| credit::take(conn, &wanted, time + 1))?;
        let entry = taken
            .first()
            .and_then(|taken| taken.entry)
            .expect("a permission");
        conn.transaction(|conn| credit::settle(conn, &[(entry, msgid)]))?;
        let sent = said(person, Word::Sent { msgid }, time + 2);
        conn.transaction(|conn| credit::record(conn, &[sent], now()))?;
    }
    Ok(started.elapsed())
}
