//! `queqiao followers import`: walks an account's follower list, with a progress bar. Interrupted,
//! it goes on where it was when started again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::context;
use crate::bridge::{Bridge, Step};
use crate::config::Config;
use crate::db::DbError;
use crate::ids::ImportId;
use crate::models::import::{self, Import, ImportState};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store the followers of an official account that Queqiao does not know yet.
    Import {
        /// The official account's AppID.
        #[arg(long, value_name = "APP_ID")]
        account: String,
        /// At the end, mark those who no longer follow.
        #[arg(long)]
        reconcile: bool,
        /// Ask for all profiles again, as when the account has moved to another Open Platform account.
        #[arg(long)]
        refresh: bool,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let Command::Import {
        account,
        reconcile,
        refresh,
    } = command;
    let bridge = context::open(config)?;
    let import = bridge.start_import(&account, reconcile, refresh).await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} followers, {per_sec}, {eta} left {msg}",
    )?);
    let import = walk(&bridge, import.id, &bar).await?;
    bar.finish_and_clear();
    if import.state == ImportState::Failed {
        bail!(
            "the import stopped after {} followers: {}. Start it again once that is mended; those are kept",
            import.collected,
            import.problem.unwrap_or_default()
        );
    }
    println!(
        "{} followers seen, {} of them new; {} marked as gone",
        import.collected, import.created, import.gone
    );
    match refresh {
        true => println!(
            "All their profiles are fetched again by `queqiao serve`, {} a second.",
            bridge.config.profile.refresh_per_second
        ),
        false => println!("Their profiles are fetched by `queqiao serve`."),
    }
    Ok(())
}

/// Drives the import, or watches another process drive it.
async fn walk(bridge: &Bridge, id: ImportId, bar: &ProgressBar) -> Result<Import> {
    loop {
        let step = bridge.import_step(Some(id)).await?;
        let import = bridge
            .db
            .read(move |conn| Ok::<_, DbError>(import::by_id(conn, id)?))
            .await?
            .context("the import has been removed")?;
        bar.set_length(import.total.unwrap_or_default().unsigned_abs());
        bar.set_position(import.collected.unsigned_abs());
        bar.set_message(import.problem.clone().unwrap_or_default());
        if import.state != ImportState::Running {
            return Ok(import);
        }
        if step == Step::Idle {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = tokio::signal::ctrl_c() => bail!("interrupted; the same command goes on from here"),
            }
        }
    }
}
