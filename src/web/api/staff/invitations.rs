//! Invitations: one-time tokens, in a QR code and in a mini-program page, that bind whoever uses
//! them to a staff member.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::check;
use super::super::cursor::{List, Page, PageQuery};
use super::super::person::Accounts;
use super::super::{Caller, State};
use crate::bridge::accounts::keys::Scope;
use crate::bridge::invitations::{
    InvitationRequest, InviteError, Invited, PAGE_DEFAULT, PAGE_RULE, is_page, why_refused,
    with_token,
};
use crate::bridge::limits::{
    ID_MAX, INVITATION_PATH_MAX, INVITATION_SECONDS, INVITATION_SECONDS_MIN,
};
use crate::ids::{IdentityId, InvitationId};
use crate::models::staff;
use crate::models::staff::invitation::{self, Invitation, Refusal};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use crate::web::rates::{Kind, Rates};
use crate::wechat::qrcode::LIFE_MAX;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct InvitationBody {
    /// The official account to follow.
    app_id: String,
    #[serde(default)]
    mini_program: Option<MiniProgram>,
    #[serde(default = "default_life")]
    expires_in_seconds: u64,
    /// Whether it may take the place of a binding to somebody else.
    #[serde(default)]
    rebind: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InvitationMiniProgram)]
#[serde(deny_unknown_fields)]
struct MiniProgram {
    app_id: String,
    #[serde(default)]
    path: Option<String>,
}

fn default_life() -> u64 {
    INVITATION_SECONDS
}

