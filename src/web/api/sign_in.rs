//! Signing in and out, and who one is.

pub(super) mod oidc;
pub(super) mod password;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::http::header;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::{State, Visitor};
use crate::bridge::limits::{PASSWORD_MAX, USER_NAME_MAX};
use crate::bridge::users::PasswordError;
use crate::bridge::users::session::SignedIn;
use crate::bridge::users::sign_in::{From as SignedInFrom, SignInError};
use crate::ids::{ProjectId, UserId};
use crate::models::user::{Membership, Role};
use crate::web::auth::{Refusals, cookie};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

/// By what the nearest proxy says from where a request comes: the last address is its own word.
const FORWARDED_FOR: &str = "X-Forwarded-For";
/// Seconds after which passwords that wait now have probably been compared.
const RETRY_AFTER_SECONDS: u64 = 2;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    name: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Who has signed in, and until when.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedInView {
    user: WhoView,
    projects: Vec<ProjectView>,
    signed_in_at: DateTime<Utc>,
    /// When it ends if it is not used.
    ends_at: DateTime<Utc>,
    /// When it ends in any case.
    expires_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WhoView {
    id: UserId,
    name: String,
    display_name: Option<String>,
    owner: bool,
    has_password: bool,
}

/// What somebody is in a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectView {
    project_id: ProjectId,
    project: String,
    role: Role,
}

impl From<Membership> for ProjectView {
    fn from(membership: Membership) -> Self {
        Self {
            project_id: membership.project_id,
            project: membership.project,
            role: membership.role,
        }
    }
}

fn show(state: &State, signed_in: &SignedIn) -> SignedInView {
    let session = &signed_in.session;
    let ends_at = state.bridge.users.sessions.ends_at(session);
    let projects = signed_in.projects.iter().cloned();
    SignedInView {
        user: WhoView {
            id: signed_in.user_id(),
            name: signed_in.name.clone(),
            display_name: signed_in.display_name.clone(),
            owner: signed_in.is_owner,
            has_password: signed_in.has_password,
        },
        projects: projects.map(ProjectView::from).collect(),
        signed_in_at: session.created_at.and_utc(),
        ends_at: ends_at.and_utc(),
        expires_at: session.expires_at.and_utc(),
    }
}

/// From where a request comes.
pub(super) fn from(state: &State, request: &HttpRequest) -> SignedInFrom {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let proxied = match state.bridge.config.users.behind_proxy {
        true => forwarded_for(request),
        false => None,
    };
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    SignedInFrom {
        address: proxied
            .or(peer)
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        user_agent: agent.unwrap_or_default(),
    }
}

fn forwarded_for(request: &HttpRequest) -> Option<IpAddr> {
    let last = request.headers().get_all(FORWARDED_FOR).last()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let with_port = || last.parse::<SocketAddr>().ok().map(|address| address.ip());
    last.parse().ok().or_else(with_port)
}

/// `POST /session`: signs somebody in by a password.
#[utoipa::path(
    post,
    path = "/session",
    tag = "sign-in",
    request_body = SignInBody,
    responses((status = 200, description = "Who has signed in; the cookie is in the headers", body = SignedInView)),
    extensions(("x-codes" = json!(["sign_in_refused", "sign_in_paused", "not_local"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    refusals: Data<Refusals>,
    request: HttpRequest,
    body: Body<SignInBody>,
) -> Result<HttpResponse, Problem> {
    let SignInBody { name, password } = body.into_inner();
    check::text("name", &name, USER_NAME_MAX)?;
    check::secret("password", &password, PASSWORD_MAX)?;
    let from = from(&state, &request);
    let address = from.address;
    let signed_in = state.bridge.sign_in(&name, password, from).await;
    let (secret, signed_in) = signed_in.map_err(|error| {
        let problem = Problem::from(error);
        refusals.note(problem.code(), state.bridge.clock.unix_seconds());
        problem
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::SET_COOKIE,
            admitted(&state, &secret, &signed_in, address),
        ))
        .json(show(&state, &signed_in)))
}

/// Says in the log who signed in, and gives them their cookie.
fn admitted(state: &State, secret: &SecretString, signed_in: &SignedIn, address: IpAddr) -> String {
    tracing::info!(
        user.id = signed_in.user_id().0,
        user.name = signed_in.name,
        %address,
        "signed in"
    );
    let session = &signed_in.session;
    let seconds = (session.expires_at - session.created_at).num_seconds();
    cookie::SESSION.give(state, secret, seconds)
}

/// `GET /session`: who has signed in.
#[utoipa::path(
    get,
    path = "/session",
    tag = "sign-in",
    responses((status = 200, description = "Who has signed in", body = SignedInView)),
)]
pub(super) async fn find(state: Data<State>, visitor: Visitor) -> Json<SignedInView> {
    Json(show(&state, &visitor))
}

/// `DELETE /session`: signs out.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "sign-in",
    responses((status = 204, description = "The session has ended")),
)]
pub(super) async fn delete(state: Data<State>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    state.bridge.sign_out(&visitor).await?;
    Ok(HttpResponse::NoContent()
        .insert_header((header::SET_COOKIE, cookie::SESSION.take_away(&state)))
        .finish())
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                let detail = "Too many passwords are being checked. Try again in a moment.";
                Self::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS)
            }
            PasswordError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Refused => {
                let detail = "The name or the password is wrong, or the user is disabled.";
                Self::new(Code::SignInRefused, detail)
            }
            SignInError::Wait(seconds) => {
                let detail = format!(
                    "There were too many wrong passwords for this name or from this address. Try again in \
                     {seconds} seconds."
                );
                Self::new(Code::SignInPaused, detail).retry_after(seconds)
            }
            SignInError::NotLocal => Self::new(Code::NotLocal, format!("{error}.")),
            SignInError::Field(error) => error.into(),
            SignInError::Password(error) => error.into(),
            SignInError::Db(error) => error.into(),
        }
    }
}
