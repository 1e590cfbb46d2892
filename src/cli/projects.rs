//! `queqiao projects`: a project is one unionid scope, the accounts under one Open Platform account.

use anyhow::Result;
use clap::Subcommand;

use super::context;
use crate::cli::terminal::say;
use crate::config::Config;
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
            let project = bridge.add_project(name).await?;
            say!("project '{}' added", project.name);
        }
        Command::List => {
            let projects = bridge.db.read(project::list).await?;
            if projects.is_empty() {
                context::note_empty(&bridge, "projects");
            }
            for project in projects {
                say!("{}", project.name);
            }
        }
    }
    Ok(())
}
