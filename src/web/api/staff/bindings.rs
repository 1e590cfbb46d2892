//! Bindings: which person a staff member is.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::check;
use super::super::person_body::PersonBody;
use super::super::{Caller, State};
use super::RemovedView;
use crate::bridge::limits::ID_MAX;
use crate::bridge::people::bind::{BindError, PersonRef};
use crate::ids::text::TextId;
use crate::ids::{BindingId, IdentityId};
use crate::models::staff::binding::Binding;
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct BindingView {
    id: BindingId,
    /// The identity, or null when bound to a unionid.
    identity_id: Option<IdentityId>,
    /// The unionid, or null when bound to an identity.
    unionid: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Binding> for BindingView {
    fn from(binding: Binding) -> Self {
        Self {
            id: binding.id,
            identity_id: binding.identity_id,
            unionid: binding.unionid,
            created_at: binding.created_at.and_utc(),
        }
    }
}

/// `POST /staff/{staff_id}/bindings`: 201 for a new binding, 200 for one that was there.
#[utoipa::path(
    post,
    path = "/staff/{staff_id}/bindings",
    tag = "staff",
    request_body = PersonBody,
    responses((status = 200, description = "They were bound already", body = BindingView), (status = 201, description = "They are bound now", body = BindingView)),
    extensions(("x-codes" = json!([
        "not_found", "unknown_app_id", "unknown_openid", "already_bound", "wrong_account_kind",
        "no_app_secret", "code_invalid", "code_used", "login_refused", "wechat_refused",
        "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(in super::super) async fn create(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
    body: Body<PersonBody>,
) -> Result<(Json<BindingView>, StatusCode), Problem> {
    let person = person_ref(body.into_inner())?;
    let bind = state.bridge.bind(caller.project_id, &staff_id, person);
    let (binding, is_new) = bind.await?;
    caller.made(binding.id);
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((Json(binding.into()), status))
}

fn person_ref(body: PersonBody) -> Result<PersonRef, Problem> {
    check::maybe_text("app_id", body.app_id.as_ref(), ID_MAX)?;
    check::maybe_id("openid", TextId::Openid, body.openid.as_ref())?;
    check::maybe_id("unionid", TextId::Unionid, body.unionid.as_ref())?;
    if let Some(code) = &body.code {
        check::login_code(code)?;
    }
    body.person_ref().ok_or_else(|| {
        let detail = "Give exactly one of: app_id and code, app_id and openid, or unionid.";
        Problem::new(Code::InvalidBody, detail).field("app_id, code, openid, unionid")
    })
}

impl From<BindError> for Problem {
    fn from(error: BindError) -> Self {
        match error {
            BindError::UnknownStaff => Self::not_found("staff member"),
            BindError::UnknownAccount => {
                let detail = "The project has no account with this app id.";
                Self::new(Code::UnknownAppId, detail).field("app_id")
            }
            BindError::UnknownOpenid => {
                let detail = "This openid has not logged in through Queqiao yet. Bind with app_id \
                              and a fresh code from wx.login instead, or bring the openid in \
                              first: POST /miniprogram/{app_id}/identities.";
                Self::new(Code::UnknownOpenid, detail).field("openid")
            }
            BindError::Erased => {
                let detail = "This person's data was erased, and a binding does not bring them back. They come \
                              back when they follow, log in or write.";
                Self::new(Code::UnknownOpenid, detail).field("openid")
            }
            BindError::AlreadyBound(staff_id) => {
                let detail = format!(
                    "The person is bound to staff member {}. Remove that binding first.",
                    staff_id.escape_debug()
                );
                Self::new(Code::AlreadyBound, detail)
            }
            BindError::Login(error) => error.into(),
            BindError::Db(error) => error.into(),
            BindError::Account(error) => error.into(),
        }
    }
}

/// `DELETE /staff/{staff_id}/bindings/{id}`: removes it, and says how many deliveries waited for its person.
#[utoipa::path(
    delete,
    path = "/staff/{staff_id}/bindings/{id}",
    tag = "staff",
    responses((status = 200, description = "It is removed", body = RemovedView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in super::super) async fn delete(
    state: Data<State>,
    caller: Caller,
    path: Path<(String, BindingId)>,
) -> Result<Json<RemovedView>, Problem> {
    let (staff_id, id) = path.into_inner();
    let removed = state.bridge.remove_binding(caller.project_id, staff_id, id);
    Ok(Json(removed.await?.into()))
}
