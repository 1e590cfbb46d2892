//! The API, `/api/v1`: every route on one screen, with the scope that a key needs for it, or who may use it.
//!
//! `read` looks up, `notify` is what a business app does day by day (notify, log in, report
//! consent, bring openids in, put staff, bind, invite), `token` borrows access tokens, `webhooks` is about endpoints,
//! `admin` deletes and changes settings, and covers the others. A key sees one project; what belongs
//! to another one does not exist for it
//! (404). Somebody who has signed in may do what the scopes of their role say (`bridge/users/session.rs`); where a
//! route is about no project, it is for a `User`, an `Owner` or, like the way in, for `Nobody` in particular.
//!
//! Bodies and answers are JSON. Ids are numbers, except WeChat's msgid, which is a string because
//! it exceeds what JavaScript counts exactly. Times are RFC 3339 in UTC. Errors are problem
//! details (see `web::error`), lists have pages (see `web::cursor`).

#![allow(
    unused_qualifications,
    reason = "what describes operations for the document is written with full paths"
)]

mod access_token;
mod accounts;
mod audit;
mod check;
mod credits;
mod deliveries;
mod erasures;
mod events;
mod explain;
mod identities;
mod imports;
mod large;
mod message_types;
mod moved;
mod notifications;
mod openapi;
mod params;
mod people;
mod person;
mod person_body;
mod sessions;
mod sign_in;
mod staff;
mod stats;
mod subscriptions;
mod table;
mod templates;
mod times;
mod users;
mod webhooks;

use Need::{Admin, Nobody, Notify, Owner, Read, Token, User, Webhooks};
use actix_web::http::{Method, header};
use actix_web::web::Data;
use actix_web::{
    FromRequest, Handler, HttpRequest, Resource, Responder, Route, Scope as Routes, middleware, web,
};

use super::auth::{self, Caller, Demand, Need, Visitor};
use super::body::BodyLimit;
use super::error::{self, Code, Problem};
use super::stray::Strays;
use super::{State, cursor, looked_up};
use crate::bridge::accounts::keys::Scope;
use crate::bridge::limits::TABLE_ROWS_MAX;

/// Largest body of a preview, bytes: the largest params of a notification fit.
const PREVIEW_MAX: usize = 128 << 10;
/// Largest body of a notification, bytes: a hundred thousand staff ids fit.
const NOTIFICATION_MAX: usize = 16 << 20;
/// Largest body of a table of identities or staff, bytes: ten thousand rows with consents fit.
const TABLE_MAX: usize = 16 << 20;

/// Characters of a path that is repeated in an answer.
const PATH_SHOWN_MAX: usize = 200;
/// Where all routes are described.
pub(super) const DOCUMENTED: &str =
    "All routes are in docs/api.md of Queqiao's source, the first steps in docs/setup.md.";

pub use openapi::document;
pub(super) use openapi::page;

/// Every route.
pub(super) fn scope(max_recipients: usize) -> Routes {
    table(max_recipients).routes
}

