//! `queqiao events`: processing once more what was put aside.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::context;
use super::filter::CommonFilters;
use super::terminal::say;
use crate::bridge::Bridge;
use crate::bridge::limits::REPLAYED_MAX;
use crate::config::Config;
use crate::ids::{AccountId, EventId, ProjectId};
use crate::models::account;
use crate::models::event::Filter;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Process once more the events whose effects could not be applied; `queqiao serve` does it.
    Replay {
        /// These events, whatever their state; or give filters.
        ids: Vec<EventId>,
        #[command(flatten)]
        filters: Filters,
        /// All failed events of the project.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Of this kind, for example `event.subscribe`.
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    common: CommonFilters,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Replay { ids, filters, all } => replay(&bridge, ids, filters, all).await,
    }
}

async fn replay(bridge: &Bridge, ids: Vec<EventId>, filters: Filters, all: bool) -> Result<()> {
    let filter = Filter {
        kind: filters.kind,
        since: filters.common.since.map(|time| time.timestamp()),
        until: filters.common.until.map(|time| time.timestamp()),
        failed: true,
        ..Filter::default()
    };
    let is_filtered = filter.kind.is_some()
        || filter.since.is_some()
        || filter.until.is_some()
        || filters.common.account.is_some();
    if ids.is_empty() && !is_filtered && !all {
        bail!("say which events: their numbers, a filter such as --since, or --all");
    }
    if !ids.is_empty() && (is_filtered || all) {
        bail!("give either the events' numbers or filters, not both");
    }
    let project = filters.common.project(bridge).await?;
    let accounts = match filters.common.account(bridge, project.id).await? {
        Some(account) => vec![account],
        None => all_accounts(bridge, project.id).await?,
    };
    let taken = match ids.is_empty() {
        true => replay_all(bridge, &accounts, filter).await?,
        false => replay_these(bridge, accounts, ids).await?,
    };
    say!("{taken} are processed once more by `queqiao serve`");
    Ok(())
}

async fn all_accounts(bridge: &Bridge, project: ProjectId) -> Result<Vec<AccountId>> {
    let accounts = bridge.db.read(move |conn| account::list(conn, project));
    let accounts = accounts.await?;
    Ok(accounts.iter().map(|account| account.id).collect())
}

async fn replay_all(bridge: &Bridge, accounts: &[AccountId], mut filter: Filter) -> Result<usize> {
    let mut taken = 0;
    loop {
        let replay = bridge.replay_events(accounts.to_vec(), filter.clone(), REPLAYED_MAX);
        let replayed = replay.await?;
        taken += replayed.taken;
        filter.before = replayed.next.map(EventId);
        if filter.before.is_none() {
            return Ok(taken);
        }
    }
}

async fn replay_these(
    bridge: &Bridge,
    accounts: Vec<AccountId>,
    ids: Vec<EventId>,
) -> Result<usize> {
    let taken = ids.len();
    for id in ids {
        if !bridge.replay_event(accounts.clone(), id).await? {
            bail!("the project has no event {id}");
        }
    }
    Ok(taken)
}
