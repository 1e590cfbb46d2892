//! `queqiao followers import`: walks an account's follower list, with a progress bar. Interrupted,
//! it goes on where it was when started again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::context;
use crate::bridge::people::import::FollowerImporter;
use crate::bridge::{Bridge, Step};
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::ids::ImportId;
use crate::models::import::{self, Import, ImportState};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store the followers of an official account that Queqiao does not know yet.
    Import {
        /// The official account's AppID.
        #[arg(long, value_name = "APP_ID")]
        account: String,
        /// At the end, ask WeChat about those who are not on the list, and mark who no longer follows.
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
            "the import stopped after {} followers: {}. Start it again once that is fixed; those are kept",
            import.collected,
            import.problem.unwrap_or_default()
        );
    }
    say!(
        "{} followers seen, {} of them new; {} marked as gone",
        import.collected,
        import.created,
        import.gone
    );
    if import.unsettled > 0 {
        say!(
            "{} are not on the list, and WeChat did not say whether they follow; they are asked about again",
            import.unsettled
        );
    }
    match refresh {
        true => say!(
            "All their profiles are fetched again by `queqiao serve`, {} a second.",
            bridge.config.profile.refresh_per_second
        ),
        false => say!("Their profiles are fetched by `queqiao serve`."),
    }
    Ok(())
}

/// Drives the import, or watches another process drive it.
async fn walk(bridge: &Bridge, id: ImportId, bar: &ProgressBar) -> Result<Import> {
    let (importer, mut shown) = (FollowerImporter::of(bridge), None);
    loop {
        let step = importer.step(Some(id)).await?;
        let import = bridge
            .db
            .read(move |conn| import::by_id(conn, id))
            .await?
            .context("the import has been removed")?;
        // WeChat's count may be behind the list.
        let total = import.total.unwrap_or_default().max(import.collected);
        bar.set_length(total.unsigned_abs());
        bar.set_position(import.collected.unsigned_abs());
        bar.set_message(message(&import));
        if import.state != ImportState::Running {
            return Ok(import);
        }
        if import.problem.is_some() && import.problem != shown {
            shown.clone_from(&import.problem);
            let problem = shown.as_deref().unwrap_or_default();
            bar.suspend(|| {
                note!(
                    "{problem}. This can be left with Ctrl-C: `queqiao serve` goes on with it, and so does \
                     the same command."
                );
            });
        }
        if step == Step::Idle {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = tokio::signal::ctrl_c() => bail!("interrupted; the same command goes on from here"),
            }
        }
    }
}

/// What it is doing or waiting for.
fn message(import: &Import) -> String {
    match (&import.problem, import.checked_to) {
        (Some(problem), _) => problem.clone(),
        (None, Some(_)) => format!("{} gone of those not on the list", import.gone),
        (None, None) => String::new(),
    }
}
