//! Posting to the business's own endpoints, as the last way to reach somebody. It is at least once:
//! a repetition has the same `webhook-id`, by which the endpoint knows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use super::failure::SendError;
use super::outcome::client_msg_id;
use super::{Attempter, BatchContext, DeliverError};
use crate::bridge::availability::pause::Pause;
use crate::bridge::planning::prepared::CachedNotification;
use crate::bridge::retry::jitter;
use crate::bridge::routes::{Rendered, Route};
use crate::bridge::templates::{endpoint_gone, endpoint_problem};
use crate::bridge::webhooks::manage;
use crate::bridge::webhooks::post::{Answer, Parcel, PostError};
use crate::bridge::webhooks::rest::EndpointRest;
use crate::ids::{DeliveryId, NotificationId, ProjectId, WebhookId};
use crate::models::delivery::{Due, Reason};
use crate::models::staff::Person;
use crate::models::webhook::{self, Webhook};

/// The type of what is posted.
const KIND: &str = "notification";
/// The first rest of an endpoint that takes nothing, seconds.
const FIRST_REST: u64 = 5;
/// How long the others wait for the one that is tried after a rest.
const TRYING: TimeDelta = TimeDelta::seconds(30);

/// The endpoints of this process that took nothing, and are left alone for a while: each has its
/// own, so that one in trouble holds up no other.
#[derive(Debug, Default)]
pub struct Rests(Mutex<HashMap<WebhookId, Rest>>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: i32,
    until: NaiveDateTime,
    /// When the tries of the last failure were claimed: those of one batch count once.
    failed_at: NaiveDateTime,
}

impl Rests {
    /// Until when an endpoint is left alone. After its rest one delivery may try it.
    fn hold(&self, id: WebhookId, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests.get_mut(&id)?;
        if rest.until > now {
            return Some(rest.until);
        }
        rest.until = now + TRYING;
        None
    }

    /// Until when it is left alone for something that was claimed before it went to rest.
    fn since(&self, id: WebhookId, claimed_at: NaiveDateTime) -> Option<NaiveDateTime> {
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests.get(&id)?;
        (rest.failed_at >= claimed_at).then_some(rest.until)
    }

    /// The clock went back: how long each still rests is not known.
    pub(super) fn forget_all(&self) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rests.clear();
    }

    fn worked(&self, id: WebhookId) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rests.remove(&id);
    }

    fn failed(
        &self,
        id: WebhookId,
        claimed_at: NaiveDateTime,
        now: NaiveDateTime,
        asked: Option<u64>,
    ) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = rests.get(&id).copied();
        if known.is_some_and(|known| known.failed_at >= claimed_at) {
            return;
        }
        let failures = known.map_or(0, |known| known.failures);
        let rest = EndpointRest::from(FIRST_REST).after(failures, asked, jitter());
        let rest = Rest {
            failures: failures.saturating_add(1),
            until: now + rest,
            failed_at: claimed_at,
        };
        rests.insert(id, rest);
    }
}

/// An endpoint of the project, with what signs for it.
#[derive(Debug)]
pub(super) struct Endpoint {
    webhook: Webhook,
    secrets: Vec<SecretString>,
    gate: Arc<Semaphore>,
}

/// The endpoints of a batch.
#[derive(Debug, Default)]
pub(super) struct Endpoints(HashMap<WebhookId, Endpoint>);

impl Endpoints {
    /// The one of a project's route, if it is posted to.
    pub(super) fn of(&self, project: ProjectId, route: &Route) -> Result<&Endpoint, SendError> {
        let id = route.endpoint.unwrap_or(WebhookId(0));
        let found = self.0.get(&id);
        let found = found.filter(|found| found.webhook.project_id == project);
        let problem = match found {
            None => endpoint_gone(id),
            Some(endpoint) => match endpoint_problem(id, endpoint.webhook.state) {
                None => return Ok(endpoint),
                Some(problem) => problem,
            },
        };
        let reason = match found {
            None => Reason::EndpointGone,
            Some(_) => Reason::EndpointDisabled,
        };
        Err(SendError::NoEndpoint(reason, problem.1))
    }

    /// Which there are.
    pub(super) fn ids(&self) -> Vec<WebhookId> {
        self.0.keys().copied().collect()
    }
}

impl Endpoint {
    /// Whether it is, among those that are there now, what it was when it was looked up.
    pub(super) fn is_among(&self, now: &[Webhook]) -> bool {
        let known = &self.webhook;
        let mut now = now.iter();
        now.any(|one| one.id == known.id && one.url == known.url && one.state == known.state)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: DateTime<Utc>,
    data: Notified<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NotificationEvent)]
