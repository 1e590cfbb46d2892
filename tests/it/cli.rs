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
mod roles;
mod spool;
mod templates;
mod trigger;
mod watch;

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings, Simulator, SimulatorOptions, World};
use serde_json::Value;

use crate::support::Fixture;
use crate::support::program::{Program, Running};

const OA: &str = "wx00000000000000a1";
const MP: &str = "wx00000000000000b2";

/// The program with a project, both accounts and an admin key, and WeChat in the test's process.
struct Shop {
    program: Program,
    simulator: Simulator,
    official: Settings,
    mini: Settings,
    key: String,
    http: reqwest::Client,
}

impl Fixture for Shop {
    async fn on(engine: Engine) -> Self {
        let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
        simulator.world().add_people(100);
        let mut program = Program::new(engine);
        program.wechat = simulator.base_url().to_string();
        program.run(&["projects", "add", "shop"]).ok();
        let mut added = Vec::new();
        for (app_id, kind) in [(OA, Kind::OfficialAccount), (MP, Kind::MiniProgram)] {
            let mut settings = Settings::new(app_id, kind);
            settings.mode = queqiao::wechat::callback::Mode::Secure;
            add_account(&program, &settings);
            simulator.world().add_account(settings.clone());
            added.push(settings);
        }
        let key = program.run(&["keys", "add", "test", "--scopes", "admin"]);
        let mini = added.pop().unwrap();
        Self {
            key: key.ok().trim().to_owned(),
            program,
            simulator,
            mini,
            official: added.pop().unwrap(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }
}

impl Shop {
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

    /// What the API answers; `path` is below `/api/v1`.
    async fn get(&self, running: &Running, path: &str) -> Value {
        let request = self.http.get(format!("{}/api/v1{path}", running.url));
        let response = request.bearer_auth(&self.key).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }
}

/// Adds an account through the command line, with the secrets in files.
fn add_account(program: &Program, settings: &Settings) {
    let mode = settings.mode.as_str();
    let kind = match settings.kind {
        Kind::OfficialAccount => "official_account",
        Kind::MiniProgram => "mini_program",
    };
    let mut arguments = vec![
        "accounts",
        "add",
        &settings.app_id,
        "--kind",
        kind,
        "--mode",
        mode,
    ];
    let secrets = [
        ("--token", &settings.token),
        ("--aes-key", &settings.encoding_aes_key),
        ("--secret", &settings.secret),
    ];
    let mut files = Vec::new();
    for (option, secret) in secrets {
        let name = format!("{}{option}", settings.app_id);
        std::fs::write(program.directory.join(&name), format!("{secret}\n")).unwrap();
        files.push((option, format!("@{name}")));
    }
    for (option, file) in &files {
        arguments.extend([*option, file]);
    }
    program.run(&arguments).ok();
}
