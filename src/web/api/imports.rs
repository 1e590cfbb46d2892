//! Imports: followers that were there before Queqiao.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::people::import::ImportError;
use crate::ids::ImportId;
use crate::models::import::{self, Import, ImportState};
use crate::web::body::MaybeBody;
use crate::web::error::{Code, Problem};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportBody {
    /// Whether those who are gone are marked at the end.
    #[serde(default)]
    reconcile: bool,
    /// Whether all profiles are asked for again.
    #[serde(default)]
    refresh: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportView {
    id: ImportId,
    app_id: String,
    reconcile: bool,
    refresh: bool,
    state: ImportState,
    /// Openids seen so far, of as many as WeChat says there are.
    collected: i64,
    total: Option<i64>,
    /// Followers that were not known before.
    created: i64,
    /// Followers marked as gone.
    gone: i64,
    /// Those not on the list of whom WeChat did not say whether they follow.
    unsettled: i64,
    /// What went wrong last, or why it waits.
    problem: Option<String>,
    /// Until when it waits, if it does.
    waits_until: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

fn show(import: Import, app_id: String) -> ImportView {
    let waits_until = import.due_at.filter(|_| import.problem.is_some());
    ImportView {
        id: import.id,
        app_id,
        reconcile: import.reconcile,
        refresh: import.refresh,
        state: import.state,
        collected: import.collected,
        total: import.total,
        created: import.created,
        gone: import.gone,
        unsettled: import.unsettled,
        waits_until: waits_until.map(|time| time.and_utc()),
        problem: import.problem,
        started_at: import.started_at.and_utc(),
        finished_at: import.finished_at.map(|time| time.and_utc()),
    }
}

/// `POST /accounts/{app_id}/imports`: starts one, or joins the one that is running.
#[utoipa::path(
    post,
    path = "/accounts/{app_id}/imports",
    tag = "imports",
    request_body = Option<ImportBody>,
    responses((status = 202, description = "The import runs", body = ImportView)),
    extensions(("x-codes" = json!(["not_found", "wrong_account_kind"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    body: MaybeBody<ImportBody>,
) -> Result<(Json<ImportView>, StatusCode), Problem> {
    let account = state.bridge.accounts.get(&app_id).await?;
    if account.is_none_or(|account| account.project_id != caller.project_id) {
        return Err(Problem::not_found("account"));
    }
    let import = state
        .bridge
        .start_import(&app_id, body.reconcile, body.refresh)
        .await?;
    caller.made(import.id);
    Ok((
        Json(show(import, app_id.into_inner())),
        StatusCode::ACCEPTED,
    ))
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::UnknownAccount => Self::not_found("account"),
            ImportError::MiniProgram => {
                let detail = format!("{error}.");
                Self::new(Code::WrongAccountKind, detail).field("app_id")
            }
            ImportError::Db(error) => error.into(),
            ImportError::Account(error) => error.into(),
        }
    }
}

/// `GET /imports/{id}`: how far it has come.
#[utoipa::path(
    get,
    path = "/imports/{id}",
    tag = "imports",
    responses((status = 200, description = "How far the import is", body = ImportView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<ImportId>,
) -> Result<Json<ImportView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| {
        let import = import::by_id(conn, id)?;
        let accounts = Accounts::of(conn, project)?;
        let shown = import.and_then(|import| {
            let app_id = accounts.app_id(import.account_id)?;
            Some(show(import, app_id))
        });
        shown.ok_or_else(|| Problem::not_found("import"))
    });
    Ok(Json(found.await?))
}
