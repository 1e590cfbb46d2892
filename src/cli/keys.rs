//! `queqiao keys`: API keys of business apps.

use anyhow::{Result, bail};
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::context;
use crate::bridge::accounts::keys::Scope;
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::db::QueryResult;
use crate::ids::{ApiKeyId, UserId};
use crate::models::actor::Actor;
use crate::models::api_key::{self, ApiKey};
use crate::models::user;

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
            let (key, _) = bridge
                .keys
                .create(project.id, &name, &scopes, &Actor::CommandLine)
                .await?;
            say!("{}", key.expose_secret());
            note!("Keep it: it is stored only as a hash and cannot be shown again.");
        }
        Command::List { project } => {
            let project = context::find_project(&bridge, project.as_deref()).await?;
            let read = bridge.db.snapshot(move |conn| -> QueryResult<_> {
                let keys = api_key::list(conn, project.id)?;
                let makers = keys.iter().filter_map(|key| key.made_by_user_id);
                let makers: Vec<UserId> = makers.collect();
                Ok((keys, user::are_there(conn, &makers)?))
            });
            let (keys, makers) = read.await?;
            if keys.is_empty() {
                context::note_empty(&bridge, "keys of this project");
            }
            for key in keys {
                let state = match key.revoked_at {
                    Some(at) => format!("revoked {at} UTC"),
                    None => "active".to_owned(),
                };
                say!(
                    "{:>4}  {}…  {:20}  {:24}  {state}{}",
                    key.id.0,
                    key.prefix,
                    key.scopes,
                    key.name,
                    made_by(&key, &makers)
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

/// Who made a key, if it was a user, and what became of them: the key is valid still.
fn made_by(key: &ApiKey, makers: &[(UserId, bool)]) -> String {
    let Some((id, name)) = key.made_by_user_id.zip(key.made_by.as_deref()) else {
        return String::new();
    };
    match makers.iter().find(|(maker, _)| *maker == id) {
        Some((_, false)) => format!("  made by {name}"),
        Some((_, true)) => format!("  made by {name}, who is disabled"),
        None => format!("  made by {name}, who is deleted"),
    }
}
