//! `queqiao simulate`: a WeChat to develop against, with one service account and one mini-program
//! of one Open Platform account. Its control API changes more, under `/_sim`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, anyhow};
use clap::Args as ClapArgs;
use secrecy::ExposeSecret;
use url::Url;

use super::secrets;
use super::serve::stop_signal;
use crate::cli::terminal::{self, say};
use crate::simulator::{Kind, Origin, Settings, Simulator, SimulatorOptions};
use crate::wechat::callback::Mode;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Where the simulated WeChat listens.
    #[arg(long, default_value = "127.0.0.1:9090")]
    bind: SocketAddr,
    /// Where the callbacks go: Queqiao's address, for example http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    callbacks: Option<Url>,
    /// AppID of the service account.
    #[arg(long, default_value = "wx00000000000000a1")]
    service: String,
    /// AppID of the mini-program.
    #[arg(long, default_value = "wx00000000000000b2")]
    mini_program: String,
    /// AppSecret of both; one is made unless given (a value, @FILE, or -).
    #[arg(long)]
    secret: Option<String>,
    /// Callback Token of both; one is made unless given.
    #[arg(long)]
    token: Option<String>,
    /// EncodingAESKey of both; one is made unless given.
    #[arg(long)]
    aes_key: Option<String>,
    /// How callbacks are sent: plain, compatible or secure.
    #[arg(long, default_value = "secure")]
    mode: Mode,
    /// Make the service account one of WeChat's test accounts (接口测试号): plain mode, no EncodingAESKey.
    #[arg(long)]
    test_account: bool,
    /// How many people there are.
    #[arg(long, default_value_t = 100)]
    people: u32,
    /// How many of them follow the service account already.
    #[arg(long, default_value_t = 0)]
    followers: u32,
    /// Messages and pushes kept to be looked at.
    #[arg(long, default_value_t = 10_000)]
    record: usize,
    /// Print what a running simulator has counted, and stop.
    #[arg(long, value_name = "URL")]
    stats: Option<Url>,
}

pub(super) async fn run(args: Args) -> Result<()> {
    if let Some(url) = args.stats {
        return print_stats(url).await;
    }
    let stop = stop_signal()?;
    let simulator = Simulator::start(SimulatorOptions {
        bind: args.bind,
        record_limit: args.record,
        ..SimulatorOptions::default()
    })
    .await
    .with_context(|| format!("listening on {}", args.bind))?;
    let given = |text: &Option<String>| text.as_deref().map(secrets::read).transpose();
    let (secret, token, aes_key) = (
        given(&args.secret)?,
        given(&args.token)?,
        given(&args.aes_key)?,
    );
    let world = simulator.world();
    say!("a simulated WeChat with {} people:", args.people);
    for (app_id, kind) in [
        (&args.service, Kind::OfficialAccount),
        (&args.mini_program, Kind::MiniProgram),
    ] {
        let mut settings = Settings::new(app_id, kind);
        settings.mode = args.mode;
        settings.callback_url = match &args.callbacks {
            Some(base) => Some(callback_of(base, app_id)?),
            None => None,
        };
        let replace = |field: &mut String, given: &Option<secrecy::SecretString>| {
            if let Some(given) = given {
                given.expose_secret().clone_into(field);
            }
        };
        replace(&mut settings.secret, &secret);
        replace(&mut settings.token, &token);
        replace(&mut settings.encoding_aes_key, &aes_key);
        settings.test_account = args.test_account && kind == Kind::OfficialAccount;
        let key = match settings.test_account {
            true => "(none: a test account has plain mode only)",
            false => &settings.encoding_aes_key,
        };
        say!("  {app_id} {kind:?}");
        say!("    AppSecret {}", settings.secret);
        say!("    Token {}", settings.token);
        say!("    EncodingAESKey {key}");
        world.add_account(settings);
    }
    world.add_people(args.people);
    world.add_followers(
        &args.service,
        0..args.followers.min(args.people),
        &Origin::search(),
    )?;
    say!("listening on {}", simulator.base_url());
    stop.await;
    simulator.stop().await?;
    Ok(())
}

/// The callback URL of an account below an address, of which a path is kept: a proxy may have Queqiao there.
fn callback_of(base: &Url, app_id: &str) -> Result<Url> {
    let mut url = base.clone();
    let mut path = url
        .path_segments_mut()
        .map_err(|()| anyhow!("{base} cannot have a path: give an http:// address"))?;
    path.pop_if_empty().extend(["callback", app_id]);
    drop(path);
    Ok(url)
}

async fn print_stats(url: Url) -> Result<()> {
    let stats = reqwest::get(url.join("/_sim/stats")?)
        .await?
        .error_for_status()?;
    terminal::page(&stats.text().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_keep_the_path_of_their_address() {
        for (base, url) in [
            ("http://a:1", "http://a:1/callback/wx1"),
            ("http://a:1/", "http://a:1/callback/wx1"),
            ("http://a:1/prefix", "http://a:1/prefix/callback/wx1"),
            ("http://a:1/p/q/", "http://a:1/p/q/callback/wx1"),
        ] {
            let base = Url::parse(base).unwrap();
            assert_eq!(callback_of(&base, "wx1").unwrap().as_str(), url);
        }
        callback_of(&Url::parse("mailto:a@b").unwrap(), "wx1").unwrap_err();
    }
}
