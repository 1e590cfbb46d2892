//! What the documents take for granted: two accounts, a few people, and what their commands name.

use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::simulator::{
    Arrival, Choice, Origin, Receipt, TemplateKind, TemplateSettings, population,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::shell::Command;
use crate::support::api::by_unionid;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::receiver::Receiver;
use crate::support::setup::template;
use crate::support::{Fixture, Setup, TestApp};

const OA: &str = "wx0123456789abcdef";
const MP: &str = "wxfedcba9876543210";
const ORDER: &str = "单号:{{character_string1.DATA}}\n物品:{{thing2.DATA}}\n";

/// A Queqiao as the documents assume it.
pub(super) struct DocsApp {
    app: TestApp,
    key: String,
    access_token: String,
    /// Stands for the business's endpoint.
    receiver: Receiver,
    /// Where the owner signs in.
    browser: Browser,
}

impl Fixture for DocsApp {
    async fn on(engine: Engine) -> Self {
        let receiver = Receiver::start();
        let order = |template_id: &str, kind| TemplateSettings {
            title: "订单提醒".to_owned(),
            kind,
            ..template(template_id, ORDER)
        };
        let prompt = Receipt {
            arrival: Arrival::BeforeAnswer,
            ..Receipt::default()
        };
        let project = Setup::on(engine)
            .settings(|config| config.webhooks.allow_private_addresses = true)
            .people(10)
            .project("acme")
            .scopes(&[Scope::Admin, Scope::Token])
            .official(OA)
            .mini_program(MP)
            .template(OA, order("TEMPLATE_ID", TemplateKind::Template))
            .template(MP, order("TPL", TemplateKind::SubscribeOnce))
            .receipts(OA, prompt)
            .followers(OA, 1..=3)
            .start()
            .await;
        project.app.user("admin", true, &[]).await;
        Self {
            browser: Browser::new(&project.app.url),
            app: project.app,
            key: project.key,
            access_token: String::new(),
            receiver,
        }
    }
}

impl DocsApp {
    /// What a reader of the API's document has done before: docs/setup.md, steps 6 and 7.
    pub(super) async fn settle_in(&mut self) {
        let (app, key) = (&self.app, &self.key);
        let code = app.simulator.world().log_in(MP, 1).unwrap();
        let whom = json!({"app_id": MP, "code": code});
        let member = app.api(key).staff("e1001").named("王芳");
        member.bound_to(whom).await;
        let asked = [("TPL", Choice::Accept)];
        app.simulator
            .world()
            .answer_popup(MP, 1, &asked)
            .await
            .unwrap();
        app.drain().await;
    }

    /// Carries out a command as the document shows it, with what stands for something filled in.
    pub(super) async fn call(&mut self, heading: &str, command: &Command) -> Value {
        self.prepare(command).await;
        let method = Method::from_bytes(command.method.as_bytes()).unwrap();
        let path = format!("/api/v1{}", command.path);
        let mut request = match command.is_signed_in {
            true => self.browser.request(&command.method, &command.path),
            false => self.app.request(method, &path).bearer_auth(&self.key),
        };
        for (name, value) in &command.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &command.body {
            let mut body = super::shape::read(body);
            self.fill_in(&mut body, person_of(&command.path), app_of(&command.path));
            request = request.json(&body);
        }
        let answer = self.app.send(request).await;
        self.browser.keep(&answer);
        assert!(
            (200..300).contains(&answer.status),
            "{heading}: {command:?}: {answer:?}"
        );
        self.app.drain().await;
        let is_json = answer
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/json");
        if answer.text.is_empty() || !is_json {
            return Value::Null;
        }
        let answer = answer.json();
        if let Some(token) = answer["access_token"].as_str() {
            token.clone_into(&mut self.access_token);
        }
        answer
    }

    /// The answer to a body that need not be a good one.
    pub(super) async fn try_out(&self, method: &str, path: &str, body: &Value) -> String {
        let path = path
            .replace("{app_id}", MP)
            .replace("{staff_id}", "e1001")
            .replace("{name}", "order_created")
            .replace("{id}", "1");
        let is_for_people = ["/session", "/users"].iter().any(|of| path.starts_with(of));
        let answer = match is_for_people {
            true => {
                let browser = Browser::signed_in(&self.app, "admin").await;
                browser.call(method, &path, Some(body)).await
            }
            false => self.app.call(method, &self.key, &path, Some(body)).await,
        };
        answer.text
    }

    /// A script for a real shell, with what stands for something filled in.
    pub(super) async fn filled(&self, script: &str) -> String {
        let world = self.app.simulator.world();
        let mut filled = script
            .replace("qq_…", &self.key)
            .replace("http://127.0.0.1:8080", &self.app.url)
            .replace("http://127.0.0.1:9090/", world_url(&self.app).as_str())
            .replace("wx00000000000000a1", OA)
            .replace("wx00000000000000b2", MP)
            .replace("/people/30/", "/people/8/")
            .replace("/people/31/", "/people/9/")
            .replace(
                "\"openid\": \"o…\"",
                &format!("\"openid\": \"{}\"", population::openid(OA, 2)),
            )
            .replace(
                "\"unionid\": \"o…\"",
                &format!("\"unionid\": \"{}\"", population::unionid(3)),
            );
        // Each code works once.
        while filled.contains("\"CODE\"") {
            let code = world.log_in(MP, 1).unwrap();
            filled = filled.replacen("\"CODE\"", &format!("\"{code}\""), 1);
        }
        if filled.contains("http://weixin.qq.com/q/02…") {
            let (app, key) = (&self.app, &self.key);
            app.api(key).staff("e1009").await;
            let body = json!({"app_id": OA});
            let invited = app
                .post(key, "/staff/e1009/invitations", body)
                .await
                .ok(201);
            let url = invited["url"].as_str().unwrap();
            filled = filled.replace("http://weixin.qq.com/q/02…", url);
            filled = filled.replace("\"TPL\"", "\"TPL2\"");
        }
        filled
    }

    /// Lets everything come to its end.
    pub(super) async fn settle(&mut self) {
        self.app.drain().await;
    }

    /// What must have happened before a command can do what the document says.
    async fn prepare(&self, command: &Command) {
        let (app, key) = (&self.app, &self.key);
        match command.path.as_str() {
            // What is unreachable can be retried once its reason is gone.
            "/deliveries/2/retry" => {
                let member = app.api(key).staff("e1002");
                member.bound_to(by_unionid(2)).await;
            }
            // The endpoint to which a route posts.
            "/message-types/order_urgent" => {
                let body = json!({"url": self.receiver.url, "events": ["webhook.disabled"]});
                app.post(key, "/webhooks", body).await.ok(201);
            }
            // Two people come with other unionids, one of them bound by the new one already.
            path if path.ends_with("/moved") => {
                let world = app.simulator.world();
                let follow = async || {
                    for person in [7, 8] {
                        world.follow(OA, person, Origin::default()).await.unwrap();
                    }
                    app.drain().await;
                };
                let bind = async |staff_id: &str, unionid: String| {
                    let member = app.api(key).staff(staff_id);
                    member.bound_to(json!({"unionid": unionid})).await;
                };
                follow().await;
                bind("m7", population::unionid(7)).await;
                bind("m8", population::unionid(8)).await;
                for person in [7, 8] {
                    world.change_unionids(Some(person)).unwrap();
                    world.unfollow(OA, person).await.unwrap();
                }
                bind("m9", world.unionid(OA, 8).unwrap()).await;
                app.advance(Duration::from_secs(2));
                follow().await;
            }
            // Consent is used up, so that somebody is running out of it.
            path if path.starts_with("/credits/low") => {
                app.advance(Duration::from_secs(1));
                let withdrawn = app
                    .simulator
                    .world()
                    .withdraw_consent(MP, 1, &["TPL"])
                    .await;
                assert!(withdrawn.is_ok(), "{withdrawn:?}");
                app.drain().await;
            }
            _ => {}
        }
    }

    /// Fills in what a document cannot know.
    fn fill_in(&self, value: &mut Value, person: u32, app_id: &str) {
        let Value::Object(members) = value else {
            return;
        };
        let app_id = match members.get("app_id").and_then(Value::as_str) {
            Some(own) => own.to_owned(),
            None => app_id.to_owned(),
        };
        for (name, value) in members.iter_mut() {
            if let Value::Array(items) = value {
                // Each names somebody else.
                for (item, person) in items.iter_mut().zip(person..) {
                    self.fill_in(item, person, &app_id);
                }
                continue;
            }
            let Some(text) = value.as_str() else { continue };
            let filled = match (name.as_str(), text) {
                ("openid", "o…") => population::openid(&app_id, person),
                ("unionid", "o…") => population::unionid(person),
                ("code", "CODE") => self.app.simulator.world().log_in(MP, person).unwrap(),
                ("url", "https://example.com/hooks/wechat") => self.receiver.url.clone(),
                ("password", "PASSWORD") => PASSWORD.to_owned(),
                ("access_token", "94_…") => self.access_token.clone(),
                ("send_at" | "expires_at", told) => {
                    let tomorrow = self.app.clock.now() + chrono::TimeDelta::days(1);
                    told.replace("2026-01-01", &tomorrow.format("%F").to_string())
                }
                _ => continue,
            };
            *value = Value::String(filled);
        }
    }
}

/// Staff member e100N is person N.
fn person_of(path: &str) -> u32 {
    let number = path.split("/e100").nth(1).and_then(|rest| rest.get(..1));
    number.and_then(|digit| digit.parse().ok()).unwrap_or(1)
}

/// The account that a path names, else the official account.
fn app_of(path: &str) -> &str {
    path.split('/')
        .find(|part| part.starts_with("wx"))
        .unwrap_or(OA)
}

/// Where the simulator is, with a slash at the end.
fn world_url(app: &TestApp) -> reqwest::Url {
    app.simulator.base_url()
}
