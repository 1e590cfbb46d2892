//! The API through HTTP, on both engines, with WeChat played by the simulator.

mod access_token;
mod auth;
mod credits;
mod deliveries;
mod errors;
mod events;
mod http;
mod identities;
mod ids;
mod invitations;
mod large;
mod links;
mod login;
mod notifications;
mod numbers;
mod pauses;
mod people;
mod recipients;
mod staff;
mod templates;
mod timing;
mod validation;
mod windows;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::ids::ProjectId;
use queqiao::simulator::{Kind, Origin};

use crate::support::{Fixture, TestApp};

/// The official account and the mini-program of the first project.
const OA: &str = "wx00000000000000a1";
const MP: &str = "wx00000000000000b1";
/// An official account of the other project.
const FOREIGN: &str = "wx00000000000000a2";

/// An app with two projects, ten people, and an admin key for each project.
struct Two {
    app: TestApp,
    one: ProjectId,
    key: String,
    other: String,
}

impl Fixture for Two {
    async fn on(engine: Engine) -> Self {
        let app = TestApp::on(engine).await;
        let one = app.project("one").await;
        let two = app.project("two").await;
        app.account(one, OA, Kind::OfficialAccount).await;
        app.account(one, MP, Kind::MiniProgram).await;
        app.account(two, FOREIGN, Kind::OfficialAccount).await;
        app.simulator.world().add_people(10);
        let key = app.key(one, &[Scope::Admin]).await;
        let other = app.key(two, &[Scope::Admin]).await;
        Self {
            app,
            one,
            key,
            other,
        }
    }
}

impl Two {
    /// Lets a person follow the official account, up to the stored profile.
    async fn follow(&self, person: u32) {
        let world = self.app.simulator.world();
        let push = world.follow(OA, person, Origin::default()).await.unwrap();
        assert!(push.verdict.is_accepted(), "{push:?}");
        self.app.drain().await;
    }

    /// A fresh login code of a person.
    fn code(&self, person: u32) -> String {
        self.app.simulator.world().log_in(MP, person).unwrap()
    }
}
