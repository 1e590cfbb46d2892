//! The next route: a delivery whose route has turned out not to lead to the person is planned again
//! over the routes behind it. Never one that the person may have seen.

use std::collections::{BTreeSet, HashMap};

use chrono::{NaiveDateTime, TimeDelta};

use super::decide::{Asked, Decision, Reach, RecipientKey, decide};
use super::planner::{Considered, Sender};
use super::prepared::{CachedNotification, Editions, Notifications};
use super::senders::{channel_of, known_accounts, senders};
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::transitions::{self, RetryRow};
use crate::models::delivery::{
    self, DeliveryState, Edition, Reason, RerouteCandidate, RoutesExhausted,
};
use crate::models::notification::{self, Notification};

/// A delivery whose route did not lead to the person.
#[derive(Clone, Debug)]
pub(in crate::bridge) struct FailedRoute {
    pub(in crate::bridge) id: DeliveryId,
    pub(in crate::bridge) notification_id: NotificationId,
    /// Its tries when that became known.
    pub(in crate::bridge) attempts: i32,
    /// A stable word for why.
    pub(in crate::bridge) reason: Reason,
    /// The same in a sentence.
    pub(in crate::bridge) detail: String,
}

/// Holds the notifications of deliveries against being cancelled: to be done before the deliveries
/// are written, as a cancellation takes them in this order.
pub(in crate::bridge) fn hold(
    conn: &mut Conn,
    failed: &[FailedRoute],
) -> QueryResult<Vec<Notification>> {
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: BTreeSet<NotificationId> = failed.iter().map(|one| one.notification_id).collect();
    notification::hold(conn, &ids.into_iter().collect::<Vec<_>>())
}

/// Moves deliveries on, in the transaction that recorded what came of them: those that have failed,
/// or wait for what may take long, and for which there is another way, if only one that lacks the
/// person's consent, which is waited for there. Returns how many.
pub(in crate::bridge) fn move_on(
    conn: &mut Conn,
    cache: &Notifications,
    held: &[Notification],
    failed: &[FailedRoute],
    (consent_wait, now): (TimeDelta, NaiveDateTime),
) -> QueryResult<usize> {
    if failed.is_empty() {
        return Ok(0);
    }
    let wanted = |notification: &&Notification| {
        notification.cancelled_at.is_none() && notification.expires_at.is_none_or(|end| end > now)
    };
    let wanted: BTreeSet<NotificationId> = held.iter().filter(wanted).map(|one| one.id).collect();
    let why: HashMap<DeliveryId, &FailedRoute> = failed.iter().map(|one| (one.id, one)).collect();
    let ids: Vec<DeliveryId> = failed.iter().map(|one| one.id).collect();
    let mut candidates = delivery::reroute_candidates(conn, &ids)?;
    candidates.retain(|one| {
        let why = why.get(&one.id);
        let unchanged = why.is_some_and(|why| why.attempts == one.attempts);
        unchanged && wanted.contains(&one.notification_id)
    });
    let ready = cache.gather(conn, candidates.iter().map(RerouteCandidate::edition))?;
    let mut by_project: HashMap<ProjectId, Vec<RerouteCandidate>> = HashMap::new();
    for candidate in candidates {
        let of_it = ready.get(&candidate.edition());
        if of_it.is_some_and(|ready| has_later(&candidate, ready)) {
            by_project
                .entry(candidate.project_id)
                .or_default()
                .push(candidate);
        }
    }
    let mut moved = 0;
    for (project, candidates) in by_project {
        moved += in_project(
            conn,
            project,
            &candidates,
            &ready,
            &why,
            (consent_wait, now),
        )?;
    }
    Ok(moved)
}

/// Whether there are routes behind the one that did not lead to the person.
fn has_later(candidate: &RerouteCandidate, ready: &CachedNotification) -> bool {
    let route = candidate
        .route
        .and_then(|route| usize::try_from(route).ok());
    let count = ready
        .prepared
        .as_ref()
        .map(|prepared| prepared.routes().len());
    route
        .zip(count.ok())
        .is_some_and(|(route, count)| route + 1 < count)
}