pub(crate) struct Notified<'a> {
    delivery_id: DeliveryId,
    notification_id: NotificationId,
    message_type: &'a str,
    staff_id: Option<&'a str>,
    /// The person, where they were not asked for by staff id, as the app named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient: Option<Person>,
    staff_name: Option<&'a str>,
    fields: &'a BTreeMap<String, String>,
    created_at: DateTime<Utc>,
}

impl Attempter {
    /// Looks up the endpoints of a batch, in one query, and holds what is for those that rest.
    pub(super) async fn find_endpoints(
        &self,
        context: &mut BatchContext,
        now: NaiveDateTime,
    ) -> Result<(), DeliverError> {
        let due = &context.batch.due;
        let named = due.iter().filter_map(|due| {
            let route = context.routes_from(due).first()?;
            Some((due.id, route.endpoint?))
        });
        let named: Vec<(DeliveryId, WebhookId)> = named.collect();
        let ids: BTreeSet<WebhookId> = named.iter().map(|(_, id)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<WebhookId> = ids.into_iter().collect();
        let found = self.db.read(move |conn| -> Result<_, DeliverError> {
            let found = webhook::by_ids(conn, &ids)?;
            Ok(found)
        });
        for webhook in found.await? {
            let secrets = manage::secrets(&self.vault, &webhook, now).unwrap_or_else(|error| {
                tracing::error!(webhook.id = %webhook.id, %error, "the endpoint's secret does not open");
                Vec::new()
            });
            let gate = Arc::new(Semaphore::new(self.config.webhooks.concurrency));
            let endpoint = Endpoint {
                webhook,
                secrets,
                gate,
            };
            context.endpoints.0.insert(endpoint.webhook.id, endpoint);
        }
        for (delivery, id) in named {
            if let Some(until) = self.rests.hold(id, now) {
                context.batch.held.insert(delivery, rest(until));
            }
        }
        Ok(())
    }

    /// Waits until fewer posts are under way at the endpoint of a delivery than may be; or why it is
    /// not posted to after all, as others of the batch found it in trouble.
    pub(super) async fn turn_at_endpoint(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        context: &BatchContext,
    ) -> Result<Option<OwnedSemaphorePermit>, Pause> {
        let Some(endpoint) = context.endpoint_of(due) else {
            return Ok(None);
        };
        let turn = Arc::clone(&endpoint.gate).acquire_owned().await.ok();
        match self.rests.since(endpoint.webhook.id, claimed_at) {
            Some(until) => Err(rest(until)),
            None => Ok(turn),
        }
    }

    /// Posts once, and records how the endpoint does.
    pub(super) async fn post(
        &self,
        due: &Due,
        ready: &CachedNotification,
        rendered: &Rendered,
        (endpoint, claimed_at): (&Endpoint, NaiveDateTime),
    ) -> Result<(), SendError> {
        let created_at = ready.created_at.and_utc();
        let body = Body {
            kind: KIND,
            timestamp: created_at,
            data: Notified {
                delivery_id: due.id,
                notification_id: due.notification_id,
                message_type: &ready.message_type,
                staff_id: due.staff_id.as_deref(),
                recipient: named(due),
                staff_name: due.staff_name.as_deref(),
                fields: &rendered.data,
                created_at,
            },
        };
        // JSON of strings and numbers can always be written.
        let body = serde_json::to_string(&body).unwrap_or_default();
        // The same for every try, also one by hand.
        let id = format!("msg_{}", client_msg_id(ready.nonce, due.id, 0));
        let parcel = Parcel {
            id: &id,
            timestamp: self.clock.unix_seconds(),
            secrets: &endpoint.secrets,
            body: &body,
        };
        let poster = self.webhooks.poster();
        let posted = poster.post(&endpoint.webhook.url, &parcel).await;
        self.note(endpoint.webhook.id, claimed_at, &posted);
        match posted {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(SendError::Answered(answer)),
            Err(error) => Err(SendError::Post(error)),
        }
    }

    /// An endpoint that is away, or too busy, is left alone for a while.
    fn note(&self, id: WebhookId, claimed_at: NaiveDateTime, posted: &Result<Answer, PostError>) {
        let asked = match posted {
            Ok(answer) if matches!(answer.status, 429 | 500..) => answer.retry_after,
            Ok(_) => return self.rests.worked(id),
            Err(_) => None,
        };
        self.rests.failed(id, claimed_at, self.clock.now(), asked);
    }
}

/// Whom the app named without a staff id.
fn named(due: &Due) -> Option<Person> {
    serde_json::from_str(due.recipient.as_deref()?).ok()
}

fn rest(until: NaiveDateTime) -> Pause {
    Pause {
        until,
        reason: Reason::EndpointResting,
        detail: "The endpoint did not take what it was last sent, and is left alone for a moment."
            .to_owned(),
        far: None,
    }
}
