//! Signing in through an identity provider: with each role, and what is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use queqiao::db::Engine;
use serde_json::{Value, json};

use crate::support::app::Answer;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::provider::{Asked, Key, Provider};
use crate::support::{Fixture, Setup, TestApp, logs};

both_engines! {
    the_groups_of_somebody_are_their_roles_at_each_sign_in,
    what_was_not_begun_or_is_not_signed_for_us_is_refused,
    a_provider_that_is_away_disturbs_nothing_else,
    a_name_at_the_provider_is_nobodys_here,
}

/// A project `one`, and a provider whose groups are something in it.
struct OidcFixture {
    app: TestApp,
    provider: Provider,
}

impl Fixture for OidcFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, "bosses", "ops=one", "all=one; all=none").await
    }
}

impl OidcFixture {
    async fn with(engine: Engine, owners: &str, operators: &str, viewers: &str) -> Self {
        let provider = Provider::start();
        let project = Setup::on(engine)
            .settings(|config| {
                config.server.public_url = "http://wx.example.com/".to_owned();
                config.oidc.issuer = provider.issuer().to_owned();
                config.oidc.client_id = "queqiao".to_owned();
                config.oidc.client_secret = Some("s3cret".into());
                config.oidc.owner_groups = owners.to_owned();
                config.oidc.operator_groups = operators.to_owned();
                config.oidc.viewer_groups = viewers.to_owned();
            })
            .project("one")
            .start()
            .await;
        provider.follow(&project.app.clock);
        Self {
            app: project.app,
            provider,
        }
    }

    /// A browser that was sent to the provider, and with what.
    async fn begun(&self) -> (Browser, Asked) {
        let mut browser = Browser::new(&self.app.url);
        let sent = browser.bare("GET", "/session/oidc");
        let sent = self.app.send(sent).await;
        assert_eq!(sent.status, 302, "{sent:?}");
        browser.keep(&sent);
        let location = sent.headers["location"].to_str().unwrap();
        assert!(location.starts_with(self.provider.issuer()), "{location}");
        (browser, Asked::read(location))
    }

    /// The provider sends a browser back.
    async fn back(&self, browser: &mut Browser, code: &str, state: &str) -> Answer {
        let path = format!("/session/oidc/callback?code={code}&state={state}&session_state=x");
        let back = browser
            .bare("GET", &path)
            .header("Sec-Fetch-Site", "cross-site");
        let answer = self.app.send(back).await;
        browser.keep(&answer);
        answer
    }

    /// Somebody with these groups signs in.
    async fn signs_in(&self, subject: &str, groups: &[&str]) -> (Browser, Answer) {
        let (mut browser, asked) = self.begun().await;
        let claims = self.provider.claims(&asked, subject, groups);
        let code = self
            .provider
            .code(&asked, self.provider.key().token(&claims));
        let answer = self.back(&mut browser, &code, &asked.state).await;
        (browser, answer)
    }

    async fn signed_in(&self, subject: &str, groups: &[&str]) -> (Browser, Value) {
        let (browser, answer) = self.signs_in(subject, groups).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.headers["location"], "/");
        let who = browser.get("/session").await.ok(200);
        (browser, who)
    }
}

async fn the_groups_of_somebody_are_their_roles_at_each_sign_in(oidc: OidcFixture) {
    let (_, asked) = oidc.begun().await;
    assert_eq!(asked.scope, "openid profile email");
    let back = "http://wx.example.com/api/v1/session/oidc/callback";
    assert_eq!(asked.redirect_uri, back);
    let put = async |browser: &Browser| browser.put("/staff/s1", json!({})).await.status;
    let (viewer, who) = oidc.signed_in("v", &["all", "others"]).await;
    assert_eq!(who["user"]["display_name"], "王芳");
    assert_eq!(who["user"]["has_password"], false);
    assert_eq!(who["projects"][0]["role"], "viewer");
    assert_eq!(who["projects"].as_array().unwrap().len(), 1);
    assert_eq!(put(&viewer).await, 403);
    // `queqiao:s3cret`.
    assert_eq!(oidc.provider.authorization(), "Basic cXVlcWlhbzpzM2NyZXQ=");
    let (operator, who) = oidc.signed_in("o", &["ops", "all"]).await;
    assert_eq!(who["projects"][0]["role"], "operator");
    assert_eq!(put(&operator).await, 201);
    let (boss, who) = oidc.signed_in("b", &["bosses"]).await;
    assert_eq!(who["user"]["owner"], true);
    let listed = boss.get("/users").await.ok(200);
    assert_eq!(listed["items"][0]["issuer"], oidc.provider.issuer());
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    // What the groups gave they take away, in the other sessions too.
    let (again, who) = oidc.signed_in("o", &["all"]).await;
    assert_eq!(who["projects"][0]["role"], "viewer");
    for browser in [&operator, &again] {
        assert_eq!(put(browser).await, 403);
    }
    let (_, who) = oidc.signed_in("b", &["ops"]).await;
    assert_eq!(who["user"]["owner"], false);
    boss.get("/users").await.refused(403, "missing_role", "");
    let (_, refused) = oidc.signs_in("o", &["others"]).await;
    refused.refused(403, "missing_role", "");
    for browser in [&operator, &again] {
        browser
            .get("/session")
            .await
            .refused(401, "unauthorized", "");
    }
    let (_, refused) = oidc.signs_in("stranger", &[]).await;
    refused.refused(403, "missing_role", "");
    assert_eq!(oidc.provider.discovered(), 1, "it is asked for once");
}

