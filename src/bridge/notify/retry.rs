//! Retrying deliveries by hand: what did not arrive is planned again and sent again, unless the
//! person may have seen it already.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::NaiveDateTime;

use super::NotifyError;
use crate::bridge::Bridge;
use crate::bridge::limits::{FieldError, RETRIED_MAX};
use crate::bridge::planning::decide::{Asked, Decision, Known, Reach, RecipientKey, decide};
use crate::bridge::planning::planner::Sender;
use crate::bridge::planning::prepared::Prepared;
use crate::bridge::planning::senders::{KnownAccounts, channel_of, known_accounts, senders};
use crate::bridge::routes::{self, Manner};
use crate::config::Customer;
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, NotificationId, ProjectId, VersionId};
use crate::models::delivery::transitions::{self, Arrow, RetryRow};
use crate::models::delivery::{
    self, Delivery, DeliveryState, Filter, Reason, RetryRefusal, StillUnreachable,
};
use crate::models::notification::message_type::{self, Version};
use crate::models::notification::{self, Notification};

/// The states of deliveries that can be retried at all.
pub fn retriable() -> &'static [DeliveryState] {
    Arrow::Retried.from()
}

/// What a retry did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Those that are sent again, newest first.
    pub taken: Vec<Taken>,
    /// How many of those wait for their `send_at`.
    pub waiting: usize,
    /// Those that are not.
    pub refused: Vec<Refused>,
    /// The last one looked at, if there may be more behind it, also where none was found.
    pub last: Option<DeliveryId>,
}

/// A delivery that is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The delivery.
    pub id: DeliveryId,
    /// When it is sent, UTC.
    pub due_at: NaiveDateTime,
}

/// Why a delivery is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyNotRetried {
    /// Whoever its person is.
    Refused(RetryRefusal),
    /// No route leads to the person today.
    Unreachable(Reason),
}

impl WhyNotRetried {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::Unreachable(reason) => reason.as_str(),
        }
    }
}

/// A delivery that is not sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The delivery.
    pub id: DeliveryId,
    /// Why.
    pub reason: WhyNotRetried,
    /// The same in a sentence, with what to do.
    pub detail: String,
}

impl Bridge {
    /// Retries the newest deliveries of a project that match a filter, at most `limit` and
    /// [`RETRIED_MAX`]. Those that the person may have seen only where `even_if_sent` says so.
    ///
    /// # Errors
    /// If the database fails; then nothing is changed.
    pub async fn retry_deliveries(
        &self,
        project: ProjectId,
        filter: Filter,
        limit: i64,
        even_if_sent: bool,
    ) -> Result<Retried, NotifyError> {
        let now = self.clock.now();
        let limit = limit.clamp(1, RETRIED_MAX);
        let customer = self.config.customer.clone();
        let retried = self.db.write(move |conn| -> Result<_, NotifyError> {
            let found = delivery::search(conn, project, &filter, limit)?;
            let next = found.next.map(DeliveryId);
            let retried = retry(conn, project, &found.found, even_if_sent, (now, &customer))?;
            Ok(Retried {
                last: next,
                ..retried
            })
        });
        let retried = retried.await?;
        if !retried.taken.is_empty() {
            tracing::info!(
                deliveries.taken = retried.taken.len(),
                deliveries.refused = retried.refused.len(),
                "deliveries retried by hand"
            );
            self.signals.wake_delivery();
        }
        Ok(retried)
    }
}