/// An invitation and what it is used with, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct InvitedView {
    #[serde(flatten)]
    invitation: InvitationView,
    /// Where WeChat shows the picture of the QR code.
    qr_url: String,
    /// What the picture says.
    url: String,
    /// The one-time token by itself.
    token: String,
    mini_program: Option<PageView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PageView {
    app_id: String,
    /// The page, with the token in its query.
    path: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct InvitationView {
    id: InvitationId,
    app_id: Option<String>,
    mini_program_app_id: Option<String>,
    state: invitation::State,
    rebind: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
    used_by_identity_id: Option<IdentityId>,
    revoked_at: Option<DateTime<Utc>>,
    last_refusal: Option<RefusalView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusalView {
    reason: Refusal,
    /// The same in a sentence, with what to do.
    detail: &'static str,
    at: Option<DateTime<Utc>>,
    identity_id: Option<IdentityId>,
}

/// `POST /staff/{staff_id}/invitations`: 201.
#[utoipa::path(
    post,
    path = "/staff/{staff_id}/invitations",
    tag = "staff",
    request_body = InvitationBody,
    responses((status = 201, description = "The invitation, with what to show the person", body = InvitedView)),
    extensions(("x-codes" = json!([
        "not_found", "unknown_app_id", "wrong_account_kind", "too_often", "no_app_secret",
        "wechat_refused", "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(in super::super) async fn create(
    state: Data<State>,
    caller: Caller,
    rates: Data<Rates>,
    staff_id: Path<String>,
    body: Body<InvitationBody>,
) -> Result<(Json<InvitedView>, StatusCode), Problem> {
    let body = body.into_inner();
    let (request, path) = invitation_request(&body)?;
    if request.rebind && !caller.may(Scope::Admin) {
        let detail = "rebind removes bindings, which needs a key with the scope admin.";
        return Err(Problem::new(Code::MissingScope, detail).field("rebind"));
    }
    rates.take(&state, &caller, Kind::Invitation)?;
    let project = caller.project_id;
    let invited = state.bridge.invite(project, &staff_id, request).await?;
    let Invited {
        invitation,
        token,
        code,
    } = invited;
    let token = token.expose_secret().to_owned();
    let (app_id, mini_program) = (
        body.app_id,
        body.mini_program.map(|mini_program| mini_program.app_id),
    );
    let names = (Some(app_id), mini_program.clone());
    let view = InvitedView {
        invitation: show(&invitation, names, state.bridge.clock.now()),
        qr_url: code.picture_url(),
        url: code.url,
        mini_program: mini_program.map(|app_id| PageView {
            app_id,
            path: with_token(&path, &token),
        }),
        token,
    };
    caller.made(invitation.id);
    Ok((Json(view), StatusCode::CREATED))
}

/// What the bridge is asked for, and the page of the mini-program.
fn invitation_request(body: &InvitationBody) -> Result<(InvitationRequest, String), Problem> {
    check::text("app_id", &body.app_id, ID_MAX)?;
    let mut path = PAGE_DEFAULT.to_owned();
    if let Some(mini_program) = &body.mini_program {
        check::text("mini_program.app_id", &mini_program.app_id, ID_MAX)?;
        check::maybe_text(
            "mini_program.path",
            mini_program.path.as_ref(),
            INVITATION_PATH_MAX,
        )?;
        path = mini_program.path.clone().unwrap_or(path);
        if !is_page(&path) {
            let detail = format!("mini_program.path {PAGE_RULE}.");
            return Err(Problem::new(Code::InvalidField, detail).field("mini_program.path"));
        }
    }
    let most = LIFE_MAX.as_secs();
    if !(INVITATION_SECONDS_MIN..=most).contains(&body.expires_in_seconds) {
        let detail = format!(
            "expires_in_seconds must be from {INVITATION_SECONDS_MIN} to {most} (30 days)."
        );
        return Err(Problem::new(Code::InvalidField, detail)
            .field("expires_in_seconds")
            .limit(usize::try_from(most).unwrap_or(usize::MAX)));
    }
    let request = InvitationRequest {
        app_id: body.app_id.clone(),
        mini_program: body
            .mini_program
            .as_ref()
            .map(|mini_program| mini_program.app_id.clone()),
        life: Duration::from_secs(body.expires_in_seconds),
        rebind: body.rebind,
    };
    Ok((request, path))
}

/// `GET /staff/{staff_id}/invitations`: newest first, without their tokens.
#[utoipa::path(
    get,
    path = "/staff/{staff_id}/invitations",
    tag = "staff",
    params(PageQuery),
    responses((status = 200, description = "A page of invitations, newest first", body = Page<InvitationView>)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in super::super) async fn list(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
    query: Query<PageQuery>,
) -> Result<Json<Page<InvitationView>>, Problem> {
    let paging = query.paging(List::Invitations)?;
    let (project, now) = (caller.project_id, state.bridge.clock.now());
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let member = staff::find(conn, project, &staff_id)?;
        let member = member.ok_or_else(|| Problem::not_found("staff member"))?;
        let before = paging.after.map(InvitationId);
        let mut found = invitation::list(conn, member.id, before, paging.rows())?;
        let next = paging.cut(&mut found, |invitation| invitation.id.0);
        let accounts = Accounts::of(conn, project)?;
        let items = found.into_iter().map(|invitation| {
            let mini_program = invitation
                .mini_program_id
                .and_then(|id| accounts.app_id(id));
            let names = (accounts.app_id(invitation.account_id), mini_program);
            show(&invitation, names, now)
        });
        Ok(Page::new(items.collect(), next))
    });
    Ok(Json(page.await?))
}

/// `DELETE /staff/{staff_id}/invitations/{id}`: nobody can use it any more.
#[utoipa::path(
    delete,
    path = "/staff/{staff_id}/invitations/{id}",
    tag = "staff",
    responses((status = 204, description = "The invitation is revoked")),
    extensions(("x-codes" = json!(["not_found", "invitation_used"]))),
)]
pub(in super::super) async fn revoke(
    state: Data<State>,
    caller: Caller,
    path: Path<(String, InvitationId)>,
) -> Result<HttpResponse, Problem> {
    let (staff_id, id) = path.into_inner();
    let bridge = &state.bridge;
    let revoke = bridge.revoke_invitation(caller.project_id, &staff_id, id);
    revoke.await?;
    Ok(HttpResponse::NoContent().finish())
}

fn show(
    invitation: &Invitation,
    (app_id, mini_program_app_id): (Option<String>, Option<String>),
    now: NaiveDateTime,
) -> InvitationView {
    let refusal = invitation.refusal.map(|reason| RefusalView {
        reason,
        detail: why_refused(reason),
        at: invitation.refused_at.map(|time| time.and_utc()),
        identity_id: invitation.refused_to,
    });
    InvitationView {
        id: invitation.id,
        app_id,
        mini_program_app_id,
        state: invitation.state(now),
        rebind: invitation.rebind,
        created_at: invitation.created_at.and_utc(),
        expires_at: invitation.expires_at.and_utc(),
        used_at: invitation.used_at.map(|time| time.and_utc()),
        used_by_identity_id: invitation.used_by,
        revoked_at: invitation.revoked_at.map(|time| time.and_utc()),
        last_refusal: refusal,
    }
}

fn refused(reason: Refusal) -> Problem {
    let code = match reason {
        // What another project has does not exist for this one.
        Refusal::Foreign => return unknown(),
        Refusal::WrongAccount => Code::InvitationWrongAccount,
        Refusal::Used => Code::InvitationUsed,
        Refusal::Revoked => Code::InvitationRevoked,
        Refusal::Expired => Code::InvitationExpired,
        Refusal::AlreadyBound => Code::AlreadyBound,
        Refusal::PersonAlreadyBound => Code::PersonAlreadyBound,
    };
    Problem::new(code, why_refused(reason))
}

/// A token that is none of this project's.
pub(in super::super) fn unknown() -> Problem {
    let detail = "No invitation of this project has this token. Send the value of invitation from \
                  the page's query, unchanged.";
    Problem::new(Code::InvitationUnknown, detail).field("invitation")
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::UnknownStaff => Self::not_found("staff member"),
            InviteError::UnknownAccount(field) => {
                let detail = "The project has no account with this app id.";
                Self::new(Code::UnknownAppId, detail).field(field)
            }
            InviteError::WrongKind(field) => {
                let detail = "app_id is the official account to follow, and mini_program.app_id a \
                              mini-program.";
                Self::new(Code::WrongAccountKind, detail).field(field)
            }
            InviteError::Unknown => Self::not_found("invitation of this staff member"),
            InviteError::Refused(reason) => refused(reason),
            InviteError::Token(error) => error.into(),
            InviteError::Login(error) => error.into(),
            InviteError::Db(error) => error.into(),
            InviteError::Account(error) => error.into(),
        }
    }
}
