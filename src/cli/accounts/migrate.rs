//! `queqiao accounts migrate`: the openids of a migrated account, with a progress bar. Interrupted,
//! it goes on where it was when started again.

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::bridge::Bridge;
use crate::bridge::people::migrate::{MigrateStep, Walk};
use crate::cli::context;
use crate::cli::terminal::{self, say};
use crate::models::identity::migration::{self, Migration, MigrationState};
use crate::models::identity::openid_move;

pub(super) async fn run(
    bridge: &Bridge,
    (from, to): (&str, &str),
    as_json: bool,
    project: Option<&str>,
) -> Result<()> {
    let project = context::find_project(bridge, project).await?;
    let mut walk = bridge.start_migration(project.id, from, to).await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} openids, {per_sec}, {eta} left {msg}",
    )?);
    let ended = drive(bridge, &mut walk, &bar).await?;
    bar.finish_and_clear();
    let (old, new) = (walk.from.id, walk.to.id);
    let reasons = bridge
        .db
        .read(move |conn| openid_move::reasons(conn, old, new))
        .await?;
    if as_json {
        let reasons = reasons
            .iter()
            .map(|(reason, count)| json!({"reason": reason, "count": count}));
        let outcome = json!({
            "from": from, "to": to, "state": ended.state.as_str(), "total": ended.total,
            "asked": ended.asked, "moved": ended.moved, "refused": ended.refused,
            "problem": ended.problem, "reasons": reasons.collect::<Vec<_>>(),
        });
        terminal::json(&outcome)?;
    } else {
        say!(
            "{} openids asked for, {} moved to {to}, {} not translated",
            ended.asked,
            ended.moved,
            ended.refused
        );
        for (reason, count) in &reasons {
            let reason = reason.as_deref().unwrap_or_default();
            say!("  {count:>8}  {}", reason);
        }
    }
    if ended.state == MigrationState::Failed {
        bail!(
            "the migration stopped after {} of {} openids: {} What is moved stays so; start it again once that is \
             fixed",
            ended.asked,
            ended.total,
            ended.problem.unwrap_or_default()
        );
    }
    if !as_json {
        say!("Their profiles are fetched by `queqiao serve`.");
    }
    Ok(())
}

async fn drive(bridge: &Bridge, walk: &mut Walk, bar: &ProgressBar) -> Result<Migration> {
    let id = walk.id;
    loop {
        let step = bridge.migrate_step(walk).await?;
        let known = bridge
            .db
            .read(move |conn| migration::by_id(conn, id))
            .await?
            .context("the migration has been removed")?;
        bar.set_length(known.total.unsigned_abs());
        bar.set_position(known.asked.unsigned_abs());
        bar.set_message(known.problem.clone().unwrap_or_default());
        match step {
            MigrateStep::Ended => return Ok(known),
            MigrateStep::Worked => {}
            MigrateStep::Later(pause) => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = tokio::signal::ctrl_c() => bail!("interrupted; the same command goes on from here"),
            },
        }
    }
}
