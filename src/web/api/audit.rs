//! The audit trail.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cursor::{List, Page, Paging};
use super::{Caller, State};
use crate::ids::{ApiKeyId, AuditId};
use crate::models::audit::{self, Action, Entry};
use crate::web::error::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct EntryView {
    id: AuditId,
    action: Action,
    /// The key that was used.
    key: Key,
    app_id: Option<String>,
    /// What came of it, where that is not plain from the action.
    outcome: Option<String>,
    at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Key {
    /// Its number, as `queqiao keys list` shows it.
    id: ApiKeyId,
    /// Its name at that time.
    name: String,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            action: entry.action,
            key: Key {
                id: entry.api_key_id,
                name: entry.api_key_name,
            },
            app_id: entry.app_id,
            outcome: entry.outcome,
            at: entry.created_at.and_utc(),
        }
    }
}

/// `GET /audit`: newest first.
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<Wanted>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let (limit, cursor) = (query.limit.as_deref(), query.cursor.as_deref());
    let paging = Paging::read(List::Audit, limit, cursor)?;
    let project = caller.project_id;
    let found = state.bridge.db.snapshot(move |conn| {
        let before = paging.after.map(AuditId);
        Ok::<_, Problem>(audit::list(conn, project, before, paging.rows())?)
    });
    let mut found = found.await?;
    let next = paging.cut(&mut found, |entry| entry.id.0);
    let items = found.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, next)))
}
