//! Who asks, and whether they may: before a handler runs, and before the body is read. A request comes with an API key,
//! or with the cookie of somebody who has signed in; with both it is the key's.

pub(super) mod cookie;
pub(super) mod origin;
mod refusals;
mod texts;
mod who;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};

use super::State;
use super::error::{Code, Problem};
use super::headers;
use crate::bridge::accounts::keys::{self, Scope};
use crate::bridge::users::session::SignedIn;
use crate::models::actor::Actor;

pub(super) use refusals::Refusals;
use who::Who;

/// Who asks, once [`check`] has let them through, and what their handler made.
#[derive(Debug)]
pub(super) struct Call<W> {
    who: Arc<W>,
    made: OnceLock<String>,
}

/// Whoever acts in a project, by a key or as a user.
pub(super) type Caller = web::ReqData<Arc<Call<keys::Caller>>>;

/// Whoever has signed in, where a route is about no project.
pub(super) type Visitor = web::ReqData<Arc<Call<SignedIn>>>;

impl<W> Call<W> {
    fn new(who: &Arc<W>) -> Arc<Self> {
        Arc::new(Self {
            who: Arc::clone(who),
            made: OnceLock::new(),
        })
    }

    /// Says which object the request made, for the line of the log: its path does not name it yet.
    pub(super) fn made(&self, id: impl fmt::Display) {
        // A handler makes one object.
        let _ = self.made.set(id.to_string());
    }
}

impl<W> Deref for Call<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.who
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Keys with the scope `read`, and everybody with a role in the project.
    Read,
    /// Keys with the scope `notify`, and operators.
    Notify,
    /// Keys with the scope `token`.
    Token,
    /// Keys with the scope `webhooks`, and operators.
    Webhooks,
    /// Keys with the scope `admin`, and operators.
    Admin,
    /// Owners who have signed in.
    Owner,
    /// Whoever has signed in.
    User,
    /// Anybody.
    Nobody,
}

impl Need {
    /// The scope that it is, where it is about a project.
    pub(super) fn scope(self) -> Option<Scope> {
        match self {
            Self::Read => Some(Scope::Read),
            Self::Notify => Some(Scope::Notify),
            Self::Token => Some(Scope::Token),
            Self::Webhooks => Some(Scope::Webhooks),
            Self::Admin => Some(Scope::Admin),
            Self::Owner | Self::User | Self::Nobody => None,
        }
    }
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Who may use it.
    pub(super) need: Need,
    /// Another scope that will do.
    pub(super) or: Option<Scope>,
    /// Whether the route reads a query string; where it does not, one is refused.
    pub(super) query: bool,
}

/// Lets a request through to its handler if whoever asks may do that. What changes something is logged with what
/// came of it, and what is refused is counted.
pub(super) async fn check(
    demand: Demand,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let who = match who::identify(demand.need, &request).await {
        Ok(who) => who,
        Err(problem) => return Ok(refuse(request, &problem)),
    };
    let call = match &who {
        Who::Caller(caller) => AnyCall::Caller(Call::new(caller)),
        Who::Visitor(signed_in) => AnyCall::Visitor(Call::new(signed_in)),
        Who::Nobody => AnyCall::Nobody,
    };
    let mut response = match admit(demand, &who, &mut request).await {
        Ok(()) => {
            match &call {
                AnyCall::Caller(call) => drop(request.extensions_mut().insert(Arc::clone(call))),
                AnyCall::Visitor(call) => drop(request.extensions_mut().insert(Arc::clone(call))),
                AnyCall::Nobody => {}
            }
            next.call(request).await?
        }
        Err(problem) => refuse(request, &problem),
    };
    headers::seal(response.headers_mut());
    if !response.request().method().is_safe() && demand.need != Need::Read {
        match &call {
            AnyCall::Caller(call) => log_change(&call.actor, call.made.get(), &response),
            AnyCall::Visitor(call) => log_change(&call.actor(), call.made.get(), &response),
            AnyCall::Nobody => {}
        }
    }
    Ok(response)
}

/// A call by whom it may be.
enum AnyCall {
    Caller(Arc<Call<keys::Caller>>),
    Visitor(Arc<Call<SignedIn>>),
    Nobody,
}

fn refuse(request: ServiceRequest, problem: &Problem) -> ServiceResponse<BoxBody> {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        let refusals = request.app_data::<web::Data<Refusals>>();
        let second = state.bridge.clock.unix_seconds();
        refusals.inspect(|refusals| refusals.note(problem.code(), second));
    }
    request.into_response(problem.error_response())
}

fn log_change(by: &Actor, made: Option<&String>, response: &ServiceResponse<BoxBody>) {
    let request = response.request();
    let parts = request.match_info().iter();
    let mut object: Vec<String> = parts
        .map(|(name, value)| format!("{name}={}", value.escape_debug()))
        .collect();
    object.extend(made.map(|id| format!("made={id}")));
    tracing::info!(
        key.id = by.key_number(),
        user.id = by.user_number(),
        user.name = by.user_name(),
        method = %request.method(),
        route = request.match_pattern().unwrap_or_default(),
        object = object.join(" "),
        status = response.status().as_u16(),
        "change through the API"
    );
}

async fn admit(demand: Demand, who: &Who, request: &mut ServiceRequest) -> Result<(), Problem> {
    match who {
        Who::Caller(caller) => check_scope(demand, caller)?,
        Who::Visitor(signed_in) if demand.need == Need::Owner && !signed_in.is_owner => {
            let detail = "This route is for owners.";
            return Err(Problem::new(Code::MissingRole, detail));
        }
        Who::Visitor(_) | Who::Nobody => {}
    }
    if !demand.query && !request.query_string().is_empty() {
        let detail = "This route has no query parameters.";
        return Err(Problem::new(Code::InvalidQuery, detail));
    }
    texts::check_bytes(request)?;
    texts::check_path(request).await?;
    texts::check_query(demand.need, request.query_string())
}

fn check_scope(demand: Demand, caller: &keys::Caller) -> Result<(), Problem> {
    let sufficient = [demand.need.scope(), demand.or].into_iter().flatten();
    if sufficient.clone().any(|scope| caller.may(scope)) {
        return Ok(());
    }
    if caller.actor.key().is_some() {
        let words: Vec<String> = sufficient.map(|scope| scope.to_string()).collect();
        let scopes = words.join(", ");
        let detail = format!("This route needs a key with the scope {scopes} or admin.");
        return Err(Problem::new(Code::MissingScope, detail));
    }
    let detail = match demand.need {
        Need::Token => {
            "Access tokens are lent to keys with the scope token or admin, not to users."
        }
        _ => "This route is for operators of the project and owners.",
    };
    Err(Problem::new(Code::MissingRole, detail))
}
