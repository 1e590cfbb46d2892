//! What the demo plays on: a simulated WeChat, and a Queqiao of its own in a temporary directory.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::app::App;
use crate::bridge::Bridge;
use crate::bridge::accounts::keys::Scope;
use crate::bridge::accounts::register::Draft;
use crate::cli::context::Service;
use crate::cli::role::Role;
use crate::cli::serve;
use crate::cli::terminal::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{DatabaseUrl, Db};
use crate::files;
use crate::models::account::{AccountKind, TokenSource};
use crate::models::actor::Actor;
use crate::simulator::{
    Kind, Settings, Simulator, SimulatorOptions, TemplateKind, TemplateSettings, World,
};
use crate::vault::Vault;
use crate::web::{Listener, Routes};
use crate::wechat::callback::Mode;
use crate::wechat::client::{Client, ClientOptions};

/// The demo's service account and mini-program.
pub(super) const SERVICE: &str = "wx00000000000000a1";
pub(super) const MINI: &str = "wx00000000000000b2";
/// The template of the demo's service account.
pub(super) const TEMPLATE: &str = "DEMO-order-created-0000000000000000000000000";
/// The subscription template of the demo's mini-program.
pub(super) const NOTICE: &str = "DEMO-order-shipped-0000000000000000000000000";
/// How many people there are.
pub(super) const PEOPLE: u32 = 300;

pub(super) struct Stage {
    simulator: Simulator,
    address: SocketAddr,
    api_key: SecretString,
    directory: PathBuf,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<()>>,
    pub(super) app: App,
    pub(super) welcome: String,
}

impl Stage {
    /// Starts a WeChat and a Queqiao that know of each other.
    pub(super) async fn set(bind: &str) -> Result<Self> {
        let simulator = Simulator::start(SimulatorOptions::default()).await?;
        let socket = TcpListener::bind(bind).with_context(|| format!("listening on {bind}"))?;
        let address = socket.local_addr()?;
        let routes = Routes::ALL;
        let listeners = vec![Listener { socket, routes }];
        let directory =
            std::env::temp_dir().join(format!("queqiao-demo-{:x}", rand::random::<u64>()));
        files::private_directory(&directory)?;
        let bridge = bridge(&simulator, directory.clone())?;
        let welcome = "欢迎！Welcome!".to_owned();
        let api_key = register(&bridge, simulator.world(), address, &welcome).await?;
        let (stop, stopped) = oneshot::channel();
        let service = Service {
            bridge,
            spool: None,
            is_up: true,
        };
        let served = tokio::spawn(serve::serve(service, listeners, Role::All, async move {
            let _ = stopped.await;
        }));
        Ok(Self {
            app: App::new(address, api_key.expose_secret())?,
            simulator,
            address,
            api_key,
            directory,
            stop,
            served,
            welcome,
        })
    }

    /// WeChat, with its people.
    pub(super) fn world(&self) -> &World {
        self.simulator.world()
    }

    /// The addresses and keys to try by hand.
    pub(super) fn invite(&self) {
        let (address, key) = (self.address, self.api_key.expose_secret());
        let wechat = self.simulator.base_url();
        say!("");
        say!("Everything stays up until Ctrl-C. To try by hand:");
        say!("  the API          http://{address}/api/v1");
        say!("  its key          {key}");
        say!("  WeChat           {wechat} (control under {wechat}_sim/)");
        say!(
            "  for example      curl -H 'Authorization: Bearer {key}' 'http://{address}/api/v1/people?limit=3'"
        );
        say!(
            "                   curl -H 'Authorization: Bearer {key}' http://{address}/api/v1/staff/e1003"
        );
        say!("                   curl http://{address}/metrics");
    }

    /// Stops both and removes the temporary directory.
    pub(super) async fn clear(self) -> Result<()> {
        // If the server has ended by itself, nobody waits for the signal.
        let _ = self.stop.send(());
        self.served.await.context("the demo's Queqiao")??;
        self.simulator.stop().await?;
        std::fs::remove_dir_all(&self.directory)
            .with_context(|| format!("removing {}", self.directory.display()))
    }
}

fn bridge(simulator: &Simulator, directory: PathBuf) -> Result<Bridge> {
    let mut config = Config {
        data_dir: directory,
        ..Config::default()
    };
    config.server.workers = 2;
    let url = DatabaseUrl::sqlite_file(&config.data_dir.join("queqiao.db"));
    url.make_private()?;
    let db = Db::open(&url, 8)?;
    db.migrate()?;
    let wechat = Client::new(ClientOptions::new(simulator.base_url()))?;
    let vault = Vault::open(None, &config.data_dir)?;
    Ok(Bridge::new(
        db,
        Clock::system(),
        wechat,
        vault,
        Arc::new(config),
    ))
}

/// Enters the two accounts on both sides, as the operator would, and makes an API key.
async fn register(
    bridge: &Bridge,
    world: &World,
    address: SocketAddr,
    welcome: &str,
) -> Result<SecretString> {
    let project = bridge.add_project("demo".to_owned(), None).await?;
    for (app_id, kind) in [(SERVICE, Kind::OfficialAccount), (MINI, Kind::MiniProgram)] {
        let mut settings = Settings::new(app_id, kind);
        settings.mode = Mode::Secure;
        settings.callback_url = Some(format!("http://{address}/callback/{app_id}").parse()?);
        bridge
            .add_account(Draft {
                project_id: project.id,
                app_id: app_id.to_owned(),
                kind: match kind {
                    Kind::OfficialAccount => AccountKind::OfficialAccount,
                    Kind::MiniProgram => AccountKind::MiniProgram,
                },
                name: match kind {
                    Kind::OfficialAccount => "demo service account".to_owned(),
                    Kind::MiniProgram => "demo mini-program".to_owned(),
                },
                mode: settings.mode,
                callback_token: settings.token.clone().into(),
                aes_key: Some(settings.encoding_aes_key.clone().into()),
                secret: Some(settings.secret.clone().into()),
                token_source: TokenSource::StableToken,
                welcome_text: (kind == Kind::OfficialAccount).then(|| welcome.to_owned()),
            })
            .await?;
        world.add_account(settings);
    }
    world.add_people(PEOPLE);
    add_templates(world)?;
    let scopes = [Scope::Notify, Scope::Read, Scope::Admin];
    let (key, _) = bridge
        .keys
        .create(project.id, "demo", &scopes, &Actor::CommandLine)
        .await?;
    Ok(key)
}

fn add_templates(world: &World) -> Result<()> {
    world.add_template(
        SERVICE,
        &TemplateSettings {
            template_id: TEMPLATE.to_owned(),
            title: "订单通知".to_owned(),
            content: "订单号:{{character_string1.DATA}}\n商品:{{thing2.DATA}}\n时间:{{time3.DATA}}"
                .to_owned(),
            ..TemplateSettings::default()
        },
    )?;
    world.add_template(
        MINI,
        &TemplateSettings {
            template_id: NOTICE.to_owned(),
            title: "发货提醒".to_owned(),
            kind: TemplateKind::SubscribeOnce,
            content: "商品:{{thing1.DATA}}".to_owned(),
            ..TemplateSettings::default()
        },
    )?;
    Ok(())
}
