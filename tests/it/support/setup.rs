//! What a story begins with, described once: projects with their accounts, templates, followers,
//! message types and staff. The last word says how it comes about: in a server over its API
//! ([`Setup::start`]), in a process without one ([`Setup::bridge`]), in a database alone
//! ([`Setup::rows`]), or by the commands of the real program ([`Setup::program`]).

mod program;

use std::ops::RangeInclusive;

use chrono::NaiveDateTime;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::clock::Clock;
use queqiao::config::Config;
use queqiao::db::{Conn, Engine};
use queqiao::ids::{AccountId, ProjectId};
use queqiao::models::account::{self, AccountSettings, TokenSource};
use queqiao::models::notification::message_type;
use queqiao::models::project;
use queqiao::simulator::{
    Kind, Origin, Receipt, Settings, SimulatorOptions, TemplateSettings, World,
};
use serde_json::{Value, json};

use super::app::{self, TestBridge};
use super::{TestApp, TestDb, TestProject};

pub(crate) use program::{Commanded, add_account};

/// The official account and the mini-program of the first project, and an official account of
/// another project.
pub(crate) const OA: &str = "wx00000000000000a1";
pub(crate) const MP: &str = "wx00000000000000b1";
pub(crate) const FOREIGN: &str = "wx00000000000000a2";

/// What is to be there. Accounts, message types and staff are those of the project that was named
/// last.
#[must_use = "nothing is there yet"]
pub(crate) struct Setup {
    engine: Engine,
    wechat: SimulatorOptions,
    config: Config,
    now: NaiveDateTime,
    people: u32,
    projects: Vec<NewProject>,
}

struct NewProject {
    name: String,
    scopes: Vec<Scope>,
    accounts: Vec<NewAccount>,
    message_types: Vec<(String, Value)>,
    staff: Vec<(String, Option<Value>)>,
}

struct NewAccount {
    settings: Settings,
    at_wechat: AtWechat,
    followers: Vec<u32>,
}

/// What WeChat has of an account, beside its settings.
#[derive(Default)]
struct AtWechat {
    templates: Vec<TemplateSettings>,
    receipts: Option<Receipt>,
}

/// A project that is there, with its accounts in the order in which they were named.
pub(crate) struct Stored {
    pub(crate) project: ProjectId,
    pub(crate) accounts: Vec<AccountId>,
}

impl Setup {
    pub(crate) fn on(engine: Engine) -> Self {
        Self {
            engine,
            wechat: SimulatorOptions::default(),
            config: app::config(),
            now: Clock::system().now(),
            people: 0,
            projects: Vec::new(),
        }
    }

    /// With a WeChat that has its own ways.
    pub(crate) fn wechat(mut self, options: SimulatorOptions) -> Self {
        self.wechat = options;
        self
    }

    /// With settings of its own.
    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The clock begins at that moment.
    pub(crate) fn at(mut self, now: NaiveDateTime) -> Self {
        self.now = now;
        self
    }

    /// So many people use WeChat.
    pub(crate) fn people(mut self, count: u32) -> Self {
        self.people = count;
        self
    }

    /// A project, whose key may everything.
    pub(crate) fn project(mut self, name: &str) -> Self {
        self.projects.push(NewProject {
            name: name.to_owned(),
            scopes: vec![Scope::Admin],
            accounts: Vec::new(),
            message_types: Vec::new(),
            staff: Vec::new(),
        });
        self
    }

    /// What the project's key may do.
    pub(crate) fn scopes(mut self, scopes: &[Scope]) -> Self {
        self.last_project().scopes = scopes.to_vec();
        self
    }

    pub(crate) fn official(self, app_id: &str) -> Self {
        self.account(Settings::new(app_id, Kind::OfficialAccount))
    }

    pub(crate) fn mini_program(self, app_id: &str) -> Self {
        self.account(Settings::new(app_id, Kind::MiniProgram))
    }

