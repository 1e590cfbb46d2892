//! `queqiao spool`: callbacks that were kept on a machine's disk while the database took none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;

use super::context;
use crate::bridge::intake::spool::Spool;
use crate::cli::terminal::say;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say how much a spool holds.
    Show {
        /// The data directory it is in, by default this one's own.
        directory: Option<PathBuf>,
    },
    /// Move everything in a spool into the database, also what the database refused before. For the
    /// spool of a replica that does not come back; `serve` empties its own.
    Drain {
        /// The data directory it is in, by default this one's own.
        directory: Option<PathBuf>,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let own = config.data_dir.clone();
    match command {
        Command::Show { directory } => show(&directory.unwrap_or(own)).await,
        Command::Drain { directory } => drain(config, &directory.unwrap_or(own)).await,
    }
}

async fn open(directory: &Path) -> Result<Spool> {
    let path = Spool::path(directory);
    // Or it would be made, and found to be empty.
    ensure!(path.is_file(), "there is no spool at {}", path.display());
    let opened = Spool::open(directory, 0).await;
    opened.with_context(|| format!("opening {}", path.display()))
}

async fn show(directory: &Path) -> Result<()> {
    let fill = open(directory).await?.fill().await?;
    say!("waiting  {}", fill.waiting);
    say!("refused  {}", fill.refused);
    say!("bytes    {}", fill.bytes);
    if let Some(oldest) = fill.oldest {
        say!("oldest   {}Z", oldest.format("%Y-%m-%dT%H:%M:%S"));
    }
    Ok(())
}

async fn drain(config: Config, directory: &Path) -> Result<()> {
    let spool = open(directory).await?;
    let bridge = context::open(config)?;
    let drained = spool.drain_all(&bridge.db).await?;
    say!("{} events are in {}", drained.stored, bridge.db.describe());
    if drained.refused > 0 {
        bail!(
            "{} events are refused and stay in the spool; the log says why",
            drained.refused
        );
    }
    Ok(())
}