fn retry(
    conn: &mut Conn,
    project: ProjectId,
    found: &[Delivery],
    even_if_sent: bool,
    (now, customer): (NaiveDateTime, &Customer),
) -> Result<Retried, NotifyError> {
    let mut retried = Retried::default();
    let mut wanted: BTreeMap<NotificationId, Vec<&Delivery>> = BTreeMap::new();
    for delivery in found {
        match refusal(delivery.state, even_if_sent) {
            Some((reason, detail)) => {
                retried.refuse(
                    delivery.id,
                    WhyNotRetried::Refused(reason),
                    detail.to_owned(),
                );
            }
            None => wanted
                .entry(delivery.notification_id)
                .or_default()
                .push(delivery),
        }
    }
    let ids: Vec<NotificationId> = wanted.keys().copied().collect();
    let notifications = notification::hold(conn, &ids)?;
    let today = Today::of(conn, project, &notifications, now)?;
    let people: BTreeSet<RecipientKey<'_>> =
        wanted.values().flatten().map(|one| whom(one)).collect();
    let reach = Reach::of(conn, project, people)?;
    let known = reach.known();
    let accounts = known_accounts(conn, project)?;
    let mut usable = Vec::new();
    for notification in &notifications {
        let deliveries = wanted.remove(&notification.id).unwrap_or_default();
        match ready(notification, &today, &accounts, now, customer) {
            Ok(ready) => usable.push((ready, deliveries)),
            Err((reason, detail)) => {
                for delivery in deliveries {
                    let why = WhyNotRetried::Refused(reason);
                    retried.refuse(delivery.id, why, detail.clone());
                }
            }
        }
    }
    let plan = plan_all(conn, &known, &usable, &mut retried, now)?;
    let taken: HashSet<DeliveryId> = transitions::retried(conn, &plan.again)?
        .into_iter()
        .collect();
    for row in &plan.again {
        match taken.contains(&row.id) {
            true => retried.taken.push(Taken {
                id: row.id,
                due_at: row.due_at,
            }),
            false => {
                let why = WhyNotRetried::Refused(RetryRefusal::ChangedMeanwhile);
                retried.refuse(row.id, why, CHANGED.to_owned());
            }
        }
    }
    delivery::explain_again(conn, &plan.explained)?;
    retried
        .taken
        .sort_unstable_by_key(|one| std::cmp::Reverse(one.id));
    let waiting = retried.taken.iter().filter(|one| one.due_at > now);
    retried.waiting = waiting.count();
    Ok(retried)
}

/// Why deliveries that did not arrive could not be retried now, whoever the person is: the word and the
/// sentence of the refusal. Nothing of those of which that cannot be said.
pub(in crate::bridge) fn hopeless(
    conn: &mut Conn,
    project: ProjectId,
    deliveries: &[Delivery],
    (now, customer): (NaiveDateTime, &Customer),
) -> QueryResult<HashMap<DeliveryId, (RetryRefusal, String)>> {
    let wanted = deliveries.iter();
    let wanted: Vec<&Delivery> = wanted
        .filter(|one| refusal(one.state, true).is_none())
        .collect();
    let ids: BTreeSet<NotificationId> = wanted.iter().map(|one| one.notification_id).collect();
    let ids: Vec<NotificationId> = ids.into_iter().collect();
    let notifications = notification::by_ids(conn, &ids)?;
    let today = Today::read(conn, project, &notifications)?;
    let accounts = known_accounts(conn, project)?;
    let refused: HashMap<NotificationId, (RetryRefusal, String)> = notifications
        .iter()
        .filter_map(|one| Some((one.id, ready(one, &today, &accounts, now, customer).err()?)))
        .collect();
    let refused = wanted
        .iter()
        .filter_map(|one| Some((one.id, refused.get(&one.notification_id)?.clone())));
    Ok(refused.collect())
}

fn whom(delivery: &Delivery) -> RecipientKey<'_> {
    RecipientKey::of(delivery.staff_id.as_deref(), delivery.recipient.as_deref())
}

/// The routes of today of notifications.
struct Today {
    /// By notification; none where its message type is gone.
    routes: HashMap<NotificationId, Result<String, FieldError>>,
    versions: Vec<Version>,
}

impl Today {
    /// Reads those of the notifications' message types, and stores those that differ from what a
    /// notification was accepted with: its deliveries refer to routes by number.
    fn of(
        conn: &mut Conn,
        project: ProjectId,
        notifications: &[Notification],
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        let mut today = Self::read(conn, project, notifications)?;
        let changed: BTreeSet<(&str, &str)> = notifications
            .iter()
            .filter_map(|one| Some((one, today.routes.get(&one.id)?.as_deref().ok()?)))
            .filter(|(one, of_today)| one.routes != *of_today)
            .map(|(one, of_today)| (one.message_type.as_str(), of_today))
            .collect();
        let changed: Vec<(&str, &str)> = changed.into_iter().collect();
        today.versions = message_type::keep_versions(conn, project, &changed, now)?;
        Ok(today)
    }