#[rustfmt::skip]
fn table(max_recipients: usize) -> Table {
    let notification = BodyLimit { bytes: NOTIFICATION_MAX, entries: max_recipients };
    let table = BodyLimit { bytes: TABLE_MAX, entries: TABLE_ROWS_MAX };
    let preview = BodyLimit { bytes: PREVIEW_MAX, ..BodyLimit::default() };
    Table::new()
        .service(at("/v1/miniprogram/{app_id}/sessions", [open(Notify, sessions::create)]))
        .service(at("/v1/miniprogram/{app_id}/subscriptions", [post(Notify, subscriptions::create)]))
        .service(at("/v1/miniprogram/{app_id}/identities", [post(Notify, identities::create)])
            .app_data(table))
        .service(at("/v1/credits/low", [search(Read, credits::low)]))
        .service(at("/v1/staff", [search(Read, staff::list)]))
        // Before the ones with an id.
        .service(at("/v1/staff/import", [post(Notify, staff::import::create)])
            .app_data(table))
        .service(at("/v1/staff/export", [search(Read, staff::export::find)]))
        .service(at("/v1/staff/{staff_id}", [put(Notify, staff::put), get(Read, staff::find), delete(Admin, staff::delete)]))
        .service(at("/v1/staff/{staff_id}/bindings", [post(Notify, staff::bindings::create)]))
        .service(at("/v1/staff/{staff_id}/bindings/{id}", [delete(Admin, staff::bindings::delete)]))
        .service(at("/v1/staff/{staff_id}/invitations", [post(Notify, staff::invitations::create), search(Read, staff::invitations::list)]))
        .service(at("/v1/staff/{staff_id}/invitations/{id}", [delete(Notify, staff::invitations::revoke)]))
        .service(at("/v1/staff/{staff_id}/credits", [get(Read, credits::of_staff)]))
        .service(at("/v1/staff/{staff_id}/explain", [search(Read, explain::find)]))
        .service(at("/v1/people", [search(Read, people::list)]))
        .service(at("/v1/people/{identity_id}", [get(Read, people::find), delete(Admin, erasures::create)]))
        .service(at("/v1/erasures/{id}", [get(Read, erasures::find)]))
        .service(at("/v1/message-types", [search(Read, message_types::list)]))
        .service(at("/v1/message-types/{name}", [put(Admin, message_types::put), get(Read, message_types::find), delete(Admin, message_types::delete)]))
        .service(at("/v1/message-types/{name}/preview", [post(Read, message_types::preview::create)])
            .app_data(preview))
        .service(at("/v1/notifications", [post(Notify, notifications::create), search(Read, notifications::list)])
            .app_data(notification))
        // Before the one with an id.
        .service(at("/v1/notifications/preflight", [look(Read, notifications::preflight::create)])
            .app_data(notification))
        .service(at("/v1/notifications/{id}", [get(Read, notifications::find)]))
        .service(at("/v1/notifications/{id}/cancel", [post(Notify, notifications::cancel::create)]))
        .service(at("/v1/notifications/{id}/deliveries", [search(Read, deliveries::list)]))
        .service(at("/v1/deliveries", [search(Read, deliveries::search)]))
        .service(at("/v1/deliveries/retry", [post(Notify, deliveries::retry::many)]))
        .service(at("/v1/deliveries/{id}", [get(Read, deliveries::find)]))
        .service(at("/v1/deliveries/{id}/retry", [post(Notify, deliveries::retry::one)]))
        .service(at("/v1/events", [search(Read, events::list)]))
        // Before the one with an id.
        .service(at("/v1/events/replay", [post(Admin, events::replay_many)]))
        .service(at("/v1/events/{id}", [get(Read, events::find)]))
        .service(at("/v1/events/{id}/replay", [post(Admin, events::replay)]))
        .service(at("/v1/accounts", [get(Read, accounts::list)]))
        .service(at("/v1/accounts/{app_id}/resume", [post(Admin, accounts::resume)]))
        .service(at("/v1/accounts/{app_id}/moved", [search(Read, moved::list)]))
        .service(at("/v1/accounts/{app_id}/moved/rebind", [post(Admin, moved::rebind)]))
        .service(at("/v1/accounts/{app_id}/imports", [post(Admin, imports::create)]))
        .service(at("/v1/accounts/{app_id}/access-token", [get(Token, access_token::lend)]))
        .service(at("/v1/accounts/{app_id}/access-token/invalid", [post(Token, access_token::report)]))
        .service(at("/v1/accounts/{app_id}/templates", [search(Read, templates::list)]))
        .service(at("/v1/accounts/{app_id}/templates/sync", [post(Admin, templates::sync)]))
        .service(at("/v1/webhooks", [post(Webhooks, webhooks::create), search(Webhooks, webhooks::list)]))
        .service(at("/v1/webhooks/{id}", [get(Webhooks, webhooks::find), put(Webhooks, webhooks::put), delete(Webhooks, webhooks::delete)]))
        .service(at("/v1/webhooks/{id}/rotate-secret", [post(Webhooks, webhooks::rotate)]))
        .service(at("/v1/webhooks/{id}/test", [post(Webhooks, webhooks::test)]))
        .service(at("/v1/webhooks/{id}/replay", [post(Webhooks, webhooks::messages::replay)]))
        .service(at("/v1/webhooks/{id}/deliveries", [search(Webhooks, webhooks::messages::list)]))
        .service(at("/v1/webhooks/{id}/deliveries/{message_id}/retry", [post(Webhooks, webhooks::messages::retry)]))
        .service(at("/v1/stats", [search(Read, stats::find)]))
        .service(at("/v1/audit", [search(Admin, audit::list)]))
        .service(at("/v1/imports/{id}", [get(Read, imports::find)]))
        .with(signing_in)
}

