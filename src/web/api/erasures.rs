//! Erasing people, and how far that has come.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::notifications::as_json;
use super::{Caller, State};
use crate::bridge::people::erase::EraseError;
use crate::db::{Conn, QueryResult};
use crate::ids::{ErasureId, IdentityId};
use crate::models::actor::ActorKind;
use crate::models::erasure::{self, Cause, Erasure, ErasureState};
use crate::web::error::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasureView {
    id: ErasureId,
    state: ErasureState,
    cause: Cause,
    /// Who asked for it; the audit trail has the key or the user.
    by: ActorKind,
    /// The numbers that the person's identities had.
    identity_ids: Vec<IdentityId>,
    /// The staff ids that were bound to them; the staff members stay.
    #[schema(value_type = Option<Vec<String>>)]
    staff_ids: Option<Box<RawValue>>,
    erased: Counts,
    requested_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// What was deleted or made anonymous so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasureCounts)]
struct Counts {
    identities: i64,
    bindings: i64,
    permissions: i64,
    events: i64,
    deliveries: i64,
    notifications: i64,
    webhook_messages: i64,
}

fn show(conn: &mut Conn, erasure: Erasure) -> QueryResult<ErasureView> {
    Ok(ErasureView {
        identity_ids: erasure::identity_ids(conn, erasure.id)?,
        id: erasure.id,
        state: erasure.state,
        cause: erasure.cause,
        by: erasure.actor,
        staff_ids: as_json(erasure.staff_ids),
        erased: Counts {
            identities: erasure.identities,
            bindings: erasure.bindings,
            permissions: erasure.permissions,
            events: erasure.events,
            deliveries: erasure.deliveries,
            notifications: erasure.notifications,
            webhook_messages: erasure.webhook_messages,
        },
        requested_at: erasure.requested_at.and_utc(),
        finished_at: erasure.finished_at.map(|time| time.and_utc()),
    })
}

/// `DELETE /people/{identity_id}`: erases the whole person. 200 once all is done, 202 while it goes on.
#[utoipa::path(
    delete,
    path = "/people/{identity_id}",
    tag = "erasures",
    responses((status = 200, description = "The person was erased already", body = ErasureView), (status = 202, description = "The erasure runs", body = ErasureView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    id: Path<IdentityId>,
) -> Result<(Json<ErasureView>, StatusCode), Problem> {
    let by = caller.actor.clone();
    let erasure = state
        .bridge
        .erase(caller.project_id, id.into_inner(), by)
        .await?;
    caller.made(erasure.id);
    let status = match erasure.state {
        ErasureState::Done => StatusCode::OK,
        ErasureState::Running => StatusCode::ACCEPTED,
    };
    let shown = state.bridge.db.snapshot(move |conn| show(conn, erasure));
    Ok((Json(shown.await?), status))
}

/// `GET /erasures/{id}`: how far it has come.
#[utoipa::path(
    get,
    path = "/erasures/{id}",
    tag = "erasures",
    responses((status = 200, description = "How far the erasure is", body = ErasureView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<ErasureId>,
) -> Result<Json<ErasureView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let found = erasure::by_id(conn, project, id)?;
        let found = found.ok_or_else(|| Problem::not_found("erasure"))?;
        Ok(show(conn, found)?)
    });
    Ok(Json(found.await?))
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::UnknownIdentity => Self::not_found("identity"),
            EraseError::Db(error) => error.into(),
        }
    }
}
