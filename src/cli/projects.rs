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
        /// Where its days begin, by the IANA name; Asia/Shanghai without it.
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
    },
    /// Change a project.
    Set {
        /// Its name.
        name: String,
        /// Where its days begin from now on, by the IANA name, such as Asia/Shanghai.
        #[arg(long, value_name = "ZONE")]
        time_zone: String,
    },
    /// List the projects.
    List,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Add { name, time_zone } => {
            let project = bridge.add_project(name, time_zone.as_deref()).await?;
            say!("project '{}' added", project.name);
        }
        Command::Set { name, time_zone } => {
            let zone = bridge.set_time_zone(name.clone(), &time_zone).await?;
            say!(
                "the days of project '{name}' begin in {} from now on",
                zone.name()
            );
        }
        Command::List => {
            let projects = bridge.db.read(project::list).await?;
            if projects.is_empty() {
                context::note_empty(&bridge, "projects");
            }
            for project in projects {
                say!("{:32}  {}", project.name, project.time_zone);
            }
        }
    }
    Ok(())
}
