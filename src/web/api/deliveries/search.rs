//! Deliveries across notifications, and those that went wrong among them.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::filter::Filters;
use super::{DeliveryView, with_attempts};
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::{self, Delivery, Filter};
use crate::models::notification;
use crate::web::api::cursor::{List, Page, Paging};
use crate::web::api::{Caller, State};
use crate::web::error::{Code, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct SearchQuery {
    /// One state, or several with commas.
    #[param(example = "failed,unreachable")]
    state: Option<String>,
    /// A stable word for why.
    #[param(max_length = 128, example = "not_following")]
    reason: Option<String>,
    app_id: Option<String>,
    /// The name of a message type.
    #[param(max_length = 128, example = "order_created")]
    message_type: Option<String>,
    staff_id: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    /// The number of a notification.
    #[param(value_type = Option<i64>, minimum = 1)]
    notification_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A delivery, with what it is a delivery of.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct FoundDelivery {
    notification_id: NotificationId,
    message_type: Option<String>,
    #[serde(flatten)]
    delivery: DeliveryView,
}

/// `GET /deliveries`: the deliveries of all notifications, newest first.
#[utoipa::path(
    get,
    path = "/deliveries",
    tag = "deliveries",
    params(SearchQuery),
    responses((status = 200, description = "A page of deliveries, newest first", body = Page<FoundDelivery>)),
    extensions(("x-codes" = json!(["invalid_field", "too_long"]))),
)]
pub(in crate::web::api) async fn search(
    state: Data<State>,
    caller: Caller,
    query: Query<SearchQuery>,
) -> Result<Json<Page<FoundDelivery>>, Problem> {
    let query = query.into_inner();
    let paging = Paging::read(List::AllDeliveries, &query.limit, &query.cursor)?;
    let filters = Filters {
        state: query.state,
        reason: query.reason,
        app_id: query.app_id,
        message_type: query.message_type,
        staff_id: query.staff_id,
        openid: query.openid,
        unionid: query.unionid,
        notification_id: number(query.notification_id.as_deref())?,
        since: query.since,
        until: query.until,
    };
    let checked = filters.check(paging.after.map(DeliveryId))?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let filter = checked.resolve(conn, project)?;
        let found = delivery::search(conn, project, &filter, paging.limit())?;
        let next = paging.cursor(found.next);
        Ok(Page::new(
            with_message_types(conn, project, found.found)?,
            next,
        ))
    });
    Ok(Json(page.await?))
}

/// `GET /deliveries/{id}`: a delivery with its tries.
#[utoipa::path(
    get,
    path = "/deliveries/{id}",
    tag = "deliveries",
    responses((status = 200, description = "The delivery", body = FoundDelivery)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in crate::web::api) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<DeliveryId>,
) -> Result<Json<FoundDelivery>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| {
        let filter = Filter {
            id: Some(id),
            ..Filter::default()
        };
        let found = delivery::search(conn, project, &filter, 1)?.found;
        let found = with_message_types(conn, project, found)?.into_iter().next();
        found.ok_or_else(|| Problem::not_found("delivery"))
    });
    Ok(Json(found.await?))
}

/// Deliveries as they are shown, with what they are deliveries of.
fn with_message_types(
    conn: &mut Conn,
    project: ProjectId,
    found: Vec<Delivery>,
) -> QueryResult<Vec<FoundDelivery>> {
    let notifications: Vec<NotificationId> = found.iter().map(|row| row.notification_id).collect();
    let types: HashMap<NotificationId, String> = notification::types_of(conn, &notifications)?
        .into_iter()
        .collect();
    let shown = with_attempts(conn, project, found)?;
    let items = shown.into_iter().zip(notifications);
    let items = items.map(|(delivery, notification_id)| FoundDelivery {
        notification_id,
        message_type: types.get(&notification_id).cloned(),
        delivery,
    });
    Ok(items.collect())
}

fn number(text: Option<&str>) -> Result<Option<NotificationId>, Problem> {
    text.map(str::parse).transpose().map_err(|_| {
        let detail = "notification_id must be a whole number, as the API gave it.";
        Problem::new(Code::InvalidQuery, detail).field("notification_id")
    })
}
