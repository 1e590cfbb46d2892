//! Kills of a server that sends, over every channel, with faults of WeChat beside them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;

use super::context::{Context, Pass};
use super::reconcile;
use super::report::Findings;
use super::world::{SENDS, World, WorldOptions};

/// Subscription messages that each person has allowed, and customer messages that may answer them.
const MINI_ROUNDS: u32 = 4;
const CUSTOMER_ROUNDS: u32 = 4;
/// How long WeChat takes to answer a send.
const LATENCY_MS: u64 = 40;
const STANDSTILL: Duration = Duration::from_millis(1_800);

/// SIGKILL while staff are notified; WeChat fails, hangs and stands still.
pub(crate) async fn kills(
    context: &mut Context,
    name: &'static str,
    is_postgres: bool,
) -> Result<Findings> {
    let wanted = WorldOptions {
        name,
        is_postgres,
        people: context.scale.pick(40, 300),
        replicas: 1,
        consents: context.scale.pick(2, MINI_ROUNDS),
        settings: &[],
        bad_endpoint: true,
    };
    let mut left = [("mp", wanted.consents), ("customer", CUSTOMER_ROUNDS)];
    let mut world = World::new(context, wanted).await?;
    world.slow_sends(LATENCY_MS).await?;
    let kills = context.scale.pick(8_u32, 40);
    let (mut asked, mut faults, mut standstills) = (0, 0, 0);
    for number in 0..kills {
        if number % 2 == 0 {
            let channel = channel(context, &mut left)?;
            world.notify(channel, 0..world.people, 0, "normal").await?;
            asked += 1;
            if context.dice.percent(50) {
                fault(context, &world, channel).await?;
                faults += 1;
            }
        }
        if context.dice.percent(10) {
            world.simulator.stand_still(STANDSTILL).await?;
            standstills += 1;
        }
        tokio::time::sleep(context.dice.millis(20, 600)).await;
        let server = world.servers.first_mut().context("no server")?;
        server.kill();
        server.up("/readyz").await?;
    }
    let (open, settled) = settle(context, &world).await?;
    let mut findings = Findings::default();
    findings.count("kills", kills);
    findings.count("notifications", asked);
    findings.count("faults of WeChat", faults + standstills);
    if let Some(settled) = settled {
        findings.seconds("settled after", settled);
    }
    reconcile::deliveries(&world, open, &mut findings).await?;
    if let Some(server) = world.servers.first() {
        findings.detail(server.tail());
    }
    Ok(findings)
}

/// WeChat is well again: waits until deliveries have come to their end; which states are none, and how long it took.
async fn settle(
    context: &Context,
    world: &World,
) -> Result<(&'static [&'static str], Option<Duration>)> {
    world
        .simulator
        .tell(Method::DELETE, "/faults", None)
        .await?;
    // Those whose receipt will never come wait a minute for it.
    let (open, patience): (&'static [&'static str], u64) = match context.scale.pass {
        Pass::Short => (&["queued"], 60),
        Pass::Long => (&["queued", "sent"], 240),
    };
    let states = open
        .iter()
        .map(|state| format!("'{state}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let settled = world.settle(&states, Duration::from_secs(patience)).await?;
    Ok((open, settled))
}

/// A channel over which everybody may still be sent something.
fn channel(context: &mut Context, left: &mut [(&'static str, u32)]) -> Result<&'static str> {
    let mut channels = vec!["template", "template", "webhook", "chain"];
    channels.extend(
        left.iter()
            .filter(|(_, left)| *left > 0)
            .map(|(name, _)| *name),
    );
    let channel = *context.dice.of_these(&channels).context("no channel")?;
    if let Some((_, left)) = left.iter_mut().find(|(name, _)| *name == channel) {
        *left -= 1;
    }
    Ok(channel)
}

/// The next calls of the channel go wrong in some way.
pub(crate) async fn fault(context: &mut Context, world: &World, channel: &str) -> Result<()> {
    let kinds = [
        json!({"kind": "time_out_after"}),
        json!({"kind": "time_out_before"}),
        json!({"kind": "reset"}),
        json!({"kind": "reset_after"}),
        json!({"kind": "http_error", "status": 502}),
        json!({"kind": "errcode", "errcode": -1}),
        json!({"kind": "slow", "millis": 900}),
    ];
    let mut fault = context.dice.of_these(&kinds).cloned().unwrap_or_default();
    let path = SENDS
        .iter()
        .find(|(name, _)| *name == channel)
        .map(|(_, path)| *path);
    if let Some(fault) = fault.as_object_mut() {
        fault.insert("times".to_owned(), json!(1 + context.dice.below(20)));
        if let Some(path) = path {
            fault.insert("path".to_owned(), json!(path));
        }
    }
    world.simulator.post("/faults", fault).await?;
    Ok(())
}
