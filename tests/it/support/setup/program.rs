//! The same by the commands of the real program, as an operator types them.

use queqiao::simulator::{Kind, Settings, Simulator};

use super::Setup;
use crate::support::program::Program;

/// The program with a project, and WeChat in the test's process.
pub(crate) struct Commanded {
    pub(crate) program: Program,
    pub(crate) simulator: Simulator,
    /// The accounts, in the order in which they were named.
    pub(crate) accounts: Vec<Settings>,
    pub(crate) key: String,
}

impl Setup {
    /// One project with its accounts and a key. The server is started by the test.
    pub(crate) async fn program(mut self) -> Commanded {
        let simulator = Simulator::start(self.wechat).await.unwrap();
        simulator.world().add_people(self.people);
        let mut program = Program::new(self.engine);
        program.wechat = simulator.base_url().to_string();
        let new = self.projects.pop().expect("a project was named");
        assert!(
            self.projects.is_empty() && new.is_accounts_alone(),
            "the rest is for a server that runs"
        );
        program.run(&["projects", "add", &new.name]).ok();
        let mut accounts = Vec::new();
        for account in new.accounts {
            add_account(&program, &account.settings);
            simulator.world().add_account(account.settings.clone());
            accounts.push(account.settings);
        }
        let key = program.run(&["keys", "add", "test", "--scopes", "admin"]);
        Commanded {
            key: key.ok().trim().to_owned(),
            program,
            simulator,
            accounts,
        }
    }
}

/// Adds an account through the command line, with the secrets in files.
pub(crate) fn add_account(program: &Program, settings: &Settings) {
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
