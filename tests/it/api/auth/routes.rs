//! Every route of the table, with what a key needs for it: without a key, with each scope, and with
//! another project's key. A route that is added to the table is to be added here.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use diesel::RunQueryDsl;
use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::{DbError, Engine};
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::super::{ApiFixture, FOREIGN, MP, OA};
use super::roles::{PeopleRow, people_rows};
use crate::support::Fixture;
use crate::support::app::Answer;
use crate::support::routes::listed;
use Foreign::{NotFound, Nothing, Own, Refused};
use Scope::{Admin, Notify, Read, Token, Webhooks};

/// What another project's key is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    /// The path names what does not exist for it.
    NotFound,
    /// There is nothing of the kind; for the first project there is.
    Nothing,
    /// It acts in its own project.
    Own,
    /// Its own project does not have what the body names.
    Refused(&'static str),
}

/// A route, and a call of it about something of the first project.
pub(super) struct Row {
    pub(super) method: &'static str,
    /// As in the table.
    pub(super) route: &'static str,
    query: &'static str,
    /// As in the table, beside `admin`.
    pub(super) scope: Scope,
    /// Another scope that will do, with what is asked with it.
    pub(super) or: Option<(Scope, Value)>,
    foreign: Foreign,
    pub(super) body: Option<Value>,
}

