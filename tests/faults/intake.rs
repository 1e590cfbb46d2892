//! Kills of a server that takes pushes in.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use super::context::Context;
use super::installation::Installation;
use super::reconcile;
use super::report::Findings;
use super::wechat::WeChat;

/// Pushes at the same time.
const SENDERS: usize = 48;
const PEOPLE: u64 = 400;
/// How long what was stored may take until it is processed.
const SETTLES: Duration = Duration::from_secs(60);
/// Connections of WeChat.
const CONNECTIONS: usize = 256;

/// SIGKILL of `serve` at random moments, also while it starts, under pushes that are repeated as WeChat does.
pub(crate) async fn kills(context: &mut Context, is_postgres: bool) -> Result<Findings> {
    let name = if is_postgres {
        "intake-postgres"
    } else {
        "intake-sqlite"
    };
    let storage = context.storage(is_postgres, name)?;
    let installation = Installation::new(context, name, storage, &[], false)?;
    let mut server = installation.server(context, "one")?;
    server.up("/readyz").await?;
    let wechat = WeChat::new(vec![server.port], context.seed, PEOPLE, CONNECTIONS);
    let mut load = JoinSet::new();
    load.spawn(wechat.clone().in_turn(SENDERS));
    let kills = context.scale.pick(8, 100);
    for _ in 0..kills {
        tokio::time::sleep(context.dice.millis(10, 700)).await;
        server.kill();
        tokio::time::sleep(context.dice.millis(0, 100)).await;
        server.start()?;
        // Else the next kill may come while it starts.
        if context.dice.percent(90) {
            server.answers("/readyz").await?;
        }
    }
    server.answers("/readyz").await?;
    wechat.stop();
    while load.join_next().await.is_some() {}
    let settled = installation
        .until_none("events WHERE state = 0", SETTLES)
        .await?;
    let mut findings = Findings::default();
    findings.count("kills", kills);
    reconcile::events(&installation, &wechat, &mut findings)?;
    findings.count("given up by WeChat", reconcile::lost(&wechat));
    if let Some(settled) = settled {
        findings.seconds("settled after", settled);
    }
    findings.detail(server.tail());
    Ok(findings)
}
