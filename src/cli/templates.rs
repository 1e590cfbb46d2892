//! `queqiao templates`: what the accounts have at WeChat, and what has become of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use super::context;
use crate::bridge::Bridge;
use crate::bridge::accounts::OpenAccount;
use crate::bridge::templates::{Library, Naming, Synced};
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::db::QueryResult;
use crate::ids::ProjectId;
use crate::models::account::template::{self, Template};
use crate::models::account::template_sync;
use crate::models::notification::message_type;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List templates at WeChat now, and say what changed.
    Sync {
        /// An account's AppID; every account that has an AppSecret without it.
        #[arg(long, value_name = "APP_ID")]
        account: Option<String>,
    },
    /// Show the templates as they were last listed, and what they break.
    List {
        /// An account's AppID; every account without it.
        #[arg(long, value_name = "APP_ID")]
        account: Option<String>,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Sync { account } => sync(&bridge, account.as_deref()).await,
        Command::List { account } => list(&bridge, account.as_deref()).await,
    }
}

async fn sync(bridge: &Bridge, app_id: Option<&str>) -> Result<()> {
    let mut failed = 0;
    for account in accounts(bridge, app_id).await? {
        if app_id.is_none() && account.secret.is_none() {
            continue;
        }
        match bridge.sync_templates(&account.app_id).await {
            Ok(synced) => print_synced(&account.app_id, &synced),
            Err(error) => {
                failed += 1;
                note!("{}: {error}", account.app_id);
            }
        }
    }
    match failed {
        0 => Ok(()),
        count => bail!("the templates of {count} account(s) could not be listed"),
    }
}

fn print_synced(app_id: &str, synced: &Synced) {
    say!(
        "{app_id}: {} templates, {} new, {} changed, {} gone, {} back",
        synced.total,
        synced.added.len(),
        synced.changed.len(),
        synced.gone.len(),
        synced.returned.len()
    );
    for (what, ids) in [("changed", &synced.changed), ("gone", &synced.gone)] {
        for id in ids {
            say!("  {what}: {id}");
        }
    }
}

async fn list(bridge: &Bridge, app_id: Option<&str>) -> Result<()> {
    let mut projects: BTreeMap<ProjectId, Vec<Arc<OpenAccount>>> = BTreeMap::new();
    for account in accounts(bridge, app_id).await? {
        projects
            .entry(account.project_id)
            .or_default()
            .push(account);
    }
    if projects.is_empty() {
        context::note_empty(bridge, "accounts");
    }
    for (project, accounts) in projects {
        let lines = bridge.db.snapshot(move |conn| -> QueryResult<_> {
            let naming = Naming::of(conn, project)?;
            let mut lines = Vec::new();
            for account in &accounts {
                let sync = template_sync::find(conn, account.id)?;
                lines.push(heading(&account.app_id, sync.as_ref()));
                for template in template::of_accounts(conn, &[account.id])? {
                    let names = naming.message_types(&account.app_id, &template.template_id);
                    lines.push(row(&template, &names));
                }
            }
            let library = Library::of(conn, project)?;
            for (name, routes) in message_type::routes(conn, project)? {
                for problem in library.problems_of_json(&routes) {
                    lines.push(format!("{name}: {}: {}", problem.field, problem.detail));
                }
            }
            Ok(lines)
        });
        for line in lines.await? {
            say!("{line}");
        }
    }
    Ok(())
}

fn heading(app_id: &str, sync: Option<&template_sync::Sync>) -> String {
    let listed = match sync.and_then(|sync| sync.synced_at) {
        Some(at) => format!("listed {at} UTC"),
        None => "never listed".to_owned(),
    };
    match sync.and_then(|sync| sync.problem.as_deref()) {
        Some(problem) => format!("{app_id}  {listed}; {problem}"),
        None => format!("{app_id}  {listed}"),
    }
}

fn row(template: &Template, message_types: &[String]) -> String {
    let drift = template.drift().unwrap_or_default();
    // A name that WeChat gives is shown on one line, whatever it holds.
    let title = template.title.replace(char::is_control, " ");
    format!(
        "  {:43}  {:9}  {drift:7}  {title}  {}",
        template.template_id,
        template.kind,
        message_types.join(" ")
    )
}

/// The account of that AppID, or all of them, in the order of their AppIDs.
async fn accounts(bridge: &Bridge, app_id: Option<&str>) -> Result<Vec<Arc<OpenAccount>>> {
    if let Some(app_id) = app_id {
        let account = bridge.accounts.get(app_id).await?;
        let account = account
            .with_context(|| format!("there is no account {app_id}; see: queqiao accounts list"))?;
        return Ok(vec![account]);
    }
    let mut all: Vec<Arc<OpenAccount>> = bridge.accounts.all().await?.values().cloned().collect();
    all.sort_by(|a, b| a.app_id.cmp(&b.app_id));
    Ok(all)
}
