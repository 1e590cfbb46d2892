//! `queqiao explain`: why a staff member is reached or not, and what to do next.

mod page;

use anyhow::{Result, bail};

use super::context;
use crate::bridge::explain::ExplainError;
use crate::cli::terminal;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The staff member, by the business's own id.
    #[arg(value_name = "STAFF_ID", value_parser = context::staff_id)]
    staff_id: String,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
    /// Judge the routes of this message type as well.
    #[arg(long)]
    message_type: Option<String>,
    /// Print what the API answers, as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, args: Args) -> Result<()> {
    let bridge = context::open(config)?;
    let project = context::find_project(&bridge, args.project.as_deref()).await?;
    let explained = bridge.explain(project.id, args.staff_id.clone(), args.message_type);
    let story = match explained.await {
        Ok(story) => story,
        Err(ExplainError::UnknownStaff) => {
            let (name, staff_id) = (project.name, args.staff_id.escape_debug());
            bail!(
                "project '{name}' has no staff member '{staff_id}'; add it with PUT /api/v1/staff/ID"
            )
        }
        Err(error) => bail!("{error}"),
    };
    match args.json {
        true => terminal::json(&story)?,
        false => terminal::page(&page::text(&story)),
    }
    Ok(())
}