fn row(call: &'static str, scope: Scope, foreign: Foreign) -> Row {
    let (method, path) = call.split_once(' ').unwrap();
    let (route, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    Row {
        method,
        route,
        query,
        scope,
        or: None,
        foreign,
        body: None,
    }
}

impl Row {
    /// Another scope will do, too.
    fn or(mut self, scope: Scope, body: Value) -> Self {
        self.or = Some((scope, body));
        self
    }

    fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// Every route; what deletes is at the end, and what belongs to something before that.
pub(super) fn rows() -> Vec<Row> {
    let ping = json!({"message_type": "ping", "staff_ids": ["s1"]});
    let route = json!({"account": OA, "template_id": "T", "fields": {"thing1": "x"}});
    let hook = json!({"url": "https://example.com/hook", "events": ["account.alert"]});
    let accept = json!({"openid": population::openid(MP, 0), "results": {"T": "accept"}});
    let adopt = json!({"rows": [{"openid": population::openid(MP, 5)}]});
    let day = json!({"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"});
    let mut rows = vec![
        row("POST /miniprogram/{app_id}/sessions", Notify, NotFound)
            .with(json!({"code": "x"}))
            .or(Token, json!({"code": "x", "return_session_key": true})),
        row("POST /miniprogram/{app_id}/subscriptions", Notify, NotFound).with(accept),
        row("POST /miniprogram/{app_id}/identities", Notify, NotFound).with(adopt),
        row("GET /credits/low?template_id=T&below=9", Read, Nothing),
        row("GET /staff", Read, Nothing),
        row("POST /staff/import", Notify, Own).with(json!({"rows": [{"staff_id": "n1"}]})),
        row("GET /staff/export", Read, Own),
        row("PUT /staff/{staff_id}", Notify, Own).with(json!({"name": "n"})),
        row("GET /staff/{staff_id}", Read, NotFound),
        row("DELETE /staff/{staff_id}", Admin, NotFound),
        row("POST /staff/{staff_id}/bindings", Notify, NotFound).with(json!({"unionid": "u"})),
        row("DELETE /staff/{staff_id}/bindings/{id}", Admin, NotFound),
        // Through an account of theirs, to a staff member who is not.
        row("POST /staff/{staff_id}/invitations", Notify, NotFound)
            .with(json!({"app_id": FOREIGN})),
        row("GET /staff/{staff_id}/invitations", Read, NotFound),
        row(
            "DELETE /staff/{staff_id}/invitations/{id}",
            Notify,
            NotFound,
        ),
        row("GET /staff/{staff_id}/credits", Read, NotFound),
        row("GET /staff/{staff_id}/explain", Read, NotFound),
        row("GET /people", Read, Nothing),
        row("GET /people/{identity_id}", Read, NotFound),
        row("DELETE /people/{identity_id}", Admin, NotFound),
        row("GET /erasures/{id}", Read, NotFound),
        row("GET /message-types", Read, Nothing),
        row(
            "PUT /message-types/{name}",
            Admin,
            Refused("unknown_app_id"),
        )
        .with(json!({"routes": [route]})),
        row("GET /message-types/{name}", Read, NotFound),
        row("DELETE /message-types/{name}", Admin, NotFound),
        row("POST /message-types/{name}/preview", Read, NotFound),
        row(
            "POST /notifications",
            Notify,
            Refused("unknown_message_type"),
        )
        .with(ping.clone()),
        row("GET /notifications", Read, Nothing),
        row(
            "POST /notifications/preflight",
            Read,
            Refused("unknown_message_type"),
        )
        .with(ping.clone())
        .or(Notify, ping),
        row("GET /notifications/{id}", Read, NotFound),
        row("POST /notifications/{id}/cancel", Notify, NotFound),
        row("GET /notifications/{id}/deliveries", Read, NotFound),
        row("GET /deliveries", Read, Nothing),
        row("POST /deliveries/retry", Notify, Nothing).with(json!({"state": "unreachable"})),
        row("GET /deliveries/{id}", Read, NotFound),
        row("POST /deliveries/{id}/retry", Notify, NotFound),
        row("GET /events", Read, Nothing),
        row("POST /events/replay", Admin, Nothing),
        row("GET /events/{id}", Read, NotFound),
        row("POST /events/{id}/replay", Admin, NotFound),
        row("GET /accounts", Read, Own),
        row("POST /accounts/{app_id}/resume", Admin, NotFound),
        row("GET /accounts/{app_id}/moved", Read, NotFound),
        row("POST /accounts/{app_id}/moved/rebind", Admin, NotFound),
        row("POST /accounts/{app_id}/imports", Admin, NotFound).with(json!({})),
        row("GET /accounts/{app_id}/access-token", Token, NotFound),
        row(
            "POST /accounts/{app_id}/access-token/invalid",
            Token,
            NotFound,
        )
        .with(json!({"access_token": "x"})),
        row("GET /accounts/{app_id}/templates", Read, NotFound),
        row("POST /accounts/{app_id}/templates/sync", Admin, NotFound),
        row("POST /webhooks", Webhooks, Own).with(hook.clone()),
        row("GET /webhooks", Webhooks, Nothing),
        row("GET /webhooks/{id}", Webhooks, NotFound),
        row("PUT /webhooks/{id}", Webhooks, NotFound).with(hook),
        row("DELETE /webhooks/{id}", Webhooks, NotFound),
        row("POST /webhooks/{id}/rotate-secret", Webhooks, NotFound),
        row("POST /webhooks/{id}/test", Webhooks, NotFound),
        row("POST /webhooks/{id}/replay", Webhooks, NotFound).with(day),
        row("GET /webhooks/{id}/deliveries", Webhooks, NotFound),
        row(
            "POST /webhooks/{id}/deliveries/{message_id}/retry",
            Webhooks,
            NotFound,
        ),
        row("GET /stats?from=2026-01-01&to=2026-01-02", Read, Own),
        row("GET /audit", Admin, Nothing),
        row("GET /imports/{id}", Read, NotFound),
    ];
    rows.sort_by_key(|row| {
        let parts = Reverse(row.route.split('/').count());
        (row.method == "DELETE").then_some(parts)
    });
    rows
}

/// [`ApiFixture`], whose first project has something for every route.
pub(super) struct Full {
    pub(super) api: ApiFixture,
    /// By the part of a path before an id, or the id's own name.
    ids: Vec<(&'static str, String)>,
}

impl Fixture for Full {
    async fn on(engine: Engine) -> Self {
        let api = ApiFixture::on(engine).await;
        let (app, key) = (&api.app, api.key.as_str());
        api.new_follower(0).await;
        api.new_follower(2).await;
        for path in ["/staff/s1", "/staff/s2"] {
            app.put(key, path, json!({})).await.ok(201);
        }
        let code = json!({"app_id": MP, "code": api.code(0)});
        let binding = app.post(key, "/staff/s1/bindings", code).await.ok(201);
        let allowed = json!({"openid": population::openid(MP, 0), "results": {"T": "accept"}});
        let path = format!("/miniprogram/{MP}/subscriptions");
        app.post(key, &path, allowed).await.ok(200);
        let route = json!({"account": OA, "template_id": "T", "fields": {"thing1": "x"}});
        let routes = json!({"routes": [route]});
        app.put(key, "/message-types/ping", routes).await.ok(201);
        let ping = json!({"message_type": "ping", "staff_ids": ["s1", "s2"]});
        let notification = app.post(key, "/notifications", ping).await.ok(202)["id"].to_string();
        let path = format!("/accounts/{OA}/imports");
        let import = app.post(key, &path, json!({})).await.ok(202);
        app.drain().await;
        let first = async |path: &str| {
            let list = app.get(key, path).await.ok(200);
            list["items"][0]["id"].to_string()
        };
        let delivery = first(&format!("/notifications/{notification}/deliveries")).await;
        let path = format!("/events?openid={}", population::openid(OA, 0));
        let event = first(&path).await;
        let failed = format!("UPDATE events SET state = 2 WHERE id = {event}");
        let failed = app
            .bridge
            .db
            .write(move |conn| Ok::<_, DbError>(diesel::sql_query(&failed).execute(conn)?));
        assert_eq!(failed.await.unwrap(), 1);
        let person = async |person: u32| {
            let path = format!("/people?openid={}", population::openid(OA, person));
            app.get(key, &path).await.ok(200)["items"][0]["identity_id"].to_string()
        };
        let path = format!("/people/{}", person(2).await);
        let erasure = app.delete(key, &path).await.ok(200);
        let invited = json!({"app_id": OA});
        let invitation = app
            .post(key, "/staff/s1/invitations", invited)
            .await
            .ok(201);
        let path = format!("/accounts/{OA}/access-token");
        app.get(key, &path).await.ok(200);
        let hook = json!({"url": "https://example.com/hook", "events": ["account.alert"]});
        let endpoint = app.post(key, "/webhooks", hook).await.ok(201)["id"].to_string();
        // Nothing is posted, as no step runs any more.
        let path = format!("/webhooks/{endpoint}/test");
        app.call("POST", key, &path, None).await.ok(202);
        let message = first(&format!("/webhooks/{endpoint}/deliveries")).await;
        let ids = vec![
            ("miniprogram", MP.to_owned()),
            ("accounts", OA.to_owned()),
            ("staff", "s1".to_owned()),
            ("message-types", "ping".to_owned()),
            ("bindings", binding["id"].to_string()),
            ("invitations", invitation["id"].to_string()),
            ("people", person(0).await),
            ("erasures", erasure["id"].to_string()),
            ("notifications", notification),
            ("deliveries", delivery),
            ("events", event),
            ("webhooks", endpoint),
            ("{message_id}", message),
            ("imports", import["id"].to_string()),
        ];
        Self { api, ids }
    }
}

impl Full {
    /// The path of a call about the first project's things.
    pub(super) fn path(&self, row: &Row) -> String {
        let (mut path, mut before) = (String::new(), "");
        for part in row.route.split('/').skip(1) {
            path.push('/');
            if part.starts_with('{') {
                let mut ids = self.ids.iter();
                let id = ids
                    .find(|(name, _)| *name == part)
                    .or_else(|| self.ids.iter().find(|(name, _)| *name == before));
                path += &id
                    .unwrap_or_else(|| panic!("{}: what is {part}?", row.route))
                    .1;
            } else {
                path += part;
            }
            before = part;
        }
        path + row.query
    }

    async fn call(&self, row: &Row, key: &str) -> Answer {
        self.call_with(row, key, row.body.as_ref()).await
    }

    async fn call_with(&self, row: &Row, key: &str, body: Option<&Value>) -> Answer {
        let path = self.path(row);
        self.api.app.call(row.method, key, &path, body).await
    }

    /// What the first project sees of everything.
    async fn seen(&self) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        for row in rows().iter().filter(|row| row.method == "GET") {
            let path = self.path(row);
            // A token that is lent again, and that it was.
            if !path.ends_with("/access-token") && path != "/audit" {
                let answer = self.call(row, &self.api.key).await;
                assert_eq!(answer.status, 200, "{path} {answer:?}");
                seen.push((path, answer.text));
            }
        }
        seen
    }
}

/// How many things an answer is about.
fn counted(answer: &Value) -> usize {
    let taken = ["taken", "not_taken"].map(|name| answer[name].as_u64().unwrap_or_default());
    let items = answer["items"].as_array().map_or(0, Vec::len);
    items + usize::try_from(taken.iter().sum::<u64>()).unwrap()
}

#[test]
fn every_route_of_the_table_is_tried() {
    let table = listed().into_iter().map(|one| {
        let scopes = one.scopes.join(" or ");
        format!("{} {} · {scopes}", one.method, one.path)
    });
    let table: BTreeSet<String> = table.collect();
    let tried = rows().into_iter().map(|row| {
        let or = row.or.map(|(scope, _)| format!(" or {scope}"));
        let scopes = format!("{}{}", row.scope, or.unwrap_or_default());
        format!("{} {} · {scopes}", row.method, row.route)
    });
    let of_people = people_rows().into_iter().map(|row| {
        let PeopleRow {
            method,
            route,
            need,
            ..
        } = row;
        format!("{method} {route} · {need}")
    });
    let tried: BTreeSet<String> = tried.chain(of_people).collect();
    let untried: Vec<_> = table.difference(&tried).collect();
    let gone: Vec<_> = tried.difference(&table).collect();
    assert!(
        untried.is_empty() && gone.is_empty(),
        "routes of src/web/api.rs without a row in tests/it/api/auth/routes.rs: {untried:#?}, rows \
         without a route: {gone:#?}"
    );
}

both_engines! {
    every_route_demands_its_scope,
    another_projects_things_do_not_exist,
}

async fn every_route_demands_its_scope(full: Full) {
    let api = &full.api;
    let unknown = format!("qq_{}", "A".repeat(43));
    let mut keys = Vec::new();
    for scope in Scope::ALL.iter().filter(|scope| **scope != Admin) {
        keys.push((*scope, api.app.key(api.project, &[*scope]).await));
    }
    for row in rows() {
        let what = format!("{} {}", row.method, row.route);
        for key in ["", &unknown] {
            let refused = full.call(&row, key).await;
            refused.refused(401, "unauthorized", "");
            let challenge = refused.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer realm=\"queqiao\""), "{what}");
        }
        for (scope, key) in &keys {
            let body = match &row.or {
                _ if *scope == row.scope => row.body.as_ref(),
                Some((or, body)) if or == scope => Some(body),
                _ => {
                    let refused = full.call(&row, key).await;
                    refused.refused(403, "missing_scope", "");
                    continue;
                }
            };
            let answer = full.call_with(&row, key, body).await;
            assert!(
                ![401, 403, 500].contains(&answer.status),
                "{what} {answer:?}"
            );
        }
        let answer = full.call(&row, &api.key).await;
        assert!(
            ![401, 403, 500].contains(&answer.status),
            "{what} {answer:?}"
        );
    }
}

