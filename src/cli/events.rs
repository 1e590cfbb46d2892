//! `queqiao events`: processing once more what was put aside.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::context;
use super::terminal::say;
use crate::bridge::Bridge;
use crate::bridge::process::MAX_REPLAYED;
use crate::config::Config;
use crate::db::DbError;
use crate::ids::{AccountId, EventId};
use crate::models::account;
use crate::models::event::{self, Filter};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Process once more the events whose effects could not be applied; `queqiao serve` does it.
    Replay {
        /// These events, whatever their state; or give filters.
        ids: Vec<EventId>,
        #[command(flatten)]
        wanted: Wanted,
        /// All failed events of the project.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Of the account with this AppID.
    #[arg(long, value_name = "APP_ID")]
    account: Option<String>,
    /// Of this kind, for example `event.subscribe`.
    #[arg(long)]
    kind: Option<String>,
    /// That WeChat dates at or after this time, for example 2026-01-01T00:00:00Z.
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// That WeChat dates before this time.
    #[arg(long)]
    until: Option<DateTime<Utc>>,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Replay { ids, wanted, all } => replay(&bridge, ids, wanted, all).await,
    }
}

async fn replay(bridge: &Bridge, ids: Vec<EventId>, wanted: Wanted, all: bool) -> Result<()> {
    let filter = Filter {
        kind: wanted.kind,
        since: wanted.since.map(|time| time.timestamp()),
        until: wanted.until.map(|time| time.timestamp()),
        failed: true,
        ..Filter::default()
    };
    let is_filtered = filter.kind.is_some()
        || filter.since.is_some()
        || filter.until.is_some()
        || wanted.account.is_some();
    if ids.is_empty() && !is_filtered && !all {
        bail!("say which events: their numbers, a filter such as --since, or --all");
    }
    if !ids.is_empty() && (is_filtered || all) {
        bail!("give either the events' numbers or filters, not both");
    }
    let project = context::find_project(bridge, wanted.project.as_deref()).await?;
    let accounts = accounts(bridge, project.id, wanted.account.as_deref()).await?;
    let taken = match ids.is_empty() {
        true => replay_all(bridge, &accounts, filter).await?,
        false => replay_these(bridge, accounts, ids).await?,
    };
    say!("{taken} are processed once more by `queqiao serve`");
    Ok(())
}

async fn accounts(
    bridge: &Bridge,
    project: crate::ids::ProjectId,
    app_id: Option<&str>,
) -> Result<Vec<AccountId>> {
    let accounts = bridge
        .db
        .read(move |conn| Ok::<_, DbError>(account::list(conn, project)?))
        .await?;
    let Some(app_id) = app_id else {
        return Ok(accounts.iter().map(|account| account.id).collect());
    };
    let account = accounts.iter().find(|account| account.app_id == app_id);
    let account = account.with_context(|| {
        format!("the project has no account {app_id}; see: queqiao accounts list")
    })?;
    Ok(vec![account.id])
}

async fn replay_all(bridge: &Bridge, accounts: &[AccountId], mut filter: Filter) -> Result<usize> {
    let mut taken = 0;
    loop {
        let replay = bridge.replay_events(accounts.to_vec(), filter.clone(), MAX_REPLAYED);
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
        let of = accounts.clone();
        let requeue = bridge.db.write(move |conn| {
            let Some(event) = event::by_id(conn, &of, id)? else {
                return Ok(false);
            };
            Ok::<_, DbError>(event::requeue(conn, event.account_id, id)?)
        });
        if !requeue.await? {
            bail!("the project has no event {id}");
        }
    }
    Ok(taken)
}
