//! Notifications: asking for one, and what was asked.

pub(super) mod cancel;
mod people;
mod prefer;
pub(super) mod preflight;

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::check::{self, IDEMPOTENCY_KEY};
use super::cursor::{List, Page, PageQuery};
use super::params::Params;
use super::{Caller, State, large};
use crate::bridge::notify::{Accepted, NotifyError, NotifyRequest, RecipientResult, Recipients};
use crate::bridge::routes::Manner;
use crate::ids::{DeliveryId, NotificationId};
use crate::models::delivery::{self, DeliveryState};
use crate::models::notification::Priority;
use crate::models::notification::{self, Notification};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use people::PersonEntry;
use prefer::{OutcomeView, Outcomes, PREFERENCE_APPLIED};

/// About what a verdict takes in the answer.
const VERDICT_BYTES: usize = 96;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationBody {
    /// The name of a message type.
    message_type: String,
    /// The staff to notify, by the business's own ids.
    staff_ids: Option<Vec<String>>,
    /// Instead of `staff_ids`: the staff who have this tag.
    tag: Option<String>,
    /// Instead of `staff_ids`: everybody.
    #[serde(default)]
    all_staff: bool,
    /// Instead of `staff_ids`: people, staff or not.
    people: Option<Vec<PersonEntry>>,
    /// What fills the message in.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Params,
    /// `urgent`, `normal` or `bulk`.
    priority: Option<String>,
    /// When to send it, if not at once.
    send_at: Option<String>,
    /// From when not to send it any more.
    expires_at: Option<String>,
    /// Which version of the mini-program a tap opens, whatever the routes say.
    miniprogram_state: Option<String>,
    /// The language of a mini-program's subscription message, whatever the routes say.
    lang: Option<String>,
}

impl NotificationBody {
    /// What is asked for, without an idempotency key.
    fn into_request(self) -> Result<NotifyRequest, Problem> {
        let (people, brought) = self.people.map(people::read).transpose()?.unzip();
        let lang = self.lang.as_deref();
        Ok(NotifyRequest {
            message_type: self.message_type,
            recipients: Recipients::one_of(self.staff_ids, self.tag, self.all_staff, people)?,
            brought: brought.unwrap_or_default(),
            manner: Manner::read(self.miniprogram_state.as_deref(), lang)?,
            params: self.params.0,
            priority: self.priority,
            send_at: self.send_at,
            expires_at: self.expires_at,
            idempotency_key: None,
        })
    }
}

/// The answer to a request that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedNotificationView)]
pub(super) struct AcceptedView {
    id: NotificationId,
    message_type: String,
    counts: VerdictCounts,
    #[serde(serialize_with = "serialize_verdicts")]
    #[schema(value_type = Vec<VerdictView>)]
    verdicts: Verdicts,
    /// Whether this is the answer to an earlier request with the same Idempotency-Key.
    replayed: bool,
}

/// What was decided for each recipient, and what became of it, if the answer waited for that.
#[derive(Debug)]
struct Verdicts {
    decided: Vec<RecipientResult>,
    outcomes: Option<Outcomes>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct VerdictCounts {
    queued: usize,
    unreachable: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct VerdictView<'a> {
    staff_id: Option<&'a str>,
    /// The person, where they were not asked for by staff id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient: Option<&'a RawValue>,
    delivery_id: DeliveryId,
    /// `queued` or `unreachable`.
    state: DeliveryState,
    /// A stable word for why nobody can be reached, or what is waited for.
    reason: Option<&'a str>,
    /// The same in a sentence, with what to do.
    detail: Option<&'a str>,
    /// What became of it, if the answer waited for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeView<'a>>,
}

/// One after the other: there may be many.
fn serialize_verdicts<S: Serializer>(
    verdicts: &Verdicts,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let outcomes = verdicts.outcomes.as_ref();
    serializer.collect_seq(verdicts.decided.iter().map(|verdict| {
        VerdictView {
            outcome: outcomes
                .and_then(|outcomes| outcomes.get(&verdict.delivery_id))
                .map(Into::into),
            ..VerdictView::from(verdict)
        }
    }))
}

/// A notification in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationSummary {
    id: NotificationId,
    message_type: String,
    idempotency_key: Option<String>,
    priority: Priority,
    send_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// Everything about one notification but its deliveries, which have pages of their own.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationView {
    #[serde(flatten)]
    summary: NotificationSummary,
    #[schema(value_type = Option<Object>)]
    params: Option<Box<RawValue>>,
    /// The routes as they were when it was accepted.
    #[schema(value_type = Option<Vec<crate::bridge::routes::Route>>)]
    routes: Option<Box<RawValue>>,
    /// Deliveries in each state.
    counts: BTreeMap<&'static str, i64>,
}

