//! Where somebody is signed in.

use actix_web::web::{Data, Json, Path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::UserId;
use crate::web::api::State;
use crate::web::error::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct EndedView {
    /// How many sessions there were.
    ended: usize,
}

/// `DELETE /users/{id}/sessions`: signs somebody out everywhere.
#[utoipa::path(
    delete,
    path = "/users/{id}/sessions",
    tag = "users",
    responses((status = 200, description = "How many sessions have ended", body = EndedView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in crate::web::api) async fn delete(
    state: Data<State>,
    id: Path<UserId>,
) -> Result<Json<EndedView>, Problem> {
    let ended = state.bridge.end_sessions(id.into_inner()).await?;
    Ok(Json(EndedView { ended }))
}
