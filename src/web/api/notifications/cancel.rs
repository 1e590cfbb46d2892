//! Cancelling what is not sent yet.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::in_each_state;
use crate::ids::NotificationId;
use crate::models::delivery::DeliveryState;
use crate::web::api::{Caller, State};
use crate::web::error::Problem;

/// What was cancelled, over all times that it was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct CancelledView {
    id: NotificationId,
    /// Deliveries that are not sent.
    cancelled: i64,
    /// Deliveries that were sent, may have been, or are being sent at this moment.
    too_late: i64,
    /// Deliveries in each state.
    counts: BTreeMap<&'static str, i64>,
}

/// `POST /notifications/{id}/cancel`: 200, however often.
#[utoipa::path(
    post,
    path = "/notifications/{id}/cancel",
    tag = "notifications",
    responses((status = 200, description = "What was cancelled, and what is too late", body = CancelledView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in crate::web::api) async fn create(
    state: Data<State>,
    caller: Caller,
    id: Path<NotificationId>,
) -> Result<Json<CancelledView>, Problem> {
    let id = id.into_inner();
    let counts = state.bridge.cancel_notification(caller.project_id, id);
    let counts = counts.await?;
    let counts = counts.ok_or_else(|| Problem::not_found("notification"))?;
    let sum = |states: &[DeliveryState]| {
        let counted = counts.iter().filter(|(state, _)| states.contains(state));
        counted.map(|(_, count)| count).sum()
    };
    use DeliveryState::{Delivered, NoReceipt, Queued, Sent, Unknown};
    Ok(Json(CancelledView {
        id,
        cancelled: sum(&[DeliveryState::Cancelled]),
        too_late: sum(&[Queued, Sent, Delivered, NoReceipt, Unknown]),
        counts: in_each_state(counts),
    }))
}
