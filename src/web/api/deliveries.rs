//! Deliveries: what became of a notification, person by person, try by try.

mod filter;
pub(super) mod retry;
pub(super) mod search;

use std::collections::HashMap;

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::cursor::{List, Page, PageQuery};
use super::notifications::as_json;
use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::planning::route_views::{RouteView, Routes};
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, IdentityId, NotificationId, ProjectId};
use crate::models::delivery::attempt::{self, Attempt};
use crate::models::delivery::{self, Delivery, DeliveryState};
use crate::models::notification;
use crate::web::error::Problem;
use crate::wechat::error::{advice_on, rid_hint};

pub(super) use search::{find, search};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryView {
    id: DeliveryId,
    /// Null for a person who is no staff member.
    staff_id: Option<String>,
    /// The person, where they were not asked for by staff id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient: Option<Box<RawValue>>,
    state: DeliveryState,
    /// A stable word for why it is in that state.
    reason: Option<String>,
    /// The same in a sentence.
    detail: Option<String>,
    /// The account of the route taken.
    app_id: Option<String>,
    identity_id: Option<IdentityId>,
    openid: Option<String>,
    /// Which of the notification's routes, from 0.
    route: Option<i32>,
    /// The routes that were considered, in order, with their verdicts.
    routes: Vec<RouteView>,
    /// WeChat's id of the message.
    msgid: Option<String>,
    /// When it is tried next, while it is queued.
    next_attempt_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    attempts: Vec<AttemptView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    number: i32,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    outcome: &'static str,
    /// WeChat's code.
    errcode: Option<i64>,
    /// The call that WeChat refused.
    call: Option<String>,
    /// What it means, and what to do.
    meaning: Option<&'static str>,
    what_to_do: Option<&'static str>,
    /// WeChat's own words.
    errmsg: Option<String>,
    /// WeChat's id of the request, and where it is looked up.
    rid: Option<String>,
    rid_hint: Option<&'static str>,
    detail: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let call = attempt.call.as_deref().unwrap_or_default();
        let errcode = attempt.errcode.filter(|code| *code != 0);
        let advice = errcode.map(|code| advice_on(call, code));
        let rid_hint = attempt.rid.as_deref().and_then(|rid| rid_hint(call, rid));
        Self {
            number: attempt.number,
            started_at: attempt.started_at.and_utc(),
            finished_at: attempt.finished_at.and_utc(),
            outcome: attempt.outcome.as_str(),
            errcode: attempt.errcode,
            meaning: advice.map(|advice| advice.meaning),
            what_to_do: advice.map(|advice| advice.what_to_do),
            call: attempt.call,
            errmsg: attempt.errmsg,
            rid: attempt.rid,
            rid_hint,
            detail: attempt.detail,
        }
    }
}

/// `GET /notifications/{id}/deliveries`: in the order of the request.
#[utoipa::path(
    get,
    path = "/notifications/{id}/deliveries",
    tag = "deliveries",
    params(PageQuery),
    responses((status = 200, description = "A page of deliveries, in the order of the request", body = Page<DeliveryView>)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    id: Path<NotificationId>,
    query: Query<PageQuery>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let paging = query.paging(List::Deliveries)?;
    let (id, project) = (id.into_inner(), caller.project_id);
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let notification = notification::by_id(conn, project, id)?;
        let notification = notification.ok_or_else(|| Problem::not_found("notification"))?;
        let after = paging.after.map(DeliveryId);
        let mut found = delivery::of_notification(conn, notification.id, after, paging.rows())?;
        let next = paging.cut(&mut found, |row| row.id.0);
        Ok(Page::new(with_attempts(conn, project, found)?, next))
    });
    Ok(Json(page.await?))
}

/// Deliveries as they are shown, with their attempts, in the same order.
fn with_attempts(
    conn: &mut Conn,
    project: ProjectId,
    found: Vec<Delivery>,
) -> QueryResult<Vec<DeliveryView>> {
    let ids: Vec<DeliveryId> = found.iter().map(|row| row.id).collect();
    let mut tries: HashMap<DeliveryId, Vec<AttemptView>> = HashMap::new();
    for attempt in attempt::of_deliveries(conn, &ids)? {
        tries
            .entry(attempt.delivery_id)
            .or_default()
            .push(attempt.into());
    }
    let accounts = Accounts::of(conn, project)?;
    let routes = Routes::of(conn, &found)?;
    let items = found.into_iter().map(|delivery| {
        let attempts = tries.remove(&delivery.id).unwrap_or_default();
        let routes = routes.considered(&delivery);
        show(delivery, attempts, routes, &accounts)
    });
    Ok(items.collect())
}

fn show(
    delivery: Delivery,
    attempts: Vec<AttemptView>,
    routes: Vec<RouteView>,
    accounts: &Accounts,
) -> DeliveryView {
    let is_queued = delivery.state == DeliveryState::Queued;
    DeliveryView {
        id: delivery.id,
        staff_id: delivery.staff_id,
        recipient: delivery.recipient.and_then(as_json),
        state: delivery.state,
        reason: delivery.reason,
        detail: delivery.detail,
        app_id: delivery.account_id.and_then(|id| accounts.app_id(id)),
        identity_id: delivery.identity_id,
        openid: delivery.openid,
        route: delivery.route,
        routes,
        msgid: delivery.msgid.map(|msgid| msgid.to_string()),
        next_attempt_at: delivery
            .due_at
            .filter(|_| is_queued)
            .map(|time| time.and_utc()),
        sent_at: delivery
            .sent_at
            .filter(|_| !is_queued)
            .map(|time| time.and_utc()),
        finished_at: delivery.finished_at.map(|time| time.and_utc()),
        created_at: delivery.created_at.and_utc(),
        attempts,
    }
}
