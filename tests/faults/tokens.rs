//! Token storms: all tokens of an account end at WeChat at once while several replicas send.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::reconcile;
use super::report::Findings;
use super::world::{World, WorldOptions};

/// The call that gives a token.
const TOKEN: &str = "/cgi-bin/stable_token";
const SETTLES: Duration = Duration::from_secs(60);

pub(crate) async fn storms(context: &mut Context, name: &'static str) -> Result<Findings> {
    let people = context.scale.pick(60, 200);
    let mut world = World::new(
        context,
        WorldOptions::replicas(
            name,
            3,
            people,
            &[
                ("QUEQIAO_DELIVER__LEASE_SECONDS", "120"),
                ("QUEQIAO_DELIVER__BATCH_ROWS", "10"),
            ],
        ),
    )
    .await?;
    world.slow_sends(20).await?;
    let storms = context.scale.pick(4, 20);
    let mut calls = Vec::new();
    for _ in 0..storms {
        let before = world.simulator.calls(TOKEN).await?;
        world.lose_tokens().await?;
        for replica in 0..3 {
            world
                .notify("template", 0..people, replica, "normal")
                .await?;
        }
        world.settle("'queued'", SETTLES).await?;
        calls.push(world.simulator.calls(TOKEN).await? - before);
    }
    let mut findings = Findings::default();
    findings.count("storms", storms);
    findings.count("token calls", calls.iter().sum::<u64>());
    findings.zero(
        "storms with another number of token calls than 1",
        calls.iter().filter(|calls| **calls != 1).count() as u64,
    );
    reconcile::deliveries(&world, &["queued"], &mut findings).await?;
    findings.detail(format!("token calls of each storm: {calls:?}"));
    Ok(findings)
}
