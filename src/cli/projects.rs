//! `queqiao projects`: a project is one unionid scope, the accounts under one Open Platform account.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::context;
use crate::cli::terminal::say;
use crate::config::Config;
use crate::db::QueryResult;
use crate::models::project;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a project.
    Add {
        /// A name, for example of the business.
        name: String,
    },
    /// List the projects.
    List,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Add { name } => {
            if name.trim().is_empty()
                || name.chars().count() > 64
                || name.contains(char::is_control)
            {
                bail!("NAME must be 1 to 64 printable characters");
            }
            let now = bridge.clock.now();
            let shown = name.clone();
            let added = bridge
                .db
                .write(move |conn| -> QueryResult<_> {
                    if project::by_name(conn, &name)?.is_some() {
                        return Ok(None);
                    }
                    Ok(Some(project::create(conn, &name, now)?))
                })
                .await?;
            match added {
                Some(project) => say!("project '{}' added", project.name),
                None => bail!("there is a project '{shown}' already"),
            }
        }
        Command::List => {
            let projects = bridge.db.read(project::list).await?;
            if projects.is_empty() {
                context::tell_empty(&bridge, "projects");
            }
            for project in projects {
                say!("{}", project.name);
            }
        }
    }
    Ok(())
}