/// Asserts that it is refused, with a word of why.
fn refused(answer: &Answer, part: &str) {
    let problem = answer.refused(403, "oidc_refused", "");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(part), "{part}: {detail}");
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
}

/// Makes a token of claims.
type Make<'a> = Box<dyn Fn(&Value) -> String + 'a>;

async fn what_was_not_begun_or_is_not_signed_for_us_is_refused(oidc: OidcFixture) {
    logs::capture();
    let (provider, key) = (&oidc.provider, oidc.provider.key());
    // What the claims are changed to, and what the refusal says.
    let now = oidc.app.clock.unix_seconds();
    for (change, part) in [
        (json!({"nonce": "another"}), "nonce"),
        (json!({"nonce": null}), "nonce"),
        (json!({"aud": "another"}), "audience"),
        (json!({"aud": ["queqiao", "another"]}), "audience"),
        (json!({"iss": "http://127.0.0.1:1"}), "issuer"),
        (json!({"exp": now - 1}), "Expired"),
    ] {
        let (mut browser, asked) = oidc.begun().await;
        let mut claims = provider.claims(&asked, "v", &["all"]);
        for (name, value) in change.as_object().unwrap() {
            match value.is_null() {
                true => drop(claims.as_object_mut().unwrap().remove(name)),
                false => claims[name] = value.clone(),
            }
        }
        let code = provider.code(&asked, key.token(&claims));
        refused(&oidc.back(&mut browser, &code, &asked.state).await, part);
    }
    // Whose token it is.
    let unsigned = |claims: &Value| {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}.", encode(&json!({"alg": "none"})), encode(claims))
    };
    let altered = |claims: &Value| {
        let token = key.token(claims);
        let (_, signature) = token.rsplit_once('.').unwrap();
        let other = key.token(&json!({"sub": "another"}));
        let (other, _) = other.rsplit_once('.').unwrap();
        format!("{other}.{signature}")
    };
    let tokens: [(&str, Make<'_>); 4] = [
        (
            "Signature",
            Box::new(|claims| Key::new("first").token(claims)),
        ),
        (
            "Signature",
            Box::new(|claims| Key::new("other").token(claims)),
        ),
        ("", Box::new(unsigned)),
        ("", Box::new(altered)),
    ];
    for (part, token) in tokens {
        let (mut browser, asked) = oidc.begun().await;
        let code = provider.code(&asked, token(&provider.claims(&asked, "v", &["all"])));
        let answer = oidc.back(&mut browser, &code, &asked.state).await;
        if part.is_empty() {
            assert!([403, 503].contains(&answer.status), "{answer:?}");
        } else {
            refused(&answer, part);
        }
        browser
            .get("/session")
            .await
            .refused(401, "unauthorized", "");
    }
    // Whose sign-in it is.
    let good = |asked: &Asked| {
        let claims = provider.claims(asked, "v", &["all"]);
        provider.code(asked, key.token(&claims))
    };
    let (mut browser, asked) = oidc.begun().await;
    let answer = oidc.back(&mut browser, &good(&asked), "another").await;
    refused(&answer, "state");
    let mut elsewhere = Browser::new(&oidc.app.url);
    let answer = oidc.back(&mut elsewhere, &good(&asked), &asked.state).await;
    refused(&answer, "in this browser");
    let (mut other, begun) = oidc.begun().await;
    // With the code of another sign-in its verifier does not fit.
    let answer = oidc.back(&mut other, &good(&asked), &begun.state).await;
    refused(&answer, "invalid_grant");
    let (mut browser, asked) = oidc.begun().await;
    let path = format!(
        "/session/oidc/callback?error=access_denied&state={}",
        asked.state
    );
    refused(&browser.get(&path).await, "access_denied");
    oidc.app.advance(Duration::from_secs(600));
    let answer = oidc.back(&mut browser, &good(&asked), &asked.state).await;
    refused(&answer, "600 seconds ago");
    // A code works once.
    let (mut browser, asked) = oidc.begun().await;
    let code = good(&asked);
    let kept = browser.clone();
    assert_eq!(
        oidc.back(&mut browser, &code, &asked.state).await.status,
        302
    );
    let answer = oidc.back(&mut kept.clone(), &code, &asked.state).await;
    refused(&answer, "invalid_grant");
    for secret in [&code, &asked.state, &asked.nonce, &browser.cookie] {
        assert_eq!(logs::lines_with(secret), [""; 0]);
    }
}

