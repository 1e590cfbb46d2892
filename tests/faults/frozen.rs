//! One of two replicas is frozen (SIGSTOP: a stalled machine, a disk that hangs): the other one goes on, and what
//! the frozen one does late does no harm.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use tokio::task::JoinSet;

use super::context::Context;
use super::installation::Installation;
use super::reconcile;
use super::report::Findings;
use super::wechat::WeChat;
use super::world::{World, WorldOptions};

/// What the other replica may need at the most.
const MOST: Duration = Duration::from_secs(5);
/// How long it is watched until it counts as stuck.
const STUCK: Duration = Duration::from_secs(10);
/// A session whose client has sent a part of a statement: no limit of PostgreSQL before version 17
/// (`transaction_timeout`) ends it, so the other one has to. Counted.
const HALF_SENT: &str = "active Client ClientRead";
/// Events that wait.
const OPEN: &str = "events WHERE state = 0";
const SETTLES: Duration = Duration::from_secs(90);

#[derive(QueryableByName)]
struct Blockers {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

fn note(waits: &mut Vec<Duration>, wait: Option<Duration>) {
    waits.push(wait.unwrap_or(STUCK));
}

fn tell(findings: &mut Findings, what: &str, waits: &[Duration]) {
    let late = waits.iter().filter(|wait| **wait >= MOST).count();
    findings.count("freezes", waits.len());
    let each: Vec<String> = waits
        .iter()
        .map(|wait| format!("{:.1}", wait.as_secs_f64()))
        .collect();
    findings.count(
        format!("{what} by the other one after"),
        format_args!("{} s", each.join(" ")),
    );
    findings.zero(format!("{what} after more than 5 s"), late as u64);
}

/// Both process events of the same people; one is frozen at a random moment of it.
pub(crate) async fn events(context: &mut Context, name: &'static str) -> Result<Findings> {
    let storage = context.storage(true, name)?;
    let installation = Installation::new(context, name, storage, &[], false)?;
    let mut one = installation.server(context, "one")?;
    let mut two = installation.server(context, "two")?;
    one.up("/readyz").await?;
    two.up("/readyz").await?;
    let wechat = WeChat::new(Vec::new(), context.seed, 60, 256);
    let (mut waits, mut blocked, mut half_sent) = (Vec::new(), Vec::new(), 0);
    for _ in 0..context.scale.pick(3, 12) {
        wechat.send_to(vec![one.port, two.port]);
        wechat.go_on();
        let mut load = JoinSet::new();
        load.spawn(wechat.clone().in_turn(32));
        tokio::time::sleep(context.dice.millis(500, 1_100)).await;
        one.freeze()?;
        let frozen = Instant::now();
        wechat.send_to(vec![two.port]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        wechat.stop();
        let mut done = None;
        let mut is_half_sent = false;
        while done.is_none() && frozen.elapsed() < STUCK {
            let second = Duration::from_secs(1);
            done = installation.until_none(OPEN, second).await?;
            if done.is_none() {
                let waiting = installation.count(OPEN)?;
                let who = blockers(&installation)?;
                is_half_sent |= who.contains(HALF_SENT);
                blocked.push(format!("{:?}: {waiting} wait\n{who}", frozen.elapsed()));
            }
        }
        half_sent += u64::from(is_half_sent);
        note(&mut waits, done.map(|_| frozen.elapsed()));
        tokio::time::sleep(MOST.saturating_sub(frozen.elapsed())).await;
        one.thaw()?;
        while load.join_next().await.is_some() {}
        installation.until_none(OPEN, SETTLES).await?;
    }
    let mut findings = Findings::default();
    tell(&mut findings, "events processed", &waits);
    findings.count("frozen in the middle of a statement", half_sent);
    reconcile::events(&installation, &wechat, &mut findings)?;
    findings.zero("lost for WeChat", reconcile::lost(&wechat));
    blocked
        .into_iter()
        .for_each(|text: String| findings.detail(text));
    findings.detail(two.tail());
    Ok(findings)
}

/// Who waits for whom in the database.
fn blockers(installation: &Installation) -> Result<String> {
    let sql = "SELECT string_agg(concat_ws(' ', pid, state, wait_event_type, wait_event, 'blocked by', \
               pg_blocking_pids(pid)::text, now() - xact_start, left(query, 90)), chr(10)) AS text \
               FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
               AND (state <> 'idle' OR wait_event_type = 'Lock')";
    let rows: Vec<Blockers> = installation.rows(sql)?;
    Ok(rows.into_iter().filter_map(|row| row.text).collect())
}

/// Both send for one account, whose calls are counted; the other one gets an urgent message.
pub(crate) async fn sends(context: &mut Context, name: &'static str) -> Result<Findings> {
    let people = context.scale.pick(60, 200);
    let mut world = World::new(
        context,
        WorldOptions::replicas(name, 2, people, &[("QUEQIAO_DELIVER__BATCH_ROWS", "10")]),
    )
    .await?;
    let mut waits = Vec::new();
    for _ in 0..context.scale.pick(3, 12) {
        for _ in 0..3 {
            world.notify("template", 0..people, 0, "normal").await?;
        }
        tokio::time::sleep(context.dice.millis(0, 300)).await;
        world.servers.first().context("no server")?.freeze()?;
        let frozen = Instant::now();
        let urgent = world.notify("template", 0..5, 1, "urgent").await?;
        let open = format!("deliveries WHERE notification_id = {urgent} AND state = 'queued'");
        let sent = world.installation.until_none(&open, STUCK).await?;
        note(&mut waits, sent.map(|_| frozen.elapsed()));
        world.servers.first().context("no server")?.thaw()?;
        world.settle("'queued'", SETTLES).await?;
    }
    let mut findings = Findings::default();
    tell(&mut findings, "urgent messages sent", &waits);
    reconcile::deliveries(&world, &["queued"], &mut findings).await?;
    Ok(findings)
}

/// One is frozen for longer than its lease, between its claim and its sends, and goes on when the other one has
/// sent what it had claimed.
pub(crate) async fn lease(context: &mut Context, name: &'static str) -> Result<Findings> {
    let people = context.scale.pick(60, 200);
    let mut world = World::new(
        context,
        WorldOptions {
            consents: context.scale.pick(1, 3),
            ..WorldOptions::replicas(name, 2, people, &[("QUEQIAO_DELIVER__LEASE_SECONDS", "3")])
        },
    )
    .await?;
    world.slow_sends(400).await?;
    let (mut held, mut rounds) = (0, 0);
    let channels = [
        "template", "mp", "template", "customer", "template", "mp", "template", "mp",
    ];
    for channel in channels.into_iter().take(context.scale.pick(2, 8)) {
        // The token has gone, so that what is claimed waits before it is sent.
        world.lose_tokens().await?;
        let frozen = context.dice.below(2) as usize;
        world.notify(channel, 0..people, frozen, "normal").await?;
        tokio::time::sleep(context.dice.millis(0, 400)).await;
        world.servers.get(frozen).context("no server")?.freeze()?;
        // The other one has recorded its own by then.
        tokio::time::sleep(Duration::from_millis(800)).await;
        let leased = "deliveries WHERE state = 'queued' AND leased_until IS NOT NULL";
        held += world.installation.count(leased)?;
        tokio::time::sleep(MOST).await;
        world.servers.get(frozen).context("no server")?.thaw()?;
        rounds += 1;
        world.settle("'queued'", SETTLES).await?;
    }
    // What it does late, it does soon.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut findings = Findings::default();
    findings.count("freezes", rounds);
    findings.count("claimed by the frozen one", held);
    reconcile::deliveries(&world, &["queued"], &mut findings).await?;
    Ok(findings)
}
