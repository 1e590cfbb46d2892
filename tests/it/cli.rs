//! The real program, met through its command line, its ports and the signals it is sent.

mod commands;
mod crash;
mod demo;
mod descriptors;
mod erase;
mod events;
mod explain;
mod listeners;
#[cfg(target_os = "linux")]
mod memory;
mod misuse;
mod people;
mod private;
mod projects;
mod roles;
mod spool;
mod staff;
mod stats;
mod templates;
mod trigger;
mod users;
mod watch;

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings, Simulator, World};
use queqiao::wechat::callback::Mode;
use serde_json::Value;

use crate::support::api::Api;
use crate::support::program::{Program, Running};
use crate::support::setup::{Commanded, OA};
use crate::support::{Fixture, Setup};

const MP: &str = "wx00000000000000b2";

/// The program with a project, both accounts and an admin key, and WeChat in the test's process.
struct CliFixture {
    program: Program,
    simulator: Simulator,
    official: Settings,
    mini: Settings,
    key: String,
    http: reqwest::Client,
}

impl Fixture for CliFixture {
    async fn on(engine: Engine) -> Self {
        let secure = |app_id, kind| {
            let mut settings = Settings::new(app_id, kind);
            settings.mode = Mode::Secure;
            settings
        };
        let Commanded {
            program,
            simulator,
            mut accounts,
            key,
        } = Setup::on(engine)
            .people(100)
            .project("shop")
            .account(secure(OA, Kind::OfficialAccount))
            .account(secure(MP, Kind::MiniProgram))
            .program()
            .await;
        Self {
            mini: accounts.remove(1),
            official: accounts.remove(0),
            program,
            simulator,
            key,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }
}

impl CliFixture {
    fn world(&self) -> &World {
        self.simulator.world()
    }

    /// Lets WeChat push to this process.
    fn point_to(&self, running: &Running) {
        for app_id in [OA, MP] {
            let url = format!("{}/callback/{app_id}", running.url);
            let change =
                |settings: &mut Settings| settings.callback_url = Some(url.parse().unwrap());
            self.world().change_account(app_id, change).unwrap();
        }
    }

    /// The API of a process that serves.
    fn api<'a>(&'a self, running: &'a Running) -> Api<'a> {
        Api {
            http: &self.http,
            url: &running.url,
            key: &self.key,
        }
    }

    /// What the API answers; `path` is below `/api/v1`.
    async fn get(&self, running: &Running, path: &str) -> Value {
        self.api(running).get(path).await.ok(200)
    }
}
