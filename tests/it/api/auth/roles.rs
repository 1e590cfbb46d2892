//! Every route of the table, with every role: what somebody may do who has signed in, and what needs nobody, anybody, or an
//! owner. A route that is added to the table is to be added here or in `routes.rs`.

use queqiao::bridge::accounts::keys::Scope;
use queqiao::models::user::Role;
use serde_json::{Value, json};

use super::routes::{Full, rows};
use crate::support::app::Answer;
use crate::support::browser::Browser;

/// A route that is about no project, with who may use it, as in the table.
pub(super) struct PeopleRow {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) need: &'static str,
    body: Option<Value>,
}

fn row(call: &'static str, need: &'static str) -> PeopleRow {
    let (method, route) = call.split_once(' ').unwrap();
    PeopleRow {
        method,
        route,
        need,
        body: None,
    }
}

impl PeopleRow {
    fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// Every such route; what ends something is at the end.
pub(super) fn people_rows() -> Vec<PeopleRow> {
    let wrong = json!({"name": "nobody", "password": "wrong"});
    let change = json!({"old_password": "wrong", "new_password": "another good one"});
    vec![
        row("POST /session", "nobody").with(wrong),
        row("GET /session/oidc", "nobody"),
        row("GET /session/oidc/callback", "nobody"),
        row("GET /session", "user"),
        row("PUT /session/password", "user").with(change),
        row("POST /users", "owner").with(json!({"name": "new"})),
        row("GET /users", "owner"),
        row("GET /users/{id}", "owner"),
        row("PUT /users/{id}", "owner").with(json!({"display_name": "x"})),
        row("DELETE /users/{id}/sessions", "owner"),
        row("DELETE /users/{id}", "owner"),
        row("DELETE /session", "user"),
    ]
}

both_engines! {
    every_route_demands_its_role,
    what_is_about_no_project_is_for_people,
}

/// What a role may do, in the scopes of keys.
fn may(role: Role, scope: Scope) -> bool {
    match role {
        Role::Viewer => scope == Scope::Read,
        Role::Operator | Role::Owner => scope != Scope::Token,
    }
}

async fn every_route_demands_its_role(full: Full) {
    let app = &full.api.app;
    let mut people = Vec::new();
    for role in [Role::Viewer, Role::Operator] {
        let name = role.as_str();
        app.user(name, false, &[("one", role)]).await;
        people.push((role, Browser::signed_in(app, name).await));
    }
    people.push((Role::Owner, app.owner().await.at("one")));
    app.user("none", false, &[]).await;
    app.user("foreign", false, &[("two", Role::Operator)]).await;
    let none = Browser::signed_in(app, "none").await;
    let foreign = Browser::signed_in(app, "foreign").await.at("one");
    for row in rows() {
        let (what, path) = (format!("{} {}", row.method, row.route), full.path(&row));
        let call = async |browser: &Browser| {
            let body = row.body.as_ref();
            browser.call(row.method, &path, body).await
        };
        call(&none).await.refused(403, "missing_role", "");
        let refused = call(&foreign).await;
        refused.refused(404, "unknown_project", "Queqiao-Project");
        for (role, browser) in &people {
            let or = row.or.as_ref().map(|(scope, _)| *scope);
            let mut scopes = [Some(row.scope), or].into_iter().flatten();
            let answer = call(browser).await;
            if !scopes.any(|scope| may(*role, scope)) {
                answer.refused(403, "missing_role", "");
                continue;
            }
            let is_answered = ![401, 403, 500].contains(&answer.status);
            assert!(is_answered, "{role} {what} {answer:?}");
        }
    }
}

/// Who asks for what is about no project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nobody,
    Key,
    Viewer,
    Operator,
    Owner,
}

async fn what_is_about_no_project_is_for_people(full: Full) {
    let app = &full.api.app;
    app.user("viewer", false, &[("one", Role::Viewer)]).await;
    app.user("operator", false, &[("one", Role::Operator)])
        .await;
    app.user("target", false, &[]).await;
    let people = [
        (Asks::Nobody, Browser::new(&app.url)),
        (Asks::Key, Browser::new(&app.url)),
        (Asks::Viewer, Browser::signed_in(app, "viewer").await),
        (Asks::Operator, Browser::signed_in(app, "operator").await),
        (Asks::Owner, app.owner().await),
    ];
    let users = people[4].1.get("/users").await.ok(200);
    let mut users = users["items"].as_array().unwrap().iter();
    let target = users.find(|user| user["name"] == "target").unwrap();
    for row in people_rows() {
        let path = row.route.replace("{id}", &target["id"].to_string());
        for (asks, browser) in &people {
            let mut request = browser.request(row.method, &path);
            if *asks == Asks::Key {
                request = request.bearer_auth(&full.api.key);
            }
            if let Some(body) = &row.body {
                request = request.json(body);
            }
            let answer: Answer = app.send(request).await;
            let what = format!("{asks:?} {} {} {answer:?}", row.method, row.route);
            match (row.need, asks) {
                ("nobody", _) if path.contains("/oidc") => {
                    answer.refused(404, "oidc_off", "");
                }
                ("nobody", _) => drop(answer.refused(401, "sign_in_refused", "")),
                (_, Asks::Nobody) => drop(answer.refused(401, "unauthorized", "")),
                (_, Asks::Key) => drop(answer.refused(403, "user_needed", "")),
                ("owner", Asks::Viewer | Asks::Operator) => {
                    answer.refused(403, "missing_role", "");
                }
                _ => assert!(![401, 403, 404, 500].contains(&answer.status), "{what}"),
            }
        }
    }
}
