//! The command line, one file per subcommand.

mod accounts;
mod context;
mod deliveries;
mod demo;
mod events;
mod explain;
mod filter;
mod followers;
mod keys;
mod listeners;
mod load;
mod migrate;
mod people;
mod projects;
mod role;
mod secrets;
mod serve;
mod simulate;
mod spool;
mod staff;
mod stats;
mod table;
mod templates;
mod terminal;
mod trigger;
mod users;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::config::{self, Config};
use crate::logging;

/// Queqiao 鹊桥: a self-hosted event bridge for WeChat official accounts.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Settings in TOML; see src/config/defaults.toml for all of them.
    #[arg(long, global = true, env = "QUEQIAO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "QUEQIAO_LOG_FORMAT"
    )]
    log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve callbacks and the API, and do the work.
    Serve(serve::Args),
    /// Show the whole bridge at work, with a simulated WeChat.
    Demo(demo::Args),
    /// Run a simulated WeChat.
    Simulate(simulate::Args),
    /// Bring the database up to date.
    Migrate,
    /// Add and list projects.
    #[command(subcommand)]
    Projects(projects::Command),
    /// Add, change and list WeChat accounts.
    #[command(subcommand)]
    Accounts(Box<accounts::Command>),
    /// Add, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Add, change, list and delete people who sign in.
    #[command(subcommand)]
    Users(users::Command),
    /// Followers that were there before Queqiao.
    #[command(subcommand)]
    Followers(followers::Command),
    /// People: those who were there before Queqiao, and those to be erased.
    #[command(subcommand)]
    People(people::Command),
    /// Staff: list, bind and invite them, and take them in or give them out as a table.
    #[command(subcommand)]
    Staff(staff::Command),
    /// The templates that accounts have at WeChat.
    #[command(subcommand)]
    Templates(templates::Command),
    /// List deliveries, and retry those that did not arrive.
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// Process once more events that were put aside.
    #[command(subcommand)]
    Events(events::Command),
    /// Say why a staff member is reached or not, and what to do next.
    Explain(explain::Args),
    /// Numbers by day: follows, logins, deliveries.
    Stats(stats::Args),
    /// Callbacks that were kept on a machine's disk while the database took none.
    #[command(subcommand)]
    Spool(spool::Command),
    /// Send a signed test event to any callback URL.
    Trigger(trigger::Args),
    /// Put a callback URL under load with distinct signed events.
    Load(load::Args),
}

/// Runs the command line of this process.
///
/// # Errors
/// Whatever the command could not do, for a person to read.
pub async fn run(cli: Cli) -> Result<()> {
    let quiet = matches!(cli.command, Command::Demo(_)).then(|| "warn".to_owned());
    // Compose files make empty ones of what they do not know.
    let given = std::env::var("RUST_LOG").ok();
    let filter = given.filter(|filter| !filter.trim().is_empty()).or(quiet);
    logging::start(cli.log_format, filter.as_deref());
    config::check_variables()?;
    match cli.command {
        Command::Simulate(args) => return simulate::run(args).await,
        Command::Trigger(args) => return trigger::run(args).await,
        Command::Load(args) => return load::run(args).await,
        Command::Demo(args) => return demo::run(args).await,
        _ => {}
    }
    let config = Config::load(cli.config.as_deref())?;
    match cli.command {
        Command::Serve(args) => serve::run(config, args).await,
        Command::Migrate => migrate::run(&config),
        Command::Projects(command) => projects::run(config, command).await,
        Command::Accounts(command) => accounts::run(config, *command).await,
        Command::Keys(command) => keys::run(config, command).await,
        Command::Users(command) => users::run(config, command).await,
        Command::Followers(command) => followers::run(config, command).await,
        Command::People(command) => people::run(config, command).await,
        Command::Staff(command) => staff::run(config, command).await,
        Command::Templates(command) => templates::run(config, command).await,
        Command::Deliveries(command) => deliveries::run(config, command).await,
        Command::Events(command) => events::run(config, command).await,
        Command::Explain(args) => explain::run(config, args).await,
        Command::Stats(args) => stats::run(config, args).await,
        Command::Spool(command) => spool::run(config, command).await,
        Command::Simulate(_) | Command::Trigger(_) | Command::Load(_) | Command::Demo(_) => Ok(()),
    }
}

/// Says on standard error why a command failed.
pub fn note_error(error: &anyhow::Error) {
    terminal::note!("queqiao: {error:#}");
}
