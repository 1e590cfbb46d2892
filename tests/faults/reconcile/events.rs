//! Pushes that were acknowledged against stored events, and follow states against the newest events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Text};

use crate::installation::Installation;
use crate::report::Findings;
use crate::wechat::WeChat;

#[derive(QueryableByName)]
struct Event {
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = BigInt)]
    create_time: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    state: i32,
}

#[derive(QueryableByName)]
struct Identity {
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = Text)]
    follow_state: String,
}

const WAITING: i32 = 0;
const FAILED: i32 = 2;

/// Of whom pushes are, as their openids begin.
const OURS: &str = "openid LIKE 'oFaults%'";
const STORED: &str = "SELECT COALESCE(openid, '') AS openid, create_time, kind, state FROM events";

/// Counts what was pushed, and what must not have happened.
pub(crate) fn events(
    installation: &Installation,
    wechat: &WeChat,
    findings: &mut Findings,
) -> Result<()> {
    let stored: Vec<Event> = installation.rows(STORED)?;
    compare(&stored, wechat, findings);
    findings.zero("wrong follow states", follow_states(installation, &stored)?);
    answers(wechat, findings);
    Ok(())
}

/// The same beside other pushes, of people whom WeChat does not know, so that nobody can say who follows.
pub(crate) fn pushes(
    installation: &Installation,
    wechat: &WeChat,
    findings: &mut Findings,
) -> Result<()> {
    let stored: Vec<Event> = installation.rows(&format!("{STORED} WHERE {OURS}"))?;
    compare(&stored, wechat, findings);
    let waiting = installation.count("events WHERE state <> 1")?;
    findings.zero("events of all that wait or failed", u64::try_from(waiting)?);
    answers(wechat, findings);
    Ok(())
}

/// Waits until what was acknowledged is in the table and processed, or that takes too long: it may come out of a
/// spool.
pub(crate) async fn arrived(
    installation: &Installation,
    wechat: &WeChat,
    most: Duration,
) -> Result<()> {
    let acknowledged = wechat
        .record()
        .iter()
        .filter(|push| push.acknowledged)
        .count();
    let began = Instant::now();
    while began.elapsed() < most
        && installation.count(&format!("events WHERE {OURS}"))? < i64::try_from(acknowledged)?
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let left = most.saturating_sub(began.elapsed());
    installation
        .until_none("events WHERE state = 0", left)
        .await?;
    Ok(())
}

fn compare(stored: &[Event], wechat: &WeChat, findings: &mut Findings) {
    let mut times: HashMap<(&str, i64), u64> = HashMap::with_capacity(stored.len());
    for event in stored {
        *times.entry((&event.openid, event.create_time)).or_default() += 1;
    }
    let record = wechat.record();
    let is_stored = |openid: &str, create_time: i64| times.contains_key(&(openid, create_time));
    let mut tries = 0;
    let (mut acknowledged, mut missing) = (0_u64, 0_u64);
    for push in &record {
        tries += push.tries;
        acknowledged += u64::from(push.acknowledged);
        missing += u64::from(push.acknowledged && !is_stored(&push.openid, push.create_time));
    }
    findings.count("pushes", record.len());
    findings.count("tries", tries);
    findings.count("acknowledged", acknowledged);
    findings.zero("acknowledged and missing", missing);
    findings.zero(
        "stored twice",
        times.values().filter(|count| **count > 1).count() as u64,
    );
    let in_state = |state| stored.iter().filter(|event| event.state == state).count() as u64;
    findings.zero("events waiting", in_state(WAITING));
    findings.zero("events failed", in_state(FAILED));
}

fn answers(wechat: &WeChat, findings: &mut Findings) {
    let answers: Vec<String> = wechat
        .answers()
        .iter()
        .map(|(name, count)| format!("{name} × {count}"))
        .collect();
    findings.detail(format!("answers: {}", answers.join(", ")));
}

/// Pushes that WeChat has given up: events that nobody will ever hear of.
pub(crate) fn lost(wechat: &WeChat) -> u64 {
    let record = wechat.record();
    record.iter().filter(|push| !push.acknowledged).count() as u64
}

fn follow_states(installation: &Installation, stored: &[Event]) -> Result<u64> {
    let mut newest: HashMap<&str, (i64, i64)> = HashMap::new();
    for event in stored {
        let (followed, unfollowed) = newest.entry(&event.openid).or_default();
        match event.kind.as_str() {
            "event.subscribe" => *followed = event.create_time.max(*followed),
            "event.unsubscribe" => *unfollowed = event.create_time.max(*unfollowed),
            _ => {}
        }
    }
    let identities: Vec<Identity> =
        installation.rows("SELECT openid, follow_state FROM identities")?;
    let found: HashMap<String, String> = identities
        .into_iter()
        .map(|identity| (identity.openid, identity.follow_state))
        .collect();
    let is_wrong = |(openid, (followed, unfollowed)): &(&&str, &(i64, i64))| {
        let expected = match followed.cmp(unfollowed) {
            std::cmp::Ordering::Equal => return false,
            std::cmp::Ordering::Greater => "following",
            std::cmp::Ordering::Less => "not_following",
        };
        found.get(**openid).is_none_or(|state| state != expected)
    };
    Ok(newest.iter().filter(is_wrong).count() as u64)
}