fn in_project(
    conn: &mut Conn,
    project: ProjectId,
    candidates: &[RerouteCandidate],
    ready: &Editions,
    why: &HashMap<DeliveryId, &FailedRoute>,
    (consent_wait, now): (TimeDelta, NaiveDateTime),
) -> QueryResult<usize> {
    let people: BTreeSet<RecipientKey<'_>> = candidates.iter().map(whom).collect();
    let reach = Reach::of(conn, project, people)?;
    let known = reach.known();
    let accounts = known_accounts(conn, project)?;
    // Where an account of the routes is gone, nothing can be planned.
    let senders: HashMap<Edition, Vec<Sender>> = ready
        .iter()
        .filter_map(|(edition, ready)| {
            let routes = ready.prepared.as_ref().ok()?.routes();
            Some((*edition, senders(&accounts, routes).ok()?))
        })
        .collect();
    let mut going = Vec::with_capacity(candidates.len());
    let mut asked = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let prepared = ready.get(&candidate.edition());
        let prepared = prepared.and_then(|ready| ready.prepared.as_ref().ok());
        let route = candidate
            .route
            .and_then(|route| usize::try_from(route).ok());
        let (Some(prepared), Some(route), Some(senders), Some(why)) = (
            prepared,
            route,
            senders.get(&candidate.edition()),
            why.get(&candidate.id),
        ) else {
            continue;
        };
        going.push(Going {
            candidate,
            before: considered(candidate, route, senders, why),
            why,
            senders,
        });
        asked.push(Asked {
            whom: whom(candidate),
            prepared,
            senders,
            from: route + 1,
        });
    }
    let decided = decide(conn, &known, &asked, now)?;
    store(conn, going, decided, (consent_wait, now))
}

fn whom(candidate: &RerouteCandidate) -> RecipientKey<'_> {
    RecipientKey::of(
        candidate.staff_id.as_deref(),
        candidate.recipient.as_deref(),
    )
}

/// A delivery whose route did not lead to the person.
struct Going<'a> {
    candidate: &'a RerouteCandidate,
    /// The routes before, and this one.
    before: Vec<Considered>,
    why: &'a FailedRoute,
    senders: &'a [Sender],
}

/// Writes where each goes on, or that it has come to its end.
fn store(
    conn: &mut Conn,
    going: Vec<Going<'_>>,
    decided: Vec<Decision<'_>>,
    (consent_wait, now): (TimeDelta, NaiveDateTime),
) -> QueryResult<usize> {
    let (mut rerouted, mut ended) = (Vec::new(), Vec::new());
    for (one, decision) in going.into_iter().zip(decided) {
        let (candidate, why) = (one.candidate, one.why);
        let considered = decision.considered(one.before);
        let is_awaited =
            consent_wait > TimeDelta::zero() && candidate.state != DeliveryState::Queued;
        let awaiting = decision.awaiting.filter(|_| is_awaited);
        match (decision.way.as_ref().ok().copied()).or(awaiting) {
            Some((route, to)) => rerouted.push(RetryRow {
                id: candidate.id,
                was: candidate.state,
                attempts: candidate.attempts,
                staff_id: decision.staff_id,
                staff_name: decision.name,
                account_id: to.account_id,
                identity_id: to.identity_id,
                openid: to.openid.as_deref(),
                route,
                channel: channel_of(one.senders, route),
                considered,
                routes_id: candidate.routes_id,
                first_answer: None,
                due_at: now,
            }),
            // One that is still queued keeps trying its own route.
            None if candidate.state == DeliveryState::Queued => {}
            None => ended.push(routes_exhausted(candidate, decision, considered, why)),
        }
    }
    delivery::end(conn, &ended)?;
    Ok(transitions::moved_on(conn, &rerouted)?.len())
}

/// The routes before this one, and this one with what became known.
fn considered(
    candidate: &RerouteCandidate,
    route: usize,
    senders: &[Sender],
    why: &FailedRoute,
) -> Vec<Considered> {
    let before = candidate.considered.as_deref().unwrap_or("[]");
    let mut considered: Vec<Considered> = serde_json::from_str(before).unwrap_or_default();
    let this = senders.get(route);
    considered.extend(this.map(|sender| Considered::new(route, sender, why.reason, &why.detail)));
    considered
}

/// The last route's reason is the delivery's.
fn routes_exhausted(
    candidate: &RerouteCandidate,
    decision: Decision<'_>,
    considered: Option<String>,
    why: &FailedRoute,
) -> RoutesExhausted {
    let is_unrenderable = decision.is_unrenderable();
    let last = decision.considered.into_iter().last();
    let last = last.filter(|_| !is_unrenderable);
    let last = last.and_then(|last| Some((last.verdict.parse().ok()?, last.detail)));
    let (reason, detail) = last
        .or(decision.way.err())
        .unwrap_or((why.reason, why.detail.clone()));
    RoutesExhausted {
        id: candidate.id,
        attempts: candidate.attempts,
        reason,
        detail,
        considered,
    }
}