/// `POST /notifications`: 202 once all deliveries are stored, with a verdict for each recipient.
#[utoipa::path(
    post,
    path = "/notifications",
    tag = "notifications",
    request_body = NotificationBody,
    responses((status = 202, description = "The deliveries are stored, with what was decided for each recipient", body = AcceptedView)),
    extensions(("x-codes" = json!([
        "unknown_message_type", "invalid_header", "idempotency_conflict", "unknown_app_id",
        "wrong_account_kind", "no_app_secret", "code_invalid", "code_used", "login_refused",
        "wechat_refused", "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<NotificationBody>,
) -> Result<HttpResponse, Problem> {
    let idempotency_key = check::idempotency_key(&request)?;
    let mut notify_request = body.into_inner().into_request()?;
    notify_request.idempotency_key = idempotency_key;
    let message_type = notify_request.message_type.clone();
    let accepted = state
        .bridge
        .notify(caller.project_id, notify_request)
        .await?;
    caller.made(accepted.notification_id);
    let wait = prefer::wait(&request, accepted.results.len());
    let outcomes = match wait {
        Some(seconds) => {
            let id = accepted.notification_id;
            // It is accepted: an app that got an error would ask for it once more.
            let outcomes = state.bridge.outcomes(id, seconds).await;
            outcomes.unwrap_or_else(|error| {
                tracing::warn!(notification.id = %id, %error, "outcomes not read for an app that waits");
                None
            })
        }
        None => None,
    };
    let applied = wait.filter(|_| outcomes.is_some());
    let size = (accepted.results.len(), VERDICT_BYTES);
    let view = show(message_type, accepted, outcomes);
    let mut answer = large::answer(StatusCode::ACCEPTED, &view, size)?;
    if let Some(seconds) = applied {
        let name = HeaderName::from_static(PREFERENCE_APPLIED);
        if let Ok(value) = HeaderValue::from_str(&format!("wait={seconds}")) {
            answer.headers_mut().insert(name, value);
        }
    }
    Ok(answer)
}

/// What is stored as JSON, to be shown as it is.
pub(super) fn as_json(stored: String) -> Option<Box<RawValue>> {
    RawValue::from_string(stored).ok()
}

fn show(message_type: String, accepted: Accepted, outcomes: Option<Outcomes>) -> AcceptedView {
    let mut counts = VerdictCounts::default();
    for result in &accepted.results {
        match result.state {
            DeliveryState::Unreachable => counts.unreachable += 1,
            _ => counts.queued += 1,
        }
    }
    AcceptedView {
        id: accepted.notification_id,
        message_type,
        counts,
        verdicts: Verdicts {
            decided: accepted.results,
            outcomes,
        },
        replayed: accepted.replayed,
    }
}

impl<'a> From<&'a RecipientResult> for VerdictView<'a> {
    fn from(verdict: &'a RecipientResult) -> Self {
        let recipient = verdict.recipient.as_deref();
        Self {
            staff_id: verdict.staff_id.as_deref(),
            recipient: recipient.and_then(|json| serde_json::from_str(json).ok()),
            delivery_id: verdict.delivery_id,
            state: verdict.state,
            reason: verdict.reason.as_deref(),
            detail: verdict.detail.as_deref(),
            outcome: None,
        }
    }
}

impl From<NotifyError> for Problem {
    fn from(error: NotifyError) -> Self {
        let detail = format!("{error}.");
        match error {
            NotifyError::Invalid(error) => error.into(),
            NotifyError::UnknownMessageType(_) => {
                Self::new(Code::UnknownMessageType, detail).field("message_type")
            }
            NotifyError::Route { name, source } => Self::new(Code::InvalidField, detail)
                .field(source.field)
                .message_type(name)
                .broken(source.broken),
            NotifyError::Login { at, source } => {
                Self::from(source).within(&format!("people[{at}]"))
            }
            NotifyError::IdempotencyMismatch => {
                Self::new(Code::IdempotencyConflict, detail).field(IDEMPOTENCY_KEY)
            }
            NotifyError::Db(error) => error.into(),
        }
    }
}

impl From<Notification> for NotificationSummary {
    fn from(stored: Notification) -> Self {
        Self {
            id: stored.id,
            message_type: stored.message_type,
            idempotency_key: stored.idempotency_key,
            priority: stored.priority,
            send_at: stored.send_at.map(|time| time.and_utc()),
            expires_at: stored.expires_at.map(|time| time.and_utc()),
            cancelled_at: stored.cancelled_at.map(|time| time.and_utc()),
            created_at: stored.created_at.and_utc(),
        }
    }
}

/// `GET /notifications`: newest first.
#[utoipa::path(
    get,
    path = "/notifications",
    tag = "notifications",
    params(PageQuery),
    responses((status = 200, description = "A page of notifications, newest first", body = Page<NotificationSummary>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<NotificationSummary>>, Problem> {
    let paging = query.paging(List::Notifications)?;
    let project = caller.project_id;
    let found = state.bridge.db.snapshot(move |conn| {
        let before = paging.after.map(NotificationId);
        notification::list(conn, project, before, paging.rows())
    });
    let mut found = found.await?;
    let next = paging.cut(&mut found, |row| row.id.0);
    Ok(Json(Page::new(
        found.into_iter().map(Into::into).collect(),
        next,
    )))
}

/// `GET /notifications/{id}`: with how many deliveries are in each state.
#[utoipa::path(
    get,
    path = "/notifications/{id}",
    tag = "notifications",
    responses((status = 200, description = "The notification", body = NotificationView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<NotificationId>,
) -> Result<Json<NotificationView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let whole = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let found = notification::by_id(conn, project, id)?;
        let mut found = found.ok_or_else(|| Problem::not_found("notification"))?;
        let counts = in_each_state(delivery::counts(conn, id)?);
        Ok(NotificationView {
            params: as_json(std::mem::take(&mut found.params)),
            routes: as_json(std::mem::take(&mut found.routes)),
            summary: found.into(),
            counts,
        })
    });
    Ok(Json(whole.await?))
}

/// Every state with its count, also where that is 0.
pub(super) fn in_each_state(counted: Vec<(DeliveryState, i64)>) -> BTreeMap<&'static str, i64> {
    let none = DeliveryState::ALL.iter().map(|state| (*state, 0));
    none.chain(counted)
        .map(|(state, count)| (state.as_str(), count))
        .collect()
}