    /// An account that is set up in its own way.
    pub(crate) fn account(mut self, settings: Settings) -> Self {
        self.last_project().accounts.push(NewAccount {
            settings,
            at_wechat: AtWechat::default(),
            followers: Vec::new(),
        });
        self
    }

    /// A template that WeChat lists for an account.
    pub(crate) fn template(mut self, app_id: &str, template: TemplateSettings) -> Self {
        self.named(app_id).at_wechat.templates.push(template);
        self
    }

    /// What WeChat says of each message of an account.
    pub(crate) fn receipts(mut self, app_id: &str, receipt: Receipt) -> Self {
        self.named(app_id).at_wechat.receipts = Some(receipt);
        self
    }

    /// These people follow an account, and what WeChat says of them is stored.
    pub(crate) fn followers(mut self, app_id: &str, people: RangeInclusive<u32>) -> Self {
        self.named(app_id).followers.extend(people);
        self
    }

    pub(crate) fn message_type(mut self, name: &str, routes: Value) -> Self {
        let new = (name.to_owned(), routes);
        self.last_project().message_types.push(new);
        self
    }

    /// A staff member, bound to nobody yet.
    pub(crate) fn staff(mut self, staff_id: &str) -> Self {
        self.last_project().staff.push((staff_id.to_owned(), None));
        self
    }

    /// Who the staff member is: see [`by_openid`](super::api::by_openid).
    pub(crate) fn bound_to(mut self, whom: Value) -> Self {
        let last = self.last_project().staff.last_mut();
        last.expect("a staff member was named").1 = Some(whom);
        self
    }

    fn last_project(&mut self) -> &mut NewProject {
        self.projects.last_mut().expect("a project was named")
    }

    fn named(&mut self, app_id: &str) -> &mut NewAccount {
        let mut accounts = self.last_project().accounts.iter_mut();
        let found = accounts.find(|account| account.settings.app_id == app_id);
        found.expect("the account was named")
    }

    /// A running server. The story is that of the first project; of the others it has the keys.
    pub(crate) async fn start(self) -> TestProject {
        let app = TestBridge::new(self.engine, self.wechat, self.config, self.now);
        let app = TestApp::over(app.await);
        app.simulator.world().add_people(self.people);
        let mut keys = Vec::new();
        for new in self.projects {
            let id = app.project(&new.name).await;
            keys.push((id, new.start(&app, id).await));
        }
        let mut keys = keys.into_iter();
        let (project, key) = keys.next().expect("a project was named");
        TestProject {
            app,
            project,
            key,
            other_keys: keys.map(|(_, key)| key).collect(),
        }
    }

    /// A process without a server, to which WeChat pushes nothing.
    pub(crate) async fn bridge(self) -> (TestBridge, Vec<Stored>) {
        let test = TestBridge::new(self.engine, self.wechat, self.config, self.now).await;
        test.simulator.world().add_people(self.people);
        let mut stored = Vec::new();
        for new in self.projects {
            stored.push(new.store(&test).await);
        }
        (test, stored)
    }

    /// A database with projects and accounts in it, of which no WeChat knows.
    pub(crate) fn rows(self) -> (TestDb, Vec<Stored>) {
        let database = TestDb::new(self.engine);
        let conn = &mut database.db().connect().unwrap();
        // As one operator adds one after another: all projects, then their accounts.
        let projects: Vec<_> = self
            .projects
            .iter()
            .map(|new| project::create(conn, &new.name, self.now).unwrap().id)
            .collect();
        let mut stored = Vec::new();
        for (new, project) in self.projects.iter().zip(projects) {
            assert!(
                new.is_accounts_alone(),
                "of these there are rows of a test's own"
            );
            let mut account = |new: &NewAccount| row(conn, project, &new.settings, self.now);
            let accounts = new.accounts.iter().map(&mut account).collect();
            stored.push(Stored { project, accounts });
        }
        (database, stored)
    }
}

