//! `queqiao load`: distinct signed events on a callback URL, and what came of them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use super::secrets;
use crate::cli::terminal::{self, say};
use crate::load::{self, Plan, Until};
use crate::wechat::callback::Mode;
use crate::wechat::crypto::AesKey;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The callback URL, for example http://127.0.0.1:8080/callback/wx0123456789abcdef.
    #[arg(long)]
    url: Url,
    /// The account's AppID; by default the last part of the URL's path.
    #[arg(long)]
    app_id: Option<String>,
    /// The account's callback Token (a value, @FILE, or -).
    #[arg(long)]
    token: String,
    /// The account's EncodingAESKey, for compatible and secure mode (a value, @FILE, or -).
    #[arg(long)]
    aes_key: Option<String>,
    /// plain, compatible or secure.
    #[arg(long, default_value = "secure")]
    mode: Mode,
    /// Connections, each with one push in flight.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// For how long, seconds.
    #[arg(long, default_value_t = 10, conflicts_with = "events")]
    seconds: u64,
    /// How many events, instead of for how long.
    #[arg(long)]
    events: Option<u64>,
    /// The number of the first person; each event is a follow of the next one.
    #[arg(long, default_value_t = 0)]
    first_person: u64,
    /// Report in JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let app_id = match args.app_id {
        Some(app_id) => app_id,
        None => {
            last_segment(&args.url).context("--app-id is needed: the URL does not end in one")?
        }
    };
    let aes_key = match &args.aes_key {
        Some(key) => Some(AesKey::parse(secrets::read(key)?.expose_secret())?),
        None if args.mode == Mode::Plain => None,
        None => bail!("--aes-key is needed in {} mode", args.mode),
    };
    if args.connections == 0 {
        bail!("--connections must be at least 1");
    }
    let plan = Plan {
        url: args.url,
        app_id,
        token: secrets::read(&args.token)?.expose_secret().to_owned(),
        aes_key,
        mode: args.mode,
        connections: args.connections,
        until: match args.events {
            Some(events) => Until::Events(events),
            None => Until::Elapsed(Duration::from_secs(args.seconds)),
        },
        first_person: args.first_person,
    };
    let mut report = load::run(plan).await?;
    if !args.json {
        terminal::page(&report.summary().to_string());
        return Ok(());
    }
    let sent: u64 = report.statuses.values().sum();
    let report = json!({
        "sent": sent,
        "accepted": report.accepted(),
        "per_second": report.per_second(),
        "p50_ms": report.quantile(0.5).as_secs_f64() * 1e3,
        "p99_ms": report.quantile(0.99).as_secs_f64() * 1e3,
        "elapsed_seconds": report.elapsed.as_secs_f64(),
    });
    say!("{report}");
    Ok(())
}

fn last_segment(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    (!last.is_empty()).then(|| last.to_owned())
}
