//! PostgreSQL goes away under pushes at a rate, and Queqiao is killed in between: what WeChat cannot be told to
//! repeat must be in the spool.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};
use tokio::task::JoinSet;

use super::cluster::Stop;
use super::context::{Context, Pass};
use super::installation::Installation;
use super::process::Process;
use super::reconcile;
use super::report::Findings;
use super::wechat::WeChat;

/// How long everything that was kept may take to be stored and processed.
const SETTLES: Duration = Duration::from_secs(300);
/// Connections of WeChat: fewer than one process may have open.
const CONNECTIONS: usize = 12_000;
/// Before the outage, and after it.
const AROUND: Duration = Duration::from_secs(3);

/// How long a server that was started is waited for.
const BUSY: Duration = Duration::from_secs(10);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many rows of a table the spool of the installation has; none while it has no such table.
fn in_spool(installation: &Installation, table: &str) -> i64 {
    let path = installation.directory.join("data/spool.db");
    let look = || {
        let mut connection = SqliteConnection::establish(path.to_str()?).ok()?;
        connection
            .batch_execute("PRAGMA busy_timeout = 5000")
            .ok()?;
        let sql = format!("SELECT COUNT(*) AS count FROM {table}");
        let rows: Vec<Count> = sql_query(sql).load(&mut connection).ok()?;
        rows.first().map(|row| row.count)
    };
    tokio::task::block_in_place(look).unwrap_or_default()
}

/// What is done in one outage.
#[derive(Clone, Copy)]
struct Plan {
    how: Stop,

    lasts: Duration,
}

/// One outage: PostgreSQL is stopped, and started after a while.
pub(crate) async fn outage(
    context: &mut Context,
    name: &'static str,
    how: Stop,
    usual_rate: u64,
) -> Result<Findings> {
    let rate = context.scale.rate.unwrap_or(usual_rate);
    let seconds = context.scale.outage.unwrap_or(context.scale.pick(6, 60));
    let plan = Plan {
        how,

        lasts: Duration::from_secs(seconds),
    };
    let (installation, mut server) = ready(context, name).await?;
    let wechat = WeChat::new(
        vec![server.port],
        context.seed,
        rate.clamp(300, 3000),
        CONNECTIONS,
    );
    let mut load = JoinSet::new();
    load.spawn(wechat.clone().at_rate(rate));
    tokio::time::sleep(AROUND).await;
    let mut findings = Findings::default();
    let away = away(context, plan, &mut server).await;
    context.start_postgres()?;
    let back = Instant::now();
    let (kills, lasted) = away?;
    findings.count("pushes a second", rate);
    findings.seconds("away for", lasted);
    findings.count("kills of Queqiao", kills);
    findings.count(
        "in the spool at its end",
        in_spool(&installation, "spooled"),
    );
    findings.seconds("spool empty after", drained(&installation, back).await);
    tokio::time::sleep(AROUND).await;
    wechat.stop();
    while load.join_next().await.is_some() {}
    findings.count("memory MiB", server.memory());
    drained(&installation, back).await;
    findings.zero(
        "left in the spool",
        u64::try_from(in_spool(&installation, "spooled"))?,
    );
    installation
        .until_none("events WHERE state = 0", SETTLES)
        .await?;
    reconcile::events(&installation, &wechat, &mut findings)?;
    findings.zero("lost for WeChat", reconcile::lost(&wechat));
    findings.detail(server.tail());
    Ok(findings)
}

/// A server that knows its accounts also without its database.
async fn ready(context: &mut Context, name: &str) -> Result<(Installation, Process)> {
    let storage = context.storage(true, name)?;
    // A short outage is to reach the spool too.
    let hold = if context.scale.pass == Pass::Short {
        "1000"
    } else {
        "4000"
    };
    let settings = [("QUEQIAO_INTAKE__HOLD_MS", hold)];
    let installation = Installation::new(context, name, storage, &settings, false)?;
    let mut server = installation.server(context, "one")?;
    server.up("/readyz").await?;
    let began = Instant::now();
    while in_spool(&installation, "known_accounts") == 0 {
        anyhow::ensure!(
            began.elapsed() < AROUND * 5,
            "the accounts are not beside the spool:\n{}",
            server.tail()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((installation, server))
}

/// The outage itself; how often Queqiao was killed in it, and how long it lasted.
async fn away(context: &mut Context, plan: Plan, server: &mut Process) -> Result<(u64, Duration)> {
    let began = Instant::now();
    context
        .stop_postgres(plan.how)
        .context("stopping PostgreSQL")?;
    let mut kills = 0;
    loop {
        let until_kill = match context.scale.pass {
            Pass::Short => context.dice.millis(1_500, 3_500),
            Pass::Long => context.dice.millis(1_000, 15_000),
        };
        let left = plan.lasts.saturating_sub(began.elapsed());
        if until_kill >= left {
            tokio::time::sleep(left).await;
            return Ok((kills, began.elapsed()));
        }
        tokio::time::sleep(until_kill).await;
        server.kill();
        server.start()?;
        // One whose line is full answers this as late as everything else.
        if let Ok(answers) = tokio::time::timeout(BUSY, server.answers("/healthz")).await {
            answers?;
        }
        kills += 1;
    }
}

/// Waits until the spool is empty; how long after the end of the outage that was.
async fn drained(installation: &Installation, back: Instant) -> Duration {
    while in_spool(installation, "spooled") > 0 && back.elapsed() < SETTLES {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    back.elapsed()
}
