//! Why a staff member is reached or not.

use actix_web::web::{Data, Json, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::check;
use super::{Caller, State};
use crate::bridge::explain::{ExplainError, Explanation};
use crate::bridge::limits::NAME_MAX;
use crate::web::error::{Code, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    /// The name of a message type: what would become of such a message is told too.
    #[param(max_length = 128, example = "order_created")]
    message_type: Option<String>,
}

/// `GET /staff/{staff_id}/explain`: everything that is known of it, with what to do next.
#[utoipa::path(
    get,
    path = "/staff/{staff_id}/explain",
    tag = "explain",
    params(ExplainQuery),
    responses((status = 200, description = "What would happen, and what did", body = Explanation)),
    extensions(("x-codes" = json!(["not_found", "invalid_field", "too_long", "unknown_message_type"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
    query: Query<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
    let message_type = query.into_inner().message_type;
    check::maybe_text("message_type", message_type.as_ref(), NAME_MAX)?;
    let explanation = state
        .bridge
        .explain(caller.project_id, staff_id.into_inner(), message_type);
    Ok(Json(explanation.await?))
}

impl From<ExplainError> for Problem {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::UnknownStaff => Self::not_found("staff member"),
            ExplainError::UnknownMessageType(_) => {
                let detail = format!("{error}.");
                Self::new(Code::UnknownMessageType, detail).field("message_type")
            }
            ExplainError::Db(error) => error.into(),
        }
    }
}
