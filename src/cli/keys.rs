//! `queqiao keys`: API keys of business apps.

use anyhow::{Result, bail};
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::context;
use crate::bridge::accounts::keys::Scope;
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::ids::ApiKeyId;
use crate::models::api_key;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and show it, once.
    Add {
        /// A name, for example of the app that gets it.
        name: String,
        /// What it may do: notify, read, token, webhooks, admin; several with commas.
        #[arg(long, value_delimiter = ',', default_value = "notify,read")]
        scopes: Vec<Scope>,
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
    /// List the keys.
    List {
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
    /// Refuse a key from now on.
    Revoke {
        /// Its number in the list.
        id: ApiKeyId,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Add {
            name,
            scopes,
            project,
        } => {
            let project = context::find_project(&bridge, project.as_deref()).await?;
            let (key, _) = bridge.keys.create(project.id, &name, &scopes).await?;
            say!("{}", key.expose_secret());
            note!("Keep it: it is stored only as a hash and cannot be shown again.");
        }
        Command::List { project } => {
            let project = context::find_project(&bridge, project.as_deref()).await?;
            let keys = bridge
                .db
                .read(move |conn| api_key::list(conn, project.id))
                .await?;
            if keys.is_empty() {
                context::note_empty(&bridge, "keys of this project");
            }
            for key in keys {
                let state = match key.revoked_at {
                    Some(at) => format!("revoked {at} UTC"),
                    None => "active".to_owned(),
                };
                say!(
                    "{:>4}  {}…  {:20}  {:24}  {state}",
                    key.id.0,
                    key.prefix,
                    key.scopes,
                    key.name
                );
            }
        }
        Command::Revoke { id } => {
            let revoked = bridge.keys.revoke(id).await?;
            if !revoked {
                let database = bridge.db.describe();
                bail!("there is no active key {id} in {database}; see: queqiao keys list");
            }
            say!("key {id} is refused from now on");
        }
    }
    Ok(())
}