async fn a_provider_that_is_away_disturbs_nothing_else(oidc: OidcFixture) {
    let (app, provider) = (&oidc.app, &oidc.provider);
    provider.be_down(true);
    let begin = async || {
        app.send(Browser::new(&app.url).bare("GET", "/session/oidc"))
            .await
    };
    let away = begin().await;
    away.refused(503, "oidc_unreachable", "");
    assert!(away.headers.contains_key("retry-after"));
    app.user("ann", true, &[]).await;
    Browser::signed_in(app, "ann")
        .await
        .get("/staff")
        .await
        .ok(200);
    provider.be_down(false);
    oidc.signed_in("v", &["all"]).await;
    // What is known of it is good for an hour.
    provider.be_down(true);
    oidc.signed_in("v", &["all"]).await;
    app.advance(Duration::from_secs(3_600));
    begin().await.refused(503, "oidc_unreachable", "");
    provider.be_down(false);
    oidc.signed_in("v", &["all"]).await;
    // Its keys change: the new one is looked up, but not for every token with a wrong one.
    provider.change_key(Key::new("second"));
    let (_, answer) = oidc.signs_in("v", &["all"]).await;
    refused(&answer, "Signature");
    let before = provider.discovered();
    app.advance(Duration::from_secs(60));
    oidc.signed_in("v", &["all"]).await;
    assert_eq!(provider.discovered(), before + 1);
}

async fn a_name_at_the_provider_is_nobodys_here(oidc: OidcFixture) {
    let app = &oidc.app;
    let ann = app.user("Ann", true, &[]).await;
    let (_, who) = oidc.signed_in("ann", &["all"]).await;
    assert_eq!(who["user"]["name"], "ann-2");
    assert_ne!(who["user"]["id"], json!(ann));
    assert_eq!(who["user"]["owner"], false);
    let (_, again) = oidc.signed_in("ann", &["all"]).await;
    assert_eq!(again["user"]["id"], who["user"]["id"]);
    // They have no password.
    let mut browser = Browser::new(&app.url);
    let answer = browser.sign_in("ann-2", PASSWORD).await;
    answer.refused(401, "sign_in_refused", "");
    let owner = Browser::signed_in(app, "ann").await;
    let path = format!("/users/{}", who["user"]["id"]);
    owner.put(&path, json!({"disabled": true})).await.ok(200);
    let (_, refused) = oidc.signs_in("ann", &["all"]).await;
    refused.refused(401, "sign_in_refused", "");
}

#[tokio::test]
async fn where_groups_say_nothing_owners_do() {
    let oidc = OidcFixture::with(Engine::Sqlite, "", "", "").await;
    let (browser, who) = oidc.signed_in("new", &["all"]).await;
    assert_eq!(who["projects"], json!([]));
    let owner = oidc.app.owner().await;
    let roles = json!({"roles": [{"project": "one", "role": "viewer"}]});
    let path = format!("/users/{}", who["user"]["id"]);
    owner.put(&path, roles).await.ok(200);
    browser.get("/staff").await.ok(200);
    let (_, who) = oidc.signed_in("new", &[]).await;
    assert_eq!(who["projects"][0]["role"], "viewer");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_it() {
    let project = Setup::on(Engine::Sqlite).project("one").start().await;
    let app = &project.app;
    let browser = Browser::new(&app.url);
    for path in ["/session/oidc", "/session/oidc/callback?code=x&state=y"] {
        browser.get(path).await.refused(404, "oidc_off", "");
    }
}
