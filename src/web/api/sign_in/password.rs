//! One's own password.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::from;
use crate::bridge::limits::PASSWORD_MAX;
use crate::bridge::users::sign_in::SignInError;
use crate::web::api::{State, Visitor, check};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct PasswordBody {
    /// The password until now.
    #[schema(value_type = String, format = Password, max_length = 256)]
    old_password: SecretString,
    /// The password from now on.
    #[schema(value_type = String, format = Password, max_length = 256)]
    new_password: SecretString,
}

/// `PUT /session/password`: another password; the other sessions of the user end.
#[utoipa::path(
    put,
    path = "/session/password",
    tag = "sign-in",
    request_body = PasswordBody,
    responses((status = 204, description = "The password was changed")),
    extensions(("x-codes" = json!(["wrong_password", "not_local", "sign_in_paused"]))),
)]
pub(in crate::web::api) async fn put(
    state: Data<State>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<PasswordBody>,
) -> Result<HttpResponse, Problem> {
    let PasswordBody {
        old_password,
        new_password,
    } = body.into_inner();
    check::secret("old_password", &old_password, PASSWORD_MAX)?;
    let address = from(&state, &request).address;
    let changed = state
        .bridge
        .change_password(&visitor, old_password, new_password, address);
    changed.await.map_err(|error| match error {
        SignInError::Refused => {
            let detail = "old_password is not the password of this user.";
            Problem::new(Code::WrongPassword, detail).field("old_password")
        }
        error => error.into(),
    })?;
    Ok(HttpResponse::NoContent().finish())
}