impl AtWechat {
    fn add(self, world: &World, app_id: &str) {
        for template in &self.templates {
            world.add_template(app_id, template).unwrap();
        }
        if let Some(receipt) = self.receipts {
            world.set_receipt(app_id, None, receipt).unwrap();
        }
    }
}

impl NewProject {
    fn is_accounts_alone(&self) -> bool {
        let bare = |account: &NewAccount| {
            let at_wechat = &account.at_wechat;
            at_wechat.templates.is_empty()
                && at_wechat.receipts.is_none()
                && account.followers.is_empty()
        };
        self.message_types.is_empty() && self.staff.is_empty() && self.accounts.iter().all(bare)
    }

    /// Everything of a project that is there already; its key.
    async fn start(self, app: &TestApp, id: ProjectId) -> String {
        let world = app.simulator.world();
        let mut followers = Vec::new();
        for account in self.accounts {
            let app_id = account.settings.app_id.clone();
            app.account_as(id, account.settings, None).await;
            account.at_wechat.add(world, &app_id);
            let people = account.followers.into_iter();
            followers.extend(people.map(|person| (app_id.clone(), person)));
        }
        let key = app.key(id, &self.scopes).await;
        for (app_id, person) in &followers {
            let push = world.follow(app_id, *person, Origin::default()).await;
            assert!(push.unwrap().verdict.is_accepted());
        }
        if !followers.is_empty() {
            app.drain().await;
        }
        let api = app.api(&key);
        for (name, routes) in self.message_types {
            api.message_type(&name, routes).await;
        }
        for (staff_id, whom) in self.staff {
            let member = api.staff(&staff_id);
            match whom {
                Some(whom) => member.bound_to(whom).await,
                None => member.await,
            };
        }
        key
    }

    /// The project with its accounts and message types, through the models.
    async fn store(self, test: &TestBridge) -> Stored {
        let idle = |account: &NewAccount| account.followers.is_empty();
        assert!(
            self.staff.is_empty() && self.accounts.iter().all(idle),
            "they take a server"
        );
        let (bridge, world) = (&test.bridge, test.simulator.world());
        let id = app::add_project(bridge, &self.name).await;
        let mut accounts = Vec::new();
        for account in self.accounts {
            let app_id = account.settings.app_id.clone();
            accounts.push(app::add_account(bridge, world, id, account.settings, None).await);
            account.at_wechat.add(world, &app_id);
        }
        for (name, routes) in self.message_types {
            let now = bridge.clock.now();
            let put = move |conn: &mut Conn| {
                message_type::put(conn, id, &name, None, &routes.to_string(), now)
            };
            bridge.db.write_once(put).await.unwrap();
        }
        Stored {
            project: id,
            accounts,
        }
    }
}

/// An account in the database alone.
fn row(conn: &mut Conn, project: ProjectId, wanted: &Settings, now: NaiveDateTime) -> AccountId {
    let settings = AccountSettings {
        project_id: project,
        app_id: wanted.app_id.clone(),
        kind: app::kind(wanted.kind),
        name: wanted.app_id.clone(),
        mode: "secure".to_owned(),
        sealed_callback_token: vec![0, 1, 255],
        sealed_aes_key: None,
        sealed_secret: None,
        token_source: TokenSource::StableToken,
        welcome_text: None,
        updated_at: now,
    };
    account::create(conn, &settings).unwrap().id
}

/// A template as WeChat lists it.
pub(crate) fn template(template_id: &str, content: &str) -> TemplateSettings {
    TemplateSettings {
        template_id: template_id.to_owned(),
        title: "Notice".to_owned(),
        content: content.to_owned(),
        ..TemplateSettings::default()
    }
}

/// A route by that template, whose field `thing1` is the title that a request says.
pub(crate) fn titled(app_id: &str, template_id: &str) -> Value {
    json!({
        "account": app_id, "template_id": template_id,
        "fields": {"thing1": "{{ params.title }}"},
    })
}