    /// Reads those of the notifications' message types.
    fn read(
        conn: &mut Conn,
        project: ProjectId,
        notifications: &[Notification],
    ) -> QueryResult<Self> {
        let names = notifications.iter().map(|one| one.message_type.as_str());
        let names: BTreeSet<&str> = names.collect();
        let names: Vec<&str> = names.into_iter().collect();
        let types: HashMap<String, String> = message_type::by_names(conn, project, &names)?
            .into_iter()
            .map(|one| (one.name, one.routes))
            .collect();
        let routes: HashMap<NotificationId, Result<String, FieldError>> = notifications
            .iter()
            .filter_map(|one| {
                let routes = types.get(&one.message_type)?.clone();
                let manner = Manner::stored(one.manner.as_deref());
                Some((one.id, manner.of_routes(routes)))
            })
            .collect();
        Ok(Self {
            routes,
            versions: Vec::new(),
        })
    }

    /// The routes that a retry of a notification takes, and their id where they are not its own.
    fn routes<'t>(
        &'t self,
        notification: &Notification,
    ) -> Result<(&'t str, Option<VersionId>), (RetryRefusal, String)> {
        let name = &notification.message_type;
        let of_today = match self.routes.get(&notification.id) {
            Some(Ok(of_today)) => of_today,
            Some(Err(error)) => return Err(unusable(error)),
            None => {
                let detail = format!(
                    "Message type {name:?} does not exist any more, and a retry sends what it says \
                     today. Add it again (PUT /message-types/{name}) and retry, or ask for a \
                     notification of another type."
                );
                return Err((RetryRefusal::MessageTypeGone, detail));
            }
        };
        let mut versions = self.versions.iter();
        let version = versions.find(|one| one.name == *name && one.routes == *of_today);
        let is_own = *of_today == notification.routes;
        Ok((of_today, version.filter(|_| !is_own).map(|one| one.id)))
    }
}

/// Why today's routes cannot be sent over.
fn unusable(error: &dyn std::fmt::Display) -> (RetryRefusal, String) {
    let detail = format!(
        "A retry sends what the message type says today, and that cannot be sent: {error}."
    );
    (RetryRefusal::RouteUnusable, detail)
}

/// What a notification sends, through what.
struct PreparedRetry {
    prepared: Prepared,
    senders: Vec<Sender>,
    /// The routes that this is made of, if they are not the notification's own.
    routes_id: Option<VersionId>,
    /// When it is sent: at its `send_at`, if that is still to come.
    due_at: NaiveDateTime,
}

/// What a notification sends, and its deliveries.
type UsableRetry<'d> = (PreparedRetry, Vec<&'d Delivery>);

fn plan_all<'a>(
    conn: &mut Conn,
    known: &Known<'a>,
    usable: &'a [UsableRetry<'a>],
    retried: &mut Retried,
    now: NaiveDateTime,
) -> QueryResult<Plan<'a>> {
    let each = usable.iter().flat_map(|(ready, deliveries)| {
        deliveries.iter().map(move |&delivery| {
            let asked = Asked {
                whom: whom(delivery),
                prepared: &ready.prepared,
                senders: &ready.senders,
                from: 0,
            };
            ((delivery, ready), asked)
        })
    });
    let (deliveries, asked): (Vec<_>, Vec<Asked<'_>>) = each.unzip();
    let decided = decide(conn, known, &asked, now)?;
    let mut plan = Plan {
        again: Vec::new(),
        explained: Vec::new(),
        now,
    };
    for ((delivery, ready), decision) in deliveries.into_iter().zip(decided) {
        plan.enter(delivery, ready, decision, retried);
    }
    Ok(plan)
}

const CANCELLED: (RetryRefusal, &str) = (
    RetryRefusal::Cancelled,
    "The notification was cancelled. Ask for another one to send it after all.",
);
const EXPIRED: (RetryRefusal, &str) = (
    RetryRefusal::Expired,
    "The notification has expired. Ask for another one to send it after all.",
);
const CHANGED: &str = "The delivery changed at the same moment. Look at it again.";