async fn another_projects_things_do_not_exist(full: Full) {
    let api = &full.api;
    let before = full.seen().await;
    let mut calls = rows();
    // What makes something of their own comes last, so that they have nothing until then.
    calls.sort_by_key(|row| row.foreign == Own);
    for row in calls {
        let what = format!("{} {}", row.method, row.route);
        let answer = full.call(&row, &api.other).await;
        match row.foreign {
            NotFound => drop(answer.refused(404, "not_found", "")),
            Refused(code) => {
                assert_eq!(answer.status, 422, "{what} {answer:?}");
                assert_eq!(answer.json()["code"], code, "{what} {answer:?}");
            }
            Nothing | Own => {
                assert!((200..300).contains(&answer.status), "{what} {answer:?}");
                for id in [OA, MP] {
                    assert!(!answer.text.contains(id), "{what} {answer:?}");
                }
            }
        }
        if row.foreign == Nothing {
            assert_eq!(counted(&answer.json()), 0, "{what} {answer:?}");
        }
    }
    for (before, after) in before.into_iter().zip(full.seen().await) {
        assert_eq!(before, after, "what another project does is not seen");
    }
    // The same calls, by the project whose things these are.
    for row in rows() {
        let what = format!("{} {}", row.method, row.route);
        let answer = full.call(&row, &api.key).await;
        assert!(
            ![401, 403, 404, 500].contains(&answer.status),
            "{what} {answer:?}"
        );
        if row.foreign == Nothing {
            assert!(counted(&answer.json()) > 0, "{what} {answer:?}");
        }
    }
}
