//! `queqiao trigger`: a signed test event to any callback URL, and what it answered.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use secrecy::ExposeSecret;
use url::Url;

use super::{context, secrets};
use crate::cli::terminal::{self, say};
use crate::wechat::callback::Mode;
use crate::wechat::crypto::AesKey;
use crate::wechat::fields::{Fields, Format};
use crate::wechat::push::{self, Sender};

/// WeChat's own patience.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are shown.
const SHOWN: usize = 2_000;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// The person follows; --key is the scene of a QR code.
    Subscribe,
    /// The person unfollows.
    Unsubscribe,
    /// A follower scans a QR code; --key is its scene.
    Scan,
    /// A menu click; --key is the button's key.
    Click,
    /// A text message; --key is the text.
    Text,
    /// The result of a template message; --key is its msgid.
    TemplateResult,
    /// The test push of WeChat's console.
    Debug,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Body {
    Xml,
    Json,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// What happens.
    #[arg(value_enum)]
    kind: Kind,
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
    /// The person.
    #[arg(long, default_value = "oTRIGGERtestTRIGGERtestTRIGG", value_parser = context::openid)]
    openid: String,
    /// Scene, key, text or msgid, as the event has one.
    #[arg(long, default_value = "")]
    key: String,
    /// The account's original id.
    #[arg(long, default_value = "gh_000000000000")]
    original_id: String,
    /// xml, or json as a mini-program may be set to.
    #[arg(long, value_enum, default_value = "xml")]
    format: Body,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let app_id = match &args.app_id {
        Some(app_id) => app_id.clone(),
        None => args
            .url
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .filter(|last| !last.is_empty())
            .context("--app-id is needed: the URL does not end in one")?
            .to_owned(),
    };
    let token = secrets::read(&args.token)?;
    let aes_key = match &args.aes_key {
        Some(key) => Some(AesKey::parse(secrets::read(key)?.expose_secret())?),
        None => None,
    };
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let nonce = rand::random::<u32>().to_string();
    let signed = push::sign_and_seal(
        &fields(&args, now)?,
        &Sender {
            token: token.expose_secret(),
            aes_key: aes_key.as_ref(),
            app_id: &app_id,
            to_user_name: &args.original_id,
            mode: args.mode,
            format: match args.format {
                Body::Xml => Format::Xml,
                Body::Json => Format::Json,
            },
            timestamp: now,
            nonce: &nonce,
            openid: &args.openid,
        },
    )?;
    let mut url = args.url;
    url.query_pairs_mut().extend_pairs(&signed.query);
    send(url, signed.body).await
}

async fn send(url: Url, body: Vec<u8>) -> Result<()> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .user_agent("Mozilla/4.0")
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let started = Instant::now();
    let response = client
        .post(url)
        .header("Content-Type", "text/xml")
        .body(body)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    let status = response.status();
    let answer = response.text().await.map_err(reqwest::Error::without_url)?;
    let shown: String = answer.chars().take(SHOWN).collect();
    say!("{status} after {} ms", started.elapsed().as_millis());
    terminal::page(&shown);
    if status != reqwest::StatusCode::OK {
        bail!("WeChat takes only status 200 for an answer and would send this push again");
    }
    Ok(())
}

fn fields<'a>(args: &'a Args, now: i64) -> Result<Fields<'a>> {
    let event = |name| push::event(&args.original_id, &args.openid, now, name);
    Ok(match args.kind {
        Kind::Subscribe if args.key.is_empty() => event("subscribe").with("EventKey", ""),
        Kind::Subscribe => event("subscribe").with("EventKey", format!("qrscene_{}", args.key)),
        Kind::Unsubscribe => event("unsubscribe").with("EventKey", ""),
        Kind::Scan => event("SCAN").with("EventKey", args.key.as_str()),
        Kind::Click => event("CLICK").with("EventKey", args.key.as_str()),
        Kind::Text => {
            let msg_id = i64::from(rand::random::<u32>());
            push::text(&args.original_id, &args.openid, now, &args.key, msg_id)
        }
        Kind::TemplateResult => {
            let msgid: i64 = args
                .key
                .parse()
                .context("--key must be the msgid, a number")?;
            event("TEMPLATESENDJOBFINISH")
                .with("MsgID", msgid)
                .with("Status", "success")
        }
        Kind::Debug => event("debug_demo").with("debug_str", args.key.as_str()),
    })
}
