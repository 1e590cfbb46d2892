//! Staff who are bound by a unionid that WeChat has replaced, since an account moved to another Open
//! Platform account.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::{List, Page, PageQuery};
use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::people::moved::{Kept, MovedStaff, Rebound, moved_staff};
use crate::ids::BindingId;
use crate::models::identity::unionid_change::horizon;
use crate::web::error::Problem;

/// A staff member who is bound by a unionid that was replaced.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovedPersonView)]
pub(super) struct MovedView {
    staff_id: String,
    binding_id: BindingId,
    /// The bound one.
    unionid: String,
    /// The one that replaced it; null where there are several.
    new_unionid: Option<String>,
    /// In which of the person's accounts it was seen, the newest first.
    seen: Vec<SeenView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeenView {
    app_id: Option<String>,
    openid: String,
    unionid: Option<String>,
    at: DateTime<Utc>,
}

impl MovedView {
    fn of(moved: MovedStaff, accounts: &Accounts) -> Self {
        Self {
            new_unionid: moved.new_unionid().map(str::to_owned),
            staff_id: moved.binding.staff_id,
            binding_id: moved.binding.binding_id,
            unionid: moved.binding.unionid,
            seen: moved
                .replacements
                .into_iter()
                .map(|one| SeenView {
                    app_id: accounts.app_id(one.account_id),
                    openid: one.openid,
                    unionid: one.new_unionid,
                    at: one.changed_at.and_utc(),
                })
                .collect(),
        }
    }
}

/// `GET /accounts/{app_id}/moved`: those whose unionid was replaced in the account, in the order of
/// their bindings.
#[utoipa::path(
    get,
    path = "/accounts/{app_id}/moved",
    tag = "moved",
    params(PageQuery),
    responses((status = 200, description = "A page of people who come with another unionid", body = Page<MovedView>)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    query: Query<PageQuery>,
) -> Result<Json<Page<MovedView>>, Problem> {
    let paging = query.paging(List::Moved)?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = Accounts::of(conn, project)?;
        let account = accounts.with_app_id(&app_id);
        let account = account.ok_or_else(|| Problem::not_found("account"))?;
        let after = BindingId(paging.after.unwrap_or_default());
        let until = horizon(conn, project, after)?;
        let mut found = moved_staff(conn, project, account, after, until, paging.rows())?;
        let next = paging.cut(&mut found, |one| one.binding.binding_id.0);
        let next = next.or_else(|| paging.cursor(until.map(|until| until.0)));
        let items = found.into_iter().map(|one| MovedView::of(one, &accounts));
        Ok(Page::new(items.collect(), next))
    });
    Ok(Json(page.await?))
}

/// What binding again came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReboundView {
    app_id: String,
    /// Bindings that name the new unionid now.
    rebound: u64,
    /// Bindings that stay as they are, and the first hundred of them.
    kept: u64,
    kept_bindings: Vec<KeptView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct KeptView {
    staff_id: String,
    binding_id: BindingId,
    unionid: String,
    reason: &'static str,
    detail: String,
}

impl From<Kept> for KeptView {
    fn from(kept: Kept) -> Self {
        Self {
            staff_id: kept.binding.staff_id,
            binding_id: kept.binding.binding_id,
            unionid: kept.binding.unionid,
            reason: kept.reason,
            detail: kept.detail,
        }
    }
}

/// `POST /accounts/{app_id}/moved/rebind`: binds them by the new unionid, where it is certain.
#[utoipa::path(
    post,
    path = "/accounts/{app_id}/moved/rebind",
    tag = "moved",
    responses((status = 200, description = "What was bound again", body = ReboundView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn rebind(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
) -> Result<Json<ReboundView>, Problem> {
    let rebound = state.bridge.rebind_moved(caller.project_id, &app_id);
    let rebound: Option<Rebound> = rebound.await?;
    let rebound = rebound.ok_or_else(|| Problem::not_found("account"))?;
    Ok(Json(ReboundView {
        app_id: app_id.into_inner(),
        rebound: rebound.rebound,
        kept: rebound.kept,
        kept_bindings: rebound.named.into_iter().map(KeptView::from).collect(),
    }))
}
