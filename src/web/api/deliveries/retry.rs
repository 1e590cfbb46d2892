//! Sending once more what did not arrive: one delivery, or all that match a filter.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::Filters;
use crate::bridge::limits::RETRIED_MAX;
use crate::bridge::notify::retriable;
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::{DeliveryState, Filter};
use crate::web::api::cursor::{self, List};
use crate::web::api::{Caller, State, check, times};
use crate::web::body::{Body, MaybeBody};
use crate::web::error::{Code, Problem};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct RetryOneBody {
    /// Also where the person may have seen the message, and could see it twice.
    #[serde(default)]
    even_if_sent: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct RetryManyBody {
    state: Option<String>,
    reason: Option<String>,
    app_id: Option<String>,
    message_type: Option<String>,
    staff_id: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    notification_id: Option<NotificationId>,
    #[serde(default, deserialize_with = "times::filter_of_body")]
    since: Option<String>,
    #[serde(default, deserialize_with = "times::filter_of_body")]
    until: Option<String>,
    #[serde(default)]
    even_if_sent: bool,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// One delivery that is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct QueuedDelivery {
    id: DeliveryId,
    state: DeliveryState,
    /// When it is sent: now, or at the notification's `send_at`.
    next_attempt_at: DateTime<Utc>,
}

/// What became of a retry in bulk.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct RetriedView {
    /// How many are sent again.
    taken: usize,
    /// How many of those wait for their `send_at`.
    waiting: usize,
    /// How many were looked at and are not.
    not_taken: usize,
    /// Those by why.
    reasons: BTreeMap<&'static str, usize>,
    /// Where to go on; null when all were looked at.
    next_cursor: Option<String>,
}

/// `POST /deliveries/{id}/retry`: 202 once it is queued again.
#[utoipa::path(
    post,
    path = "/deliveries/{id}/retry",
    tag = "deliveries",
    request_body = Option<RetryOneBody>,
    responses((status = 202, description = "It is sent again", body = QueuedDelivery)),
    extensions(("x-codes" = json!(["not_found", "not_retryable"]))),
)]
pub(in crate::web::api) async fn one(
    state: Data<State>,
    caller: Caller,
    id: Path<DeliveryId>,
    body: MaybeBody<RetryOneBody>,
) -> Result<(Json<QueuedDelivery>, StatusCode), Problem> {
    let id = id.into_inner();
    let filter = Filter {
        id: Some(id),
        ..Filter::default()
    };
    let retry = state
        .bridge
        .retry_deliveries(caller.project_id, filter, 1, body.even_if_sent);
    let retried = retry.await?;
    if let Some(refused) = retried.refused.into_iter().next() {
        let detail = format!("{} ({})", refused.detail, refused.reason.as_str());
        return Err(Problem::new(Code::NotRetryable, detail));
    }
    let Some(taken) = retried.taken.first() else {
        return Err(Problem::not_found("delivery"));
    };
    let queued = QueuedDelivery {
        id,
        state: DeliveryState::Queued,
        next_attempt_at: taken.due_at.and_utc(),
    };
    Ok((Json(queued), StatusCode::ACCEPTED))
}

/// `POST /deliveries/retry`: 202 with how many of those that match are queued again.
#[utoipa::path(
    post,
    path = "/deliveries/retry",
    tag = "deliveries",
    request_body = RetryManyBody,
    responses((status = 202, description = "Which are sent again, and why others are not", body = RetriedView)),
    extensions(("x-codes" = json!(["invalid_cursor"]))),
)]
pub(in crate::web::api) async fn many(
    state: Data<State>,
    caller: Caller,
    body: Body<RetryManyBody>,
) -> Result<(Json<RetriedView>, StatusCode), Problem> {
    let body = body.into_inner();
    let limit = check::bulk_limit(body.limit, RETRIED_MAX)?;
    let before = cursor::read(List::AllDeliveries, body.cursor.as_deref())?;
    let filters = Filters {
        state: body.state,
        reason: body.reason,
        app_id: body.app_id,
        message_type: body.message_type,
        staff_id: body.staff_id,
        openid: body.openid,
        unionid: body.unionid,
        notification_id: body.notification_id,
        since: body.since,
        until: body.until,
    };
    if filters.is_empty() {
        let detail = "Give at least one filter: state, reason, app_id, message_type, staff_id, \
                      openid, unionid, notification_id, since or until. Without one, everything that ever failed \
                      would be sent.";
        return Err(Problem::new(Code::MissingField, detail));
    }
    let mut checked = filters.check(before.map(DeliveryId))?;
    if checked.filter.states.is_empty() {
        checked.filter.states = retriable().to_vec();
    }
    let project = caller.project_id;
    let filter = state
        .bridge
        .db
        .snapshot(move |conn| checked.resolve(conn, project));
    let filter = filter.await?;
    let retry = state
        .bridge
        .retry_deliveries(project, filter, limit, body.even_if_sent);
    let retried = retry.await?;
    let mut reasons = BTreeMap::new();
    for refused in &retried.refused {
        *reasons.entry(refused.reason.as_str()).or_default() += 1;
    }
    let answer = RetriedView {
        taken: retried.taken.len(),
        waiting: retried.waiting,
        not_taken: retried.refused.len(),
        reasons,
        next_cursor: retried
            .last
            .map(|last| cursor::encode(List::AllDeliveries, last.0)),
    };
    Ok((Json(answer), StatusCode::ACCEPTED))
}
