//! Signing in through the identity provider: the way there, and the way back.

use actix_web::http::header;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{admitted, from};
use crate::bridge::users::oidc::{BEGUN_SECONDS, Back, OidcError};
use crate::web::api::State;
use crate::web::auth::{Refusals, cookie};
use crate::web::error::{Code, Problem};

/// Where somebody is when they have signed in.
const HOME: &str = "/";
/// Seconds after which the provider may answer again.
const RETRY_AFTER_SECONDS: u64 = 10;

/// What the provider sends somebody back with. Providers add parameters of their own.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web::api) struct CallbackQuery {
    /// What the provider gives for somebody who has signed in there.
    code: Option<String>,
    /// What the provider was sent along.
    state: Option<String>,
    /// The provider's word for why nobody has signed in.
    error: Option<String>,
    /// The same in a sentence.
    error_description: Option<String>,
}

/// `GET /session/oidc`: sends somebody to the identity provider.
#[utoipa::path(
    get,
    path = "/session/oidc",
    tag = "sign-in",
    responses((status = 302, description = "To the identity provider")),
    extensions(("x-codes" = json!(["oidc_off", "oidc_unreachable"]))),
)]
pub(in crate::web::api) async fn begin(state: Data<State>) -> Result<HttpResponse, Problem> {
    let way = state.bridge.begin_oidc().await?;
    let kept = cookie::OIDC.give(&state, &way.kept, BEGUN_SECONDS);
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, way.url))
        .insert_header((header::SET_COOKIE, kept))
        .finish())
}

/// `GET /session/oidc/callback`: signs in whom the identity provider sent back.
#[utoipa::path(
    get,
    path = "/session/oidc/callback",
    tag = "sign-in",
    params(CallbackQuery),
    responses((status = 302, description = "Signed in; the cookie is in the headers")),
    extensions(("x-codes" = json!([
        "oidc_off", "oidc_unreachable", "oidc_refused", "missing_role", "sign_in_refused"
    ]))),
)]
pub(in crate::web::api) async fn finish(
    state: Data<State>,
    refusals: Data<Refusals>,
    request: HttpRequest,
    query: Query<CallbackQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let back = Back {
        code: query.code,
        state: query.state,
        error: query.error,
        error_description: query.error_description,
    };
    let kept = cookie::OIDC.of(&state, request.headers());
    let from = from(&state, &request);
    let address = from.address;
    let finished = state.bridge.finish_oidc(back, kept.as_ref(), from).await;
    let (secret, signed_in) = finished.map_err(|error| {
        let problem = Problem::from(error);
        refusals.note(problem.code(), state.bridge.clock.unix_seconds());
        problem
    })?;
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, HOME))
        .append_header((
            header::SET_COOKIE,
            admitted(&state, &secret, &signed_in, address),
        ))
        .append_header((header::SET_COOKIE, cookie::OIDC.take_away(&state)))
        .finish())
}

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        let detail = format!("{error}.");
        match error {
            OidcError::Off => Self::new(Code::OidcOff, detail),
            OidcError::Unreachable(_) => {
                tracing::warn!(%error, "nobody can sign in through the identity provider");
                let detail = "The identity provider does not answer, or not as it should: the log says why. Try \
                              again later.";
                Self::new(Code::OidcUnreachable, detail).retry_after(RETRY_AFTER_SECONDS)
            }
            OidcError::Refused(_) => Self::new(Code::OidcRefused, detail),
            OidcError::NoRole(_) => Self::new(Code::MissingRole, detail),
            OidcError::Disabled => Self::new(Code::SignInRefused, detail),
            OidcError::Vault(error) => Self::internal(&error),
            OidcError::Db(error) => error.into(),
        }
    }
}
