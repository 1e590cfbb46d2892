//! `queqiao accounts`: WeChat apps, official accounts and mini-programs.

mod migrate;
mod moved;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use super::{context, secrets};
use crate::bridge::Bridge;
use crate::bridge::accounts::register::Draft;
use crate::bridge::accounts::unseal;
use crate::bridge::people::moved::warnings;
use crate::cli::terminal::say;
use crate::config::Config;
use crate::db::QueryResult;
use crate::models::account::pause::Resumed;
use crate::models::account::pause::{self, ALL_CALLS};
use crate::models::account::{self, AccountKind, TokenSource};
use crate::wechat::callback::Mode;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an account.
    Add(Settings),
    /// Change an account: what is not given stays as it is.
    Set(Settings),
    /// Lift the pauses of an account: what waits for them is sent at once.
    Resume {
        /// AppID: wx and 16 hex digits.
        app_id: String,
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
    /// After an account moved to another Open Platform account: list the staff who are bound by a
    /// unionid that WeChat has replaced.
    Moved {
        /// AppID: wx and 16 hex digits.
        app_id: String,
        /// Bind them by the new unionid, where it is certain.
        #[arg(long)]
        rebind: bool,
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
    /// After an official account was migrated to another one: have WeChat translate its openids, and
    /// move bindings and follow history to the new ones. Interrupted, it goes on where it was.
    Migrate {
        /// AppID of the old account.
        #[arg(long, value_name = "APP_ID")]
        from: String,
        /// AppID of the account that took its followers over.
        #[arg(long, value_name = "APP_ID")]
        to: String,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
    /// List the accounts, with what WeChat complained of last and why they do not send.
    List {
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
}

/// Secrets are given as a value, as @FILE, or as - for standard input.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// AppID: wx and 16 hex digits.
    app_id: String,
    /// The project; not needed while there is one.
    #[arg(long)]
    project: Option<String>,
    /// official_account or mini_program.
    #[arg(long)]
    kind: Option<AccountKind>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// Encryption mode in WeChat's console: plain, compatible or secure. [default: secure]
    #[arg(long)]
    mode: Option<Mode>,
    /// Token in WeChat's console; left out when adding, one is made.
    #[arg(long)]
    token: Option<String>,
    /// EncodingAESKey in WeChat's console; left out when adding, one is made, but for plain mode, which needs none
    /// (a test account, 接口测试号, has none).
    #[arg(long)]
    aes_key: Option<String>,
    /// AppSecret: needed for everything but receiving callbacks.
    #[arg(long)]
    secret: Option<String>,
    /// stable_token or token. [default: stable_token]
    #[arg(long)]
    token_source: Option<TokenSource>,
    /// What a new follower is answered; an empty text for nothing.
    #[arg(long)]
    welcome: Option<String>,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Add(settings) => add(&bridge, settings).await,
        Command::Set(settings) => set(&bridge, settings).await,
        Command::Resume { app_id, project } => resume(&bridge, &app_id, project.as_deref()).await,
        Command::Moved {
            app_id,
            rebind,
            project,
        } => moved::run(&bridge, &app_id, rebind, project.as_deref()).await,
        Command::Migrate {
            from,
            to,
            json,
            project,
        } => migrate::run(&bridge, (&from, &to), json, project.as_deref()).await,
        Command::List { project } => list(&bridge, project.as_deref()).await,
    }
}

async fn add(bridge: &Bridge, settings: Settings) -> Result<()> {
    let project = context::find_project(bridge, settings.project.as_deref()).await?;
    let kind = settings
        .kind
        .context("--kind is needed: official_account or mini_program")?;
    let callback_token = match &settings.token {
        Some(token) => secrets::read(token)?,
        None => secrets::random_text(32).into(),
    };
    let aes_key: Option<SecretString> = match &settings.aes_key {
        Some(key) => Some(secrets::read(key)?),
        None if settings.mode == Some(Mode::Plain) => None,
        None => Some(secrets::random_text(43).into()),
    };
    let draft = Draft {
        project_id: project.id,
        name: settings.name.unwrap_or_else(|| settings.app_id.clone()),
        app_id: settings.app_id,
        kind,
        mode: settings.mode.unwrap_or(Mode::Secure),
        callback_token: callback_token.clone(),
        aes_key: aes_key.clone(),
        secret: settings.secret.as_deref().map(secrets::read).transpose()?,
        token_source: settings.token_source.unwrap_or(TokenSource::StableToken),
        welcome_text: settings.welcome.filter(|text| !text.is_empty()),
    };
    let mode = draft.mode;
    let added = bridge.add_account(draft).await?;
    say!("account {} added. In WeChat's console, set:", added.app_id);
    say!(
        "  URL             https://YOUR-HOST/callback/{}",
        added.app_id
    );
    say!("  Token           {}", callback_token.expose_secret());
    match &aes_key {
        Some(key) => say!("  EncodingAESKey  {}", key.expose_secret()),
        None => {
            say!("  EncodingAESKey  (none: plain mode needs none, and a test account has none)");
        }
    }
    say!("  mode            {}", mode.as_str());
    if added.sealed_secret.is_none() {
        say!("There is no AppSecret yet: profiles and sending need it (accounts set --secret).");
    }
    Ok(())
}

async fn set(bridge: &Bridge, settings: Settings) -> Result<()> {
    let project = context::find_project(bridge, settings.project.as_deref()).await?;
    let app_id = settings.app_id.clone();
    let stored = bridge
        .db
        .read(move |conn| account::by_app_id(conn, &app_id))
        .await?
        .filter(|stored| stored.project_id == project.id);
    let Some(stored) = stored else {
        bail!(
            "{} is not an account of this project; see: queqiao accounts list",
            settings.app_id
        );
    };
    // What is given again need not open: so a lost master key can be replaced.
    let kept_or = |given: &Option<String>, field, sealed: Option<&Vec<u8>>| match (given, sealed) {
        (Some(given), _) => secrets::read(given).map(Some),
        (None, Some(sealed)) => Ok(Some(unseal(
            &bridge.vault,
            &settings.app_id,
            field,
            sealed,
        )?)),
        (None, None) => Ok(None),
    };
    let callback_token = kept_or(
        &settings.token,
        "callback_token",
        Some(&stored.sealed_callback_token),
    )?;
    let draft = Draft {
        callback_token: callback_token.unwrap_or_default(),
        aes_key: kept_or(&settings.aes_key, "aes_key", stored.sealed_aes_key.as_ref())?,
        secret: kept_or(&settings.secret, "secret", stored.sealed_secret.as_ref())?,
        project_id: project.id,
        app_id: settings.app_id,
        kind: settings.kind.unwrap_or(stored.kind),
        name: settings.name.unwrap_or(stored.name),
        mode: match settings.mode {
            Some(mode) => mode,
            None => stored.mode.parse()?,
        },
        token_source: settings.token_source.unwrap_or(stored.token_source),
        welcome_text: match settings.welcome {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => stored.welcome_text,
        },
    };
    let (changed, resumed) = bridge.change_account(draft).await?;
    say!("account {} changed", changed.app_id);
    if resumed != Resumed::default() {
        say!(
            "{} pauses lifted, {} deliveries due at once",
            resumed.lifted,
            resumed.hastened
        );
    }
    Ok(())
}

async fn resume(bridge: &Bridge, app_id: &str, project: Option<&str>) -> Result<()> {
    let project = context::find_project(bridge, project).await?;
    let Some(resumed) = bridge.resume_account(project.id, app_id).await? else {
        bail!("{app_id} is not an account of this project; see: queqiao accounts list");
    };
    say!(
        "account {app_id} resumed: {} pauses lifted, {} deliveries due at once",
        resumed.lifted,
        resumed.hastened
    );
    Ok(())
}

async fn list(bridge: &Bridge, project: Option<&str>) -> Result<()> {
    let project = context::find_project(bridge, project).await?;
    let now = bridge.clock.now();
    let found = bridge.db.snapshot(move |conn| -> QueryResult<_> {
        let accounts = account::list(conn, project.id)?;
        let moved = warnings(conn, project.id, now)?;
        Ok((accounts, pause::all(conn)?, moved))
    });
    let (accounts, pauses, moved) = found.await?;
    if accounts.is_empty() {
        context::note_empty(bridge, "accounts of this project");
    }
    for account in accounts {
        say!(
            "{}  {:16}  {:10}  {}",
            account.app_id,
            account.kind,
            account.mode,
            account.name
        );
        if account.mode != Mode::Secure.as_str() {
            say!(
                "    not in secure mode: whoever sees one of its requests can forge others for some minutes; \
                 choose 安全模式 in WeChat's console, then: queqiao accounts set {} --mode secure",
                account.app_id
            );
        }
        if let (Some(text), Some(at)) = (account.problem_text, account.problem_at) {
            say!("    problem since {at} UTC: {text}");
        }
        if let Some(warning) = moved.get(&account.id) {
            let (known, staff) = (&warning.known, warning.staff);
            say!(
                "    moved since {} UTC, {} unionids changed, {staff} staff bound by an old one: {}",
                known.since,
                known.changed,
                warning.detail
            );
        }
        let pauses = pauses.iter().filter(|pause| pause.account_id == account.id);
        for pause in pauses.filter(|pause| !pause.is_over(now)) {
            let what = match pause.call.as_str() {
                ALL_CALLS => "sending",
                call => call,
            };
            say!(
                "    {what} {} since {} UTC, until {} UTC ({}): {}",
                pause.kind,
                pause.since,
                pause.until,
                pause.reason,
                pause.detail
            );
        }
    }
    Ok(())
}
