//! Somebody before a browser: it keeps the cookie of a session, and says of each request where it comes from.

use queqiao::bridge::users::manage::UserDraft;
use queqiao::ids::UserId;
use queqiao::models::user::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::TestApp;
use super::app::Answer;

/// The password of everybody in the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A browser.
#[derive(Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    url: String,
    /// As the header has it; empty: none.
    pub(crate) cookie: String,
    /// The project that is looked at; empty: none is named.
    pub(crate) project: String,
}

impl Browser {
    /// One that has never been here.
    pub(crate) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy();
        let http = http.redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            url: url.to_owned(),
            cookie: String::new(),
            project: String::new(),
        }
    }

    /// One in which somebody has signed in.
    pub(crate) async fn signed_in(app: &TestApp, name: &str) -> Self {
        let mut browser = Self::new(&app.url);
        browser.sign_in(name, PASSWORD).await.ok(200);
        browser
    }

    /// The same, with a project that is looked at.
    pub(crate) fn at(&self, project: &str) -> Self {
        Self {
            project: project.to_owned(),
            ..self.clone()
        }
    }

    /// The same browser, before another process.
    pub(crate) fn before(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// Signs in, and keeps the cookie.
    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let body = json!({"name": name, "password": password});
        let answer = self.call("POST", "/session", Some(&body)).await;
        self.keep(&answer);
        answer
    }

    /// Keeps the cookies that an answer gives.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        let given = answer.headers.get_all("set-cookie").into_iter();
        let mut kept: Vec<(String, String)> = pairs(&self.cookie);
        for cookie in given {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let [(name, value)] = pairs(pair).try_into().unwrap();
            kept.retain(|(known, _)| *known != name);
            if !value.is_empty() {
                kept.push((name, value));
            }
        }
        let kept = kept.iter().map(|(name, value)| format!("{name}={value}"));
        self.cookie = kept.collect::<Vec<_>>().join("; ");
    }

    /// A request of a page of ours; `path` is below `/api/v1`.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .header("Sec-Fetch-Site", "same-origin")
    }

    /// The same without saying where it comes from.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.request(method, url);
        if !self.cookie.is_empty() {
            request = request.header("Cookie", &self.cookie);
        }
        if !self.project.is_empty() {
            request = request.header("Queqiao-Project", self.project.as_bytes());
        }
        request
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        super::api::send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }
}

fn pairs(cookies: &str) -> Vec<(String, String)> {
    let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl TestApp {
    /// Somebody who can sign in, with roles in projects.
    pub(crate) async fn user(&self, name: &str, is_owner: bool, roles: &[(&str, Role)]) -> UserId {
        let roles = roles.iter();
        let draft = UserDraft {
            name: name.to_owned(),
            display_name: None,
            password: Some(PASSWORD.into()),
            is_owner,
            roles: roles
                .map(|(project, role)| ((*project).to_owned(), *role))
                .collect(),
        };
        self.bridge.add_user(draft).await.unwrap().user.id
    }

    /// The owner, whose name is `owner`.
    pub(crate) async fn owner(&self) -> Browser {
        self.user("owner", true, &[]).await;
        Browser::signed_in(self, "owner").await
    }
}