/// The routes, and what each demands, for the document that describes them.
struct Table {
    routes: Routes,
    demands: Vec<(&'static str, Method, Demand)>,
}

/// A path of the table.
struct At {
    path: &'static str,
    resource: Resource,
    demands: Vec<(Method, Demand)>,
}

impl Table {
    fn new() -> Self {
        let routes = web::scope("/api")
            .app_data(BodyLimit::default())
            .app_data(error::query())
            .app_data(error::path())
            .default_service(web::to(no_such_route));
        Self {
            routes,
            demands: Vec::new(),
        }
    }

    fn with(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }

    fn service(mut self, at: At) -> Self {
        let demands = at.demands.into_iter();
        self.demands
            .extend(demands.map(|(method, demand)| (at.path, method, demand)));
        self.routes = Routes::service(self.routes, at.resource);
        self
    }
}

impl At {
    fn app_data(mut self, limit: BodyLimit) -> Self {
        self.resource = self.resource.app_data(limit);
        self
    }
}

/// What is about people who sign in, and about no project.
#[rustfmt::skip]
fn signing_in(table: Table) -> Table {
    table
        .service(at("/v1/session", [post(Nobody, sign_in::create), get(User, sign_in::find), delete(User, sign_in::delete)]))
        .service(at("/v1/session/oidc", [get(Nobody, sign_in::oidc::begin)]))
        .service(at("/v1/session/oidc/callback", [search(Nobody, sign_in::oidc::finish)]))
        .service(at("/v1/session/password", [put(User, sign_in::password::put)]))
        .service(at("/v1/users", [post(Owner, users::create), search(Owner, users::list)]))
        .service(at("/v1/users/{id}", [get(Owner, users::find), put(Owner, users::put), delete(Owner, users::delete)]))
        .service(at("/v1/users/{id}/sessions", [delete(Owner, users::sessions::delete)]))
}

/// A path with its methods; any other method is answered 405 with those that there are.
fn at<const N: usize>(path: &'static str, routes: [(Method, Demand, Route); N]) -> At {
    let mut allowed = Vec::with_capacity(N);
    let mut demands = Vec::with_capacity(N);
    let mut resource = web::resource(path);
    for (method, demand, route) in routes {
        allowed.push(method.to_string());
        demands.push((method.clone(), demand));
        if method == Method::GET {
            allowed.push(Method::HEAD.to_string());
        }
        resource = resource.route(route);
    }
    let allowed = allowed.join(", ");
    let resource = resource.default_service(web::to(move || {
        let problem = Problem::new(Code::MethodNotAllowed, format!("The route has: {allowed}."));
        let problem = problem.header(header::ALLOW, &allowed);
        async move { Err::<String, Problem>(problem) }
    }));
    At {
        path,
        resource,
        demands,
    }
}

async fn no_such_route(
    state: Data<State>,
    strays: Data<Strays>,
    request: HttpRequest,
) -> Result<String, Problem> {
    strays.unknown_path(&state, &request);
    let path = request.path();
    let detail = match path.strip_suffix('/') {
        Some(without) if path != "/api/" && path != "/api/v1/" => {
            let without: String = without.chars().take(PATH_SHOWN_MAX).collect();
            format!("The API's paths have no slash at the end: ask for {without}. {DOCUMENTED}")
        }
        _ => format!("The API's routes begin with /api/v1. {DOCUMENTED}"),
    };
    Err(Problem::new(Code::NoSuchRoute, detail))
}

fn route(method: &Method) -> Route {
    match *method {
        Method::GET => looked_up(),
        _ => web::method(method.clone()),
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $method:ident, $query:literal, $or:expr;)*) => {$(
        $(#[$doc])*
        fn $name<F, Args>(need: Need, handler: F) -> (Method, Demand, Route)
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            let demand = Demand { need, or: $or, query: $query };
            let check = middleware::from_fn(move |request, next| auth::check(demand, request, next));
            (Method::$method, demand, route(&Method::$method).to(handler).wrap(check))
        }
    )*};
}

methods! {
    get: GET, false, None;
    /// A GET that reads a query string.
    search: GET, true, None;
    post: POST, false, None;
    /// A POST by which those who borrow tokens may have a session_key too.
    open: POST, false, Some(Scope::Token);
    /// A POST that changes nothing, for those who notify too.
    look: POST, false, Some(Scope::Notify);
    put: PUT, false, None;
    delete: DELETE, false, None;
}
