//! Where somebody is signed in.

use actix_web::web::{Data, Json, Path};
use serde::Serialize;

use crate::ids::UserId;
use crate::web::api::State;
use crate::web::error::Problem;

#[derive(Debug, Serialize)]
pub(in crate::web::api) struct EndedView {
    /// How many sessions there were.
    ended: usize,
}

/// `DELETE /users/{id}/sessions`: signs somebody out everywhere.
pub(in crate::web::api) async fn delete(
    state: Data<State>,
    id: Path<UserId>,
) -> Result<Json<EndedView>, Problem> {
    let ended = state.bridge.end_sessions(id.into_inner()).await?;
    Ok(Json(EndedView { ended }))
}