/// Why a delivery in that state is not retried, whatever its route.
fn refusal(state: DeliveryState, even_if_sent: bool) -> Option<(RetryRefusal, &'static str)> {
    match state {
        DeliveryState::Failed | DeliveryState::Unreachable => None,
        DeliveryState::Unknown | DeliveryState::NoReceipt if even_if_sent => None,
        DeliveryState::Unknown | DeliveryState::NoReceipt => Some((
            RetryRefusal::MayHaveBeenSent,
            "The person may have seen the message, and could see it twice. Send even_if_sent: true \
             if that is better than not at all.",
        )),
        DeliveryState::Queued => Some((
            RetryRefusal::StillQueued,
            "The delivery is still to be sent, or being sent: it is tried again by itself.",
        )),
        DeliveryState::Sent => Some((
            RetryRefusal::WaitsForReceipt,
            "WeChat accepted the message, and its receipt may still come.",
        )),
        DeliveryState::Cancelled => Some(CANCELLED),
        DeliveryState::Expired => Some(EXPIRED),
        DeliveryState::Delivered => Some((RetryRefusal::Delivered, "The message arrived.")),
    }
}

/// What a stored notification sends by the routes of today, through which accounts; or why it is not
/// sent any more.
fn ready(
    notification: &Notification,
    today: &Today,
    accounts: &KnownAccounts,
    now: NaiveDateTime,
    customer: &Customer,
) -> Result<PreparedRetry, (RetryRefusal, String)> {
    let owned = |(reason, detail): (_, &str)| (reason, detail.to_owned());
    if notification.cancelled_at.is_some() {
        return Err(owned(CANCELLED));
    }
    if notification.expires_at.is_some_and(|end| end <= now) {
        return Err(owned(EXPIRED));
    }
    let in_route = |source| NotifyError::Route {
        name: notification.message_type.clone(),
        source,
    };
    let (json, routes_id) = today.routes(notification)?;
    let usable = || -> Result<_, NotifyError> {
        let routes = routes::parse(json).map_err(in_route)?;
        let senders = senders(accounts, &routes).map_err(in_route)?;
        let prepared = Prepared::stored(notification, json, customer).map_err(in_route)?;
        Ok(PreparedRetry {
            prepared,
            senders,
            routes_id,
            due_at: notification.send_at.map_or(now, |time| time.max(now)),
        })
    };
    usable().map_err(|error| unusable(&error))
}

/// The rows that a retry leaves behind.
struct Plan<'a> {
    again: Vec<RetryRow<'a>>,
    explained: Vec<StillUnreachable>,
    now: NaiveDateTime,
}

impl<'a> Plan<'a> {
    fn enter(
        &mut self,
        delivery: &Delivery,
        ready: &PreparedRetry,
        decision: Decision<'a>,
        retried: &mut Retried,
    ) {
        let considered = decision.considered(Vec::new());
        match decision.way {
            Ok((route, to)) => self.again.push(RetryRow {
                id: delivery.id,
                was: delivery.state,
                attempts: delivery.attempts,
                staff_id: decision.staff_id,
                staff_name: decision.name,
                account_id: to.account_id,
                identity_id: to.identity_id,
                openid: to.openid.as_deref(),
                route,
                channel: channel_of(&ready.senders, route),
                considered,
                routes_id: ready.routes_id,
                first_answer: Some(delivery.answered()),
                due_at: ready.due_at,
            }),
            Err((reason, detail)) => {
                retried.refuse(
                    delivery.id,
                    WhyNotRetried::Unreachable(reason),
                    detail.clone(),
                );
                self.explained.push(StillUnreachable {
                    id: delivery.id,
                    reason,
                    detail,
                    considered,
                    first_answer: delivery.answered(),
                    now: self.now,
                });
            }
        }
    }
}

impl Retried {
    fn refuse(&mut self, id: DeliveryId, reason: WhyNotRetried, detail: String) {
        self.refused.push(Refused { id, reason, detail });
    }
}
