//! What a notification would come to, without one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{NotificationBody, as_json};
use crate::bridge::notify::{Forecast, Preflight, Warning};
use crate::bridge::planning::route_views::RouteView;
use crate::bridge::routes::Channel;
use crate::models::delivery::Reason;
use crate::web::api::{Caller, State, large};
use crate::web::body::Body;
use crate::web::error::Problem;

/// About what a verdict takes in the answer.
const VERDICT_BYTES: usize = 256;

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct PreflightView {
    message_type: String,
    counts: Counts,
    verdicts: Vec<VerdictView>,
    warnings: Vec<WarningView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreflightCounts)]
struct Counts {
    would_send: usize,
    would_wait: usize,
    unreachable: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreflightVerdictView)]
struct VerdictView {
    staff_id: Option<String>,
    /// The person, where they were not asked for by staff id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient: Option<Box<RawValue>>,
    /// `would_send`, `would_wait` or `unreachable`.
    verdict: &'static str,
    /// A stable word for why nobody can be reached, or what is waited for.
    reason: Option<Reason>,
    /// The same in a sentence, with what to do.
    detail: Option<String>,
    /// The route that would be taken or waited for, from 0, with its channel and account.
    route: Option<usize>,
    channel: Option<Channel>,
    account: Option<String>,
    /// Every route that was considered, in order.
    routes: Vec<RouteView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WarningView {
    route: usize,
    field: String,
    code: &'static str,
    detail: String,
}

/// `POST /notifications/preflight`: 200 with a verdict for each recipient. Changes nothing.
#[utoipa::path(
    post,
    path = "/notifications/preflight",
    tag = "notifications",
    request_body = NotificationBody,
    responses((status = 200, description = "What would become of each recipient", body = PreflightView)),
    extensions(("x-codes" = json!([
        "unknown_message_type", "unknown_app_id", "wrong_account_kind", "no_app_secret",
        "code_invalid", "code_used", "login_refused", "wechat_refused", "wechat_busy",
        "wechat_unreachable"
    ]))),
)]
pub(in crate::web::api) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Body<NotificationBody>,
) -> Result<HttpResponse, Problem> {
    let request = body.into_inner().into_request()?;
    let message_type = request.message_type.clone();
    let preflight = state.bridge.preflight(caller.project_id, request).await?;
    let size = (preflight.verdicts.len(), VERDICT_BYTES);
    large::answer(StatusCode::OK, &show(message_type, preflight), size)
}

fn show(message_type: String, preflight: Preflight) -> PreflightView {
    let would_wait = preflight.verdicts.iter().filter(|one| one.waits).count();
    let reached = preflight.verdicts.iter().filter(|one| one.route.is_some());
    let would_send = reached.count() - would_wait;
    PreflightView {
        message_type,
        counts: Counts {
            would_send,
            would_wait,
            unreachable: preflight.verdicts.len() - would_send - would_wait,
        },
        verdicts: preflight.verdicts.into_iter().map(Into::into).collect(),
        warnings: preflight.warnings.into_iter().map(Into::into).collect(),
    }
}

impl From<Forecast> for VerdictView {
    fn from(forecast: Forecast) -> Self {
        let Forecast {
            staff_id,
            recipient,
            route,
            waits,
            why,
            routes,
            switched_off: _,
        } = forecast;
        let taken = routes.iter().find(|view| Some(view.route) == route);
        let (reason, detail) = why.unzip();
        Self {
            staff_id,
            recipient: recipient.and_then(as_json),
            verdict: match route {
                Some(_) if waits => "would_wait",
                Some(_) => "would_send",
                None => "unreachable",
            },
            reason,
            detail,
            route,
            channel: taken.map(|view| view.channel),
            account: taken.and_then(|view| view.account.clone()),
            routes,
        }
    }
}

impl From<Warning> for WarningView {
    fn from(warning: Warning) -> Self {
        Self {
            route: warning.route,
            field: warning.field,
            code: warning.code,
            detail: warning.detail,
        }
    }
}
