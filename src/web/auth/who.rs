//! Who asks: the holder of an API key, somebody who has signed in, or nobody known.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header;
use actix_web::{FromRequest as _, web};
use secrecy::SecretString;

use super::{Need, cookie, origin};
use crate::bridge::accounts::keys;
use crate::bridge::users::session::{NoProject, SignedIn};
use crate::web::State;
use crate::web::error::{Code, Problem};

/// The header by which somebody who has signed in says which project they mean.
pub(super) const PROJECT: &str = "Queqiao-Project";

/// Who asks.
pub(super) enum Who {
    /// Somebody in a project.
    Caller(Arc<keys::Caller>),
    /// Somebody who has signed in, about no project.
    Visitor(Arc<SignedIn>),
    /// Anybody.
    Nobody,
}

/// Who asks for a route with this demand. Whether they may is another question.
pub(super) async fn identify(need: Need, request: &ServiceRequest) -> Result<Who, Problem> {
    let state = web::Data::<State>::extract(request.request())
        .await
        .map_err(|error| Problem::internal(&error))?;
    if need == Need::Nobody {
        origin::check(&state, request.request())?;
        return Ok(Who::Nobody);
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    let signed_in = match (authorization, cookie::SESSION.of(&state, request.headers())) {
        (None, Some(secret)) => {
            origin::check(&state, request.request())?;
            session(&state, &secret).await?
        }
        (authorization, _) => {
            let caller = key(&state, authorization).await?;
            return match need.scope() {
                Some(_) => Ok(Who::Caller(caller)),
                None => Err(Problem::new(
                    Code::UserNeeded,
                    "This route is for people who have signed in, not for keys: leave the header \
                     Authorization out, and send the cookie of POST /api/v1/session.",
                )),
            };
        }
    };
    if need.scope().is_none() {
        return Ok(Who::Visitor(signed_in));
    }
    let named = project(request)?;
    let caller = signed_in.in_project(named.as_deref());
    Ok(Who::Caller(Arc::new(caller.map_err(no_project)?)))
}

async fn session(state: &State, secret: &SecretString) -> Result<Arc<SignedIn>, Problem> {
    let found = state.bridge.users.sessions.verify(secret).await?;
    found.ok_or_else(|| unauthorized("The session has ended: sign in again.", ""))
}

async fn key(
    state: &State,
    authorization: Option<&header::HeaderValue>,
) -> Result<Arc<keys::Caller>, Problem> {
    let given = authorization.and_then(bearer).ok_or_else(|| {
        unauthorized(
            "Send an API key in the header Authorization: Bearer qq_…, or sign in by POST /api/v1/session.",
            "",
        )
    })?;
    state.bridge.keys.verify(&given).await?.ok_or_else(|| {
        unauthorized(
            "The API key is unknown or revoked.",
            ", error=\"invalid_token\"",
        )
    })
}

/// The token of `Authorization: Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &header::HeaderValue) -> Option<SecretString> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretString::from(token.trim()))
}

fn unauthorized(detail: &str, error: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail).header(
        header::WWW_AUTHENTICATE,
        &format!("Bearer realm=\"queqiao\"{error}"),
    )
}

/// The project that the request names.
fn project(request: &ServiceRequest) -> Result<Option<String>, Problem> {
    let mut given = request.headers().get_all(PROJECT);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    // A name may have letters beyond ASCII, which some clients send as UTF-8.
    match std::str::from_utf8(value.as_bytes()) {
        Ok(name) if given.next().is_none() => Ok(Some(name.trim().to_owned())),
        _ => {
            let detail =
                format!("{PROJECT} must be one header, the name or the number of a project.");
            Err(Problem::new(Code::InvalidHeader, detail).field(PROJECT))
        }
    }
}

/// A project of others is answered like one that there is not.
fn no_project(error: NoProject) -> Problem {
    match error {
        NoProject::None => {
            let detail = "You have no role in any project: an owner can give you one.";
            Problem::new(Code::MissingRole, detail)
        }
        NoProject::Several => {
            let detail = format!(
                "You have several projects: say which one in the header {PROJECT}, by its name or its number."
            );
            Problem::new(Code::InvalidHeader, detail).field(PROJECT)
        }
        NoProject::Unknown => {
            let detail = format!(
                "You have no project of the name or number in the header {PROJECT}: GET /api/v1/session \
                 lists yours."
            );
            Problem::new(Code::UnknownProject, detail).field(PROJECT)
        }
    }
}
