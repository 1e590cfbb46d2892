//! `queqiao people erase`: deletes what is kept of a person.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bridge::people::erase::Eraser;
use crate::bridge::{Bridge, Step};
use crate::cli::context;
use crate::cli::terminal::say;
use crate::config::Config;
use crate::db::QueryResult;
use crate::ids::{IdentityId, ProjectId};
use crate::models::account;
use crate::models::actor::Actor;
use crate::models::erasure::{self, Erasure, ErasureState};
use crate::models::identity;
use crate::models::people;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The number of one of the person's identities, as `GET /people` shows it; or name the person
    /// with --account and --openid, or with --unionid.
    identity_id: Option<IdentityId>,
    /// The account that the openid belongs to.
    #[arg(
        long,
        value_name = "APP_ID",
        requires = "openid",
        conflicts_with = "identity_id"
    )]
    account: Option<String>,
    /// The person's openid in that account.
    #[arg(long, requires = "account", value_parser = context::openid)]
    openid: Option<String>,
    /// The person's unionid.
    #[arg(long, conflicts_with_all = ["identity_id", "account"])]
    unionid: Option<String>,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

pub(super) async fn run(config: Config, args: Args) -> Result<()> {
    let bridge = context::open(config)?;
    let project = context::find_project(&bridge, args.project.as_deref()).await?;
    let identity = args.identity(&bridge, project.id).await?;
    let asked = bridge
        .erase(project.id, identity, Actor::CommandLine)
        .await?;
    let done = finish(&bridge, project.id, asked).await?;
    say!(
        "Erased: {} identities, {} bindings, {} permissions, {} events, {} deliveries, \
         {} notifications, {} events for endpoints.",
        done.identities,
        done.bindings,
        done.permissions,
        done.events,
        done.deliveries,
        done.notifications,
        done.webhook_messages
    );
    say!("Backups still have them: see docs/operations.md.");
    Ok(())
}

impl Args {
    async fn identity(self, bridge: &Bridge, project: ProjectId) -> Result<IdentityId> {
        if let Some(id) = self.identity_id {
            return Ok(id);
        }
        let Self {
            account,
            openid,
            unionid,
            ..
        } = self;
        if account.is_none() && unionid.is_none() {
            bail!(
                "say whom: IDENTITY_ID, or --account APP_ID --openid OPENID, or --unionid UNIONID"
            );
        }
        let found = bridge.db.read(move |conn| -> QueryResult<_> {
            let unionids: Vec<String> = unionid.into_iter().collect();
            let mut found = people::with_unionids(conn, project, &unionids)?;
            if let (Some(app_id), Some(openid)) = (account, openid) {
                let accounts = account::list(conn, project)?;
                let account = accounts.iter().find(|account| account.app_id == app_id);
                if let Some(account) = account {
                    found.extend(identity::by_openid(conn, account.id, &openid)?);
                }
            }
            Ok(found.into_iter().next())
        });
        let found = found.await?;
        Ok(found
            .context("nobody in this project has that id; somebody erased is found by number only")?
            .id)
    }
}

/// Drives the erasure to its end, or watches another process drive it.
async fn finish(bridge: &Bridge, project: ProjectId, mut erasure: Erasure) -> Result<Erasure> {
    let eraser = Eraser::of(bridge);
    while erasure.state == ErasureState::Running {
        let id = erasure.id;
        if eraser.step(Some(id)).await? == Step::Idle {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = tokio::signal::ctrl_c() => bail!("interrupted; `queqiao serve` goes on with it"),
            }
        }
        erasure = bridge
            .db
            .read(move |conn| erasure::by_id(conn, project, id))
            .await?
            .context("the erasure has been removed")?;
    }
    Ok(erasure)
}
