//! Users: who may sign in, and what they are where. For owners.

pub(super) mod sessions;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cursor::{List, Page, PageQuery};
use super::sign_in::ProjectView;
use super::{State, Visitor};
use crate::bridge::users::manage::{self, UserChange, UserDetails, UserDraft, UserError};
use crate::ids::{SessionId, UserId};
use crate::models::user::{self, Membership, Role, Session, User};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUserBody {
    name: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    #[serde(default)]
    owner: bool,
    #[serde(default)]
    roles: Vec<RoleBody>,
}

/// What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    #[serde(default)]
    owner: Option<bool>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    roles: Option<Vec<RoleBody>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    /// Its name or its number, as a text.
    project: String,
    role: Role,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    id: UserId,
    name: String,
    display_name: Option<String>,
    owner: bool,
    disabled: bool,
    disabled_at: Option<DateTime<Utc>>,
    has_password: bool,
    /// Who vouches for them, if they come from an identity provider.
    issuer: Option<String>,
    roles: Vec<ProjectView>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Somebody with where they are signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserDetailsView {
    #[serde(flatten)]
    user: UserView,
    sessions: Vec<SessionView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    id: SessionId,
    signed_in_at: DateTime<Utc>,
    /// To about a minute.
    seen_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    address: String,
    user_agent: String,
}

fn show(user: User, roles: Vec<Membership>) -> UserView {
    UserView {
        id: user.id,
        name: user.name,
        display_name: user.display_name,
        owner: user.is_owner,
        disabled: user.disabled_at.is_some(),
        disabled_at: user.disabled_at.map(|time| time.and_utc()),
        has_password: user.password_hash.is_some(),
        issuer: user.oidc_issuer,
        roles: roles.into_iter().map(ProjectView::from).collect(),
        created_at: user.created_at.and_utc(),
        updated_at: user.updated_at.and_utc(),
    }
}

fn show_details(state: &State, found: UserDetails) -> UserDetailsView {
    let (now, sessions) = (state.bridge.clock.now(), &state.bridge.users.sessions);
    let show_session = |session: Session| SessionView {
        id: session.id,
        signed_in_at: session.created_at.and_utc(),
        seen_at: session.seen_at.and_utc(),
        ends_at: sessions.ends_at(&session).and_utc(),
        address: session.address,
        user_agent: session.user_agent,
    };
    let shown = found.sessions.into_iter().map(show_session);
    UserDetailsView {
        user: show(found.user, found.roles),
        sessions: shown
            .filter(|session| session.ends_at > now.and_utc())
            .collect(),
    }
}

fn roles(given: Vec<RoleBody>) -> Vec<(String, Role)> {
    let role = |given: RoleBody| (given.project, given.role);
    given.into_iter().map(role).collect()
}

/// `POST /users`: adds somebody.
#[utoipa::path(
    post,
    path = "/users",
    tag = "users",
    request_body = NewUserBody,
    responses((status = 201, description = "The user was added", body = UserDetailsView)),
    extensions(("x-codes" = json!(["user_exists", "too_many"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    visitor: Visitor,
    body: Body<NewUserBody>,
) -> Result<(Json<UserDetailsView>, StatusCode), Problem> {
    let body = body.into_inner();
    let draft = UserDraft {
        name: body.name,
        display_name: body.display_name,
        password: body.password,
        is_owner: body.owner,
        roles: roles(body.roles),
    };
    let added = state.bridge.add_user(draft).await?;
    visitor.made(added.user.id);
    Ok((Json(show_details(&state, added)), StatusCode::CREATED))
}

/// `GET /users`: newest first.
#[utoipa::path(
    get,
    path = "/users",
    tag = "users",
    params(PageQuery),
    responses((status = 200, description = "A page of users, newest first", body = Page<UserView>)),
)]
pub(super) async fn list(
    state: Data<State>,
    query: Query<PageQuery>,
) -> Result<Json<Page<UserView>>, Problem> {
    let paging = query.paging(List::Users)?;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let before = paging.after.map(UserId);
        let mut found = user::list(conn, before, paging.rows())?;
        let next = paging.cut(&mut found, |user| user.id.0);
        let ids: Vec<UserId> = found.iter().map(|user| user.id).collect();
        let mut roles = user::memberships(conn, &ids)?;
        let items = found.into_iter().map(|user| {
            let roles = roles.remove(&user.id).unwrap_or_default();
            show(user, roles)
        });
        Ok(Page::new(items.collect(), next))
    });
    Ok(Json(page.await?))
}

/// `GET /users/{id}`: a user with where they are signed in.
#[utoipa::path(
    get,
    path = "/users/{id}",
    tag = "users",
    responses((status = 200, description = "The user", body = UserDetailsView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    id: Path<UserId>,
) -> Result<Json<UserDetailsView>, Problem> {
    let id = id.into_inner();
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let found = user::by_id(conn, id)?.ok_or(UserError::Unknown)?;
        Ok(manage::details(conn, found)?)
    });
    Ok(Json(show_details(&state, found.await?)))
}

/// `PUT /users/{id}`: changes what is given, and leaves the rest.
#[utoipa::path(
    put,
    path = "/users/{id}",
    tag = "users",
    request_body = UserBody,
    responses((status = 200, description = "The user was changed", body = UserDetailsView)),
    extensions(("x-codes" = json!(["not_found", "last_owner"]))),
)]
pub(super) async fn put(
    state: Data<State>,
    id: Path<UserId>,
    body: Body<UserBody>,
) -> Result<Json<UserDetailsView>, Problem> {
    let body = body.into_inner();
    let change = UserChange {
        display_name: body.display_name,
        is_owner: body.owner,
        is_disabled: body.disabled,
        roles: body.roles.map(roles),
        password: body.password,
    };
    let changed = state.bridge.change_user(id.into_inner(), change).await?;
    Ok(Json(show_details(&state, changed)))
}

/// `DELETE /users/{id}`: the user goes, with their sessions; the keys that they made stay.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    tag = "users",
    responses((status = 204, description = "The user was deleted")),
    extensions(("x-codes" = json!(["not_found", "last_owner"]))),
)]
pub(super) async fn delete(state: Data<State>, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    state.bridge.delete_user(id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Unknown => Self::new(Code::NotFound, "There is no such user."),
            UserError::NameTaken(_) => {
                Self::new(Code::UserExists, format!("{error}.")).field("name")
            }
            UserError::LastOwner => {
                let detail =
                    "This is the last owner who can sign in. Make somebody else an owner first.";
                Self::new(Code::LastOwner, detail)
            }
            UserError::TooMany => Self::new(Code::TooMany, format!("{error}. Delete one first.")),
            UserError::Field(error) => error.into(),
            UserError::Password(error) => error.into(),
            UserError::Db(error) => error.into(),
        }
    }
}
