//! The audit trail.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::{List, Page, PageQuery};
use super::{Caller, State};
use crate::ids::{ApiKeyId, AuditId, ErasureId, IdentityId, UserId};
use crate::models::actor::ActorKind;
use crate::models::audit::{self, Action, Entry};
use crate::web::error::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryView {
    id: AuditId,
    action: Action,
    /// Who did it.
    by: ActorKind,
    /// The key that was used; null where it was none.
    key: Option<Key>,
    /// Who had signed in; null where nobody had.
    user: Option<UserRef>,
    app_id: Option<String>,
    /// What came of it, where that is not plain from the action.
    outcome: Option<String>,
    /// The number of the identity that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_id: Option<IdentityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erasure_id: Option<ErasureId>,
    at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Key {
    /// Its number, as `queqiao keys list` shows it.
    id: ApiKeyId,
    /// Its name at that time.
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct UserRef {
    id: UserId,
    /// Their name at that time.
    name: String,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            action: entry.action,
            by: entry.actor,
            key: (entry.actor == ActorKind::ApiKey).then_some(Key {
                id: entry.api_key_id,
                name: entry.api_key_name,
            }),
            user: entry.user_id.map(|id| UserRef {
                id,
                name: entry.user_name.unwrap_or_default(),
            }),
            app_id: entry.app_id,
            outcome: entry.outcome,
            identity_id: entry.identity_id,
            erasure_id: entry.erasure_id,
            at: entry.created_at.and_utc(),
        }
    }
}

/// `GET /audit`: newest first.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "audit",
    params(PageQuery),
    responses((status = 200, description = "A page of entries, newest first", body = Page<EntryView>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let paging = query.paging(List::Audit)?;
    let project = caller.project_id;
    let found = state.bridge.db.snapshot(move |conn| {
        let before = paging.after.map(AuditId);
        audit::list(conn, project, before, paging.rows())
    });
    let mut found = found.await?;
    let next = paging.cut(&mut found, |entry| entry.id.0);
    let items = found.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, next)))
}
