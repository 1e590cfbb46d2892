//! The filters that events and deliveries have in common.

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use clap::Args;

use super::context;
use crate::bridge::Bridge;
use crate::ids::{AccountId, ProjectId};
use crate::models::account;
use crate::models::project::Project;

#[derive(Debug, Args)]
pub(super) struct CommonFilters {
    /// Of the account with this AppID.
    #[arg(long, value_name = "APP_ID")]
    pub(super) account: Option<String>,
    /// At or after this time, for example 2026-01-01T00:00:00Z: when a message was accepted, or by WeChat's date
    /// of an event.
    #[arg(long)]
    pub(super) since: Option<DateTime<Utc>>,
    /// Before this time.
    #[arg(long)]
    pub(super) until: Option<DateTime<Utc>>,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

impl CommonFilters {
    pub(super) async fn project(&self, bridge: &Bridge) -> Result<Project> {
        context::find_project(bridge, self.project.as_deref()).await
    }

    /// The account that is named, which must be one of the project.
    pub(super) async fn account(
        &self,
        bridge: &Bridge,
        project: ProjectId,
    ) -> Result<Option<AccountId>> {
        let Some(app_id) = &self.account else {
            return Ok(None);
        };
        let accounts = bridge.db.read(move |conn| account::list(conn, project));
        let accounts = accounts.await?;
        let account = accounts.iter().find(|account| account.app_id == *app_id);
        let account = account.with_context(|| {
            format!("the project has no account {app_id}; see: queqiao accounts list")
        })?;
        Ok(Some(account.id))
    }
}
