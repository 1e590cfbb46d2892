//! The templates of an account: what WeChat lists, what changed, and who names them.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::cursor::{List, Page, PageQuery};
use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::templates::{Naming, SyncError, Synced};
use crate::ids::TemplateRowId;
use crate::models::account::template::{self, Kind, Template};
use crate::models::account::template_sync;
use crate::web::error::Problem;

/// A page, and how old what it says is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Templates {
    sync: SyncView,
    #[serde(flatten)]
    page: Page<TemplateView>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct SyncView {
    /// When the templates were last listed; null for never.
    synced_at: Option<DateTime<Utc>>,
    /// When they are listed again; null for only on demand.
    next_at: Option<DateTime<Utc>>,
    /// Why the last listing failed.
    problem: Option<SyncProblem>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SyncProblem {
    /// WeChat's code, where it answered.
    code: Option<i64>,
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct TemplateView {
    template_id: String,
    kind: Kind,
    title: String,
    content: String,
    #[schema(value_type = Option<Vec<crate::wechat::library::TemplateKey>>)]
    keys: Option<Box<RawValue>>,
    /// `changed` if it is not what it was when it was first listed, or `gone`.
    drift: Option<&'static str>,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    gone_at: Option<DateTime<Utc>>,
    changed_at: Option<DateTime<Utc>>,
    /// What it was before `changed_at`.
    previous: Option<Previous>,
    /// The message types with a route that names it.
    message_types: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Previous {
    title: String,
    content: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncedView {
    app_id: String,
    synced_at: DateTime<Utc>,
    #[serde(flatten)]
    synced: Synced,
}

/// `POST /accounts/{app_id}/templates/sync`: lists them at WeChat now.
#[utoipa::path(
    post,
    path = "/accounts/{app_id}/templates/sync",
    tag = "templates",
    responses((status = 200, description = "How many templates there are now", body = SyncedView)),
    extensions(("x-codes" = json!([
        "not_found", "no_app_secret", "wechat_refused", "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(super) async fn sync(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
) -> Result<Json<SyncedView>, Problem> {
    let account = state.bridge.accounts.get(&app_id).await?;
    if account.is_none_or(|account| account.project_id != caller.project_id) {
        return Err(Problem::not_found("account"));
    }
    let synced = state.bridge.sync_templates(&app_id).await?;
    Ok(Json(SyncedView {
        app_id: app_id.into_inner(),
        synced_at: state.bridge.clock.now().and_utc(),
        synced,
    }))
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::UnknownAccount => Self::not_found("account"),
            SyncError::Token(error) => error.into(),
            SyncError::Db(error) => error.into(),
            SyncError::Account(error) => error.into(),
        }
    }
}

/// `GET /accounts/{app_id}/templates`: as they were last listed, the newest first.
#[utoipa::path(
    get,
    path = "/accounts/{app_id}/templates",
    tag = "templates",
    params(PageQuery),
    responses((status = 200, description = "A page of templates", body = Templates)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    query: Query<PageQuery>,
) -> Result<Json<Templates>, Problem> {
    let paging = query.paging(List::Templates)?;
    let project = caller.project_id;
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let account = Accounts::of(conn, project)?.with_app_id(&app_id);
        let account = account.ok_or_else(|| Problem::not_found("account"))?;
        let naming = Naming::of(conn, project)?;
        let sync = template_sync::find(conn, account)?;
        let before = paging.after.map(TemplateRowId);
        let mut found = template::page(conn, account, before, paging.rows())?;
        let next = paging.cut(&mut found, |template| template.id.0);
        let items = found.into_iter().map(|template| {
            let message_types = naming.message_types(&app_id, &template.template_id);
            show(template, message_types)
        });
        Ok(Templates {
            sync: sync.map(show_sync).unwrap_or_default(),
            page: Page::new(items.collect(), next),
        })
    });
    Ok(Json(found.await?))
}

fn show_sync(sync: template_sync::Sync) -> SyncView {
    let code = sync.problem_code;
    SyncView {
        synced_at: sync.synced_at.map(|time| time.and_utc()),
        next_at: sync.due_at.map(|time| time.and_utc()),
        problem: sync.problem.map(|text| SyncProblem { code, text }),
    }
}

fn show(template: Template, message_types: Vec<String>) -> TemplateView {
    let drift = template.drift();
    let previous = template.previous_title.zip(template.previous_content);
    TemplateView {
        template_id: template.template_id,
        kind: template.kind,
        title: template.title,
        content: template.content,
        keys: RawValue::from_string(template.keys).ok(),
        drift,
        first_seen_at: template.first_seen_at.and_utc(),
        last_seen_at: template.last_seen_at.and_utc(),
        gone_at: template.gone_at.map(|time| time.and_utc()),
        changed_at: template.changed_at.map(|time| time.and_utc()),
        previous: previous.map(|(title, content)| Previous { title, content }),
        message_types,
    }
}
