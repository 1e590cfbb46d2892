//! Callbacks through the front door: what is let in and stored, what is refused, and what is answered.

mod age;
mod edges;
mod kinds;
mod modes;
pub(crate) mod outage;
mod raw;
mod refused;
mod reply;
mod subscription;
mod trust;

use std::ops::Deref;

use queqiao::clock::Clock;
use queqiao::config::Config;
use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::crypto::AesKey;
use queqiao::wechat::fields::{Fields, Format};
use queqiao::wechat::push::{self, Sender, Signed};
use reqwest::Method;
use serde_json::Value;

use crate::support::app::Answer;
use crate::support::{Fixture, Setup, TestProject};

pub(crate) const USER: &str = "oABCdefGHIjklMNOpqrSTUvwxYZ0";
pub(crate) const TIME: i64 = 1_767_225_600;

/// A project and its key. Accounts are added as a test needs them.
pub(crate) struct CallbackFixture(TestProject);

impl Fixture for CallbackFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }
}

impl Deref for CallbackFixture {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.0
    }
}

impl CallbackFixture {
    /// With settings of its own.
    async fn with(engine: Engine, settings: impl FnOnce(&mut Config)) -> Self {
        let setup = Setup::on(engine).settings(settings).people(20);
        Self(setup.project("one").start().await)
    }
}

impl CallbackFixture {
    /// A new account, known to both sides, with an app id that no other test has.
    pub(crate) async fn account(&self, kind: Kind, mode: Mode, format: Format) -> Settings {
        self.welcoming_account(kind, mode, format, None).await
    }

    pub(crate) async fn welcoming_account(
        &self,
        kind: Kind,
        mode: Mode,
        format: Format,
        welcome: Option<&str>,
    ) -> Settings {
        let mut settings = Settings::new(&new_app_id(), kind);
        settings.mode = mode;
        settings.format = format;
        let added = settings.clone();
        self.app.account_as(self.project, settings, welcome).await;
        added
    }

    /// Sends a push as WeChat would.
    pub(crate) async fn push(&self, app_id: &str, signed: Signed) -> Answer {
        let path = format!("/callback/{app_id}");
        let request = self.app.request(Method::POST, &path);
        self.app
            .send(request.query(&signed.query).body(signed.body))
            .await
    }

    /// All events of an account, newest first.
    pub(crate) async fn events(&self, app_id: &str) -> Vec<Value> {
        let path = format!("/events?app_id={app_id}&limit=200");
        let page = self.app.get(&self.key, &path).await.ok(200);
        page["items"].as_array().unwrap().clone()
    }

    /// The only event of an account, whole.
    pub(crate) async fn only_event(&self, app_id: &str) -> Value {
        let events = self.events(app_id).await;
        assert_eq!(events.len(), 1, "{events:?}");
        self.event(&events[0]).await
    }

    /// One event of a list, whole.
    pub(crate) async fn event(&self, listed: &Value) -> Value {
        let path = format!("/events/{}", listed["id"]);
        self.app.get(&self.key, &path).await.ok(200)
    }
}

pub(crate) fn new_app_id() -> String {
    format!("wx{:016x}", rand::random::<u64>())
}

/// Asserts the one answer that WeChat takes for "accepted".
pub(crate) fn assert_success(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, "success"),
        "{answer:?}"
    );
}

/// The time with which a request is signed: now. The clock of a test begins with the system's.
pub(crate) fn stamp() -> i64 {
    Clock::system().unix_seconds()
}

/// Signs these fields, and seals them as the account's mode demands.
pub(crate) fn signed(settings: &Settings, fields: &Fields<'_>) -> Signed {
    signed_at(settings, fields, stamp())
}

/// [`signed`] at another time.
pub(crate) fn signed_at(settings: &Settings, fields: &Fields<'_>, timestamp: i64) -> Signed {
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let sender = Sender {
        token: &settings.token,
        aes_key: Some(&key),
        app_id: &settings.app_id,
        to_user_name: &settings.original_id,
        mode: settings.mode,
        format: settings.format,
        timestamp,
        nonce: "88412",
        openid: USER,
    };
    push::sign_and_seal(fields, &sender).unwrap()
}

/// A text message from [`USER`].
pub(crate) fn text<'a>(settings: &'a Settings, content: &'a str) -> Fields<'a> {
    push::text(
        &settings.original_id,
        USER,
        TIME,
        content,
        24_930_000_000_000_001,
    )
}

/// An event of [`USER`].
pub(crate) fn event<'a>(settings: &'a Settings, name: &'a str) -> Fields<'a> {
    push::event(&settings.original_id, USER, TIME, name)
}
