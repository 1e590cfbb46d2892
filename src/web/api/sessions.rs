//! Mini-program login, for a business app that has a code from `wx.login`.

use actix_web::web::{Data, Json, Path};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::check;
use super::staff::invitations;
use super::{Caller, State};
use crate::bridge::accounts::keys::Scope;
use crate::bridge::invitations::{Accepted, InviteError};
use crate::bridge::people::login::{LoggedIn, LoginError};
use crate::ids::{IdentityId, InvitationId};
use crate::models::identity::Identity;
use crate::models::identity::ProfileState;
use crate::models::people;
use crate::models::staff::binding;
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use crate::wechat::error::{ApiError, CallError, Class, Fault, LOGIN_CALL};
use crate::wechat::qrcode::SCENE_MAX;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// What `wx.login` gave the mini-program.
    code: String,
    /// The token of an invitation, from the query of the page that was opened.
    #[serde(default)]
    invitation: Option<String>,
    /// Whether the app needs WeChat's session_key, for example to read encryptedData.
    #[serde(default)]
    return_session_key: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginView {
    identity_id: IdentityId,
    openid: String,
    unionid: Option<String>,
    /// Without a unionid, why there is none.
    profile_state: ProfileState,
    /// The staff members bound to this person.
    staff_ids: Vec<String>,
    /// What the invitation did, if one came along.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<AcceptedView>,
    /// This once, to who asked for it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    #[schema(value_type = Option<String>)]
    session_key: Option<SecretString>,
}

fn exposed<S: Serializer>(key: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref()
        .map(ExposeSecret::expose_secret)
        .serialize(serializer)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedInvitationView)]
struct AcceptedView {
    id: InvitationId,
    staff_id: String,
    /// Whether the binding is new.
    bound_now: bool,
}

/// `POST /miniprogram/{app_id}/sessions`: who gave this code. The session_key is kept nowhere; it
/// is handed over to who asks for it and may have it.
#[utoipa::path(
    post,
    path = "/miniprogram/{app_id}/sessions",
    tag = "sessions",
    request_body = Login,
    responses((status = 200, description = "Who logged in", body = LoginView)),
    extensions(("x-codes" = json!([
        "not_found", "wrong_account_kind", "no_app_secret", "code_invalid", "code_used",
        "login_refused", "wechat_refused", "wechat_busy", "wechat_unreachable",
        "invitation_unknown", "invitation_used", "invitation_expired", "invitation_revoked",
        "invitation_wrong_account", "already_bound", "person_already_bound"
    ]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    body: Body<Login>,
) -> Result<Json<LoginView>, Problem> {
    check_scopes(&caller, &body)?;
    check::login_code(&body.code)?;
    let project = caller.project_id;
    let (identity, session_key, invitation) = match &body.invitation {
        None => {
            let opened = state.bridge.open_session(project, &app_id, &body.code);
            let LoggedIn {
                identity,
                session_key,
            } = opened.await.map_err(in_path)?;
            (identity, session_key, None)
        }
        Some(token) => {
            check::text("invitation", token, SCENE_MAX)?;
            let bridge = &state.bridge;
            let welcomed = bridge.log_in_invited(project, &app_id, &body.code, token);
            let welcomed = welcomed.await.map_err(refused_invitation)?;
            let view = AcceptedView {
                id: welcomed.invitation_id,
                staff_id: welcomed.staff_id,
                bound_now: welcomed.accepted == Accepted::Bound,
            };
            (welcomed.identity, welcomed.session_key, Some(view))
        }
    };
    let session_key = match body.return_session_key {
        true => Some(
            state
                .bridge
                .hand_over(&caller, &app_id, session_key)
                .await?,
        ),
        false => None,
    };
    let shown = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let ids: Vec<IdentityId> = people::members_of(conn, &identity)?
            .iter()
            .map(|member| member.id)
            .collect();
        let unionid = identity.unionid.as_deref();
        let mut staff_ids = binding::staff_of_person(conn, project, &ids, unionid)?;
        staff_ids.sort_unstable();
        Ok((identity, staff_ids))
    });
    let (identity, staff_ids) = shown.await?;
    let view = show(identity, staff_ids, invitation, session_key);
    Ok(Json(view))
}

/// A session_key is for those who may borrow tokens, everything else for those who may notify.
fn check_scopes(caller: &Caller, body: &Login) -> Result<(), Problem> {
    if body.return_session_key && !caller.may(Scope::Token) {
        let detail = "A session_key is handed over to a key with the scope token or admin only. \
                      Leave return_session_key out, or make a key with that scope.";
        return Err(Problem::new(Code::MissingScope, detail).field("return_session_key"));
    }
    let is_plain = !body.return_session_key || body.invitation.is_some();
    if is_plain && !caller.may(Scope::Notify) {
        let detail = "A login without return_session_key, or with an invitation, needs a key with \
                      the scope notify or admin.";
        return Err(Problem::new(Code::MissingScope, detail));
    }
    Ok(())
}

fn show(
    identity: Identity,
    staff_ids: Vec<String>,
    invitation: Option<AcceptedView>,
    session_key: Option<SecretString>,
) -> LoginView {
    LoginView {
        identity_id: identity.id,
        openid: identity.openid,
        unionid: identity.unionid,
        profile_state: identity.profile_state,
        staff_ids,
        invitation,
        session_key,
    }
}

/// The app id is in the path.
fn in_path(error: LoginError) -> Problem {
    match error {
        LoginError::UnknownAccount => Problem::not_found("account"),
        error => error.into(),
    }
}

fn refused_invitation(error: InviteError) -> Problem {
    match error {
        InviteError::Login(error) => in_path(error),
        InviteError::Unknown => invitations::unknown(),
        error @ InviteError::Refused(_) => Problem::from(error).field("invitation"),
        error => error.into(),
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = format!("{error}.");
        match error {
            LoginError::UnknownAccount => Self::new(Code::UnknownAppId, detail).field("app_id"),
            LoginError::NotMiniProgram => Self::new(Code::WrongAccountKind, detail).field("app_id"),
            LoginError::NoSecret => Self::new(Code::NoAppSecret, detail).field("app_id"),
            LoginError::Call(CallError::Api(error)) => refused(&error),
            LoginError::Call(error) => {
                tracing::warn!(wechat.call = LOGIN_CALL, %error, "login code not checked");
                let detail = "WeChat could not be asked. The code may be used up: have the \
                              mini-program call wx.login again, and try once more.";
                Self::new(Code::WechatUnreachable, detail).retry_after(2)
            }
            LoginError::Db(error) => error.into(),
            LoginError::Account(error) => error.into(),
        }
    }
}

/// WeChat's refusal in words that say what to do.
fn refused(error: &ApiError) -> Problem {
    let detail = error.explain_on(LOGIN_CALL);
    let fault = error.fault_on(LOGIN_CALL);
    match (fault, fault.class()) {
        (Fault::CodeInvalid, _) => Problem::new(Code::LoginCodeInvalid, detail).field("code"),
        (Fault::CodeUsed, _) => Problem::new(Code::LoginCodeUsed, detail).field("code"),
        (_, Class::Recipient) => Problem::new(Code::LoginRefused, detail),
        (_, Class::Retry) => Problem::new(Code::WechatUnreachable, detail).retry_after(2),
        (_, Class::Quota) => Problem::new(Code::WechatBusy, detail).retry_after(60),
        _ => {
            tracing::warn!(wechat.call = LOGIN_CALL, %error, "login refused");
            let detail = format!("WeChat refused the account with {detail}");
            Problem::new(Code::WechatRefused, detail)
        }
    }
}
