//! Claimed deliveries that do not simply go where they were planned to go: those whose staff member
//! has been deleted, unbound or bound to somebody else since then, and those that wait for consent.
//! They are planned again over all routes, in the transaction of the claim.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{NaiveDateTime, TimeDelta};

use super::Claimer;
use super::batch_result::lost;
use crate::bridge::planning::await_consent::Waiting;
use crate::bridge::planning::decide::{Asked, Decision, Reach, RecipientKey, decide};
use crate::bridge::planning::planner::{Considered, Sender};
use crate::bridge::planning::prepared::{CachedNotification, Editions};
use crate::bridge::planning::senders::{channel_of, known_accounts, senders};
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, QueryResult};
use crate::ids::{DeliveryId, ProjectId};
use crate::models::delivery::attempt;
use crate::models::delivery::transitions::{self, Ending, Parted};
use crate::models::delivery::{
    self, Answered, DeliveryState, Due, Edition, End, FirstAnswer, Reason, Replanned,
};

/// What was done of a batch.
#[derive(Debug, Default)]
pub(super) struct Reconsidered {
    /// Deliveries that go another way.
    pub(super) replanned: usize,
    /// Deliveries that came to their end.
    ends: Vec<End>,
    /// Events for endpoints.
    published: usize,
}

const GONE: &str = "The staff member was deleted before the message was sent.";
const UNBOUND: &str = "The binding of the staff member was removed before the message was sent, and \
                       they are bound to nobody. Bind them again, then retry the delivery.";
const UNSETTLED: &str = "A send to the person whom the staff member was bound to was interrupted or \
                         not answered, and may have been taken. It was not tried again, as they are \
                         not bound to that person any more.";
const UNSETTLED_PERSON: &str = "A send to whom the openid or unionid meant then was interrupted or not \
                                answered, and may have been taken. It was not tried again, as it \
                                does not mean that person any more.";
const UNUSABLE: &str = "An account of the routes, or a route, cannot be used any more. Put the \
                        message type right, then retry the delivery.";

impl Claimer {
    /// Says what was done of a batch, and wakes who is to go on with it.
    pub(super) fn follow_up_reconsidered(&self, done: Reconsidered) {
        if done.replanned > 0 {
            self.signals.wake_delivery();
        }
        if done.published > 0 {
            self.signals.webhooks.notify_one();
        }
        self.awaited
            .notify(done.ends.iter().map(|end| end.notification_id));
        self.ends.count(done.ends, self.clock.now(), &self.signals);
    }
}

/// Takes those out of a batch that are planned again or end. One that was cancelled or has expired
/// is left in it, to end as that.
pub(super) fn reconsider(
    conn: &mut Conn,
    due: &mut Vec<Due>,
    editions: &Editions,
    wait: TimeDelta,
    now: NaiveDateTime,
) -> QueryResult<Reconsidered> {
    let is_over = |due: &Due| {
        let ready = editions.get(&due.edition());
        let end = ready.and_then(|ready| ready.expires_at);
        due.cancelled_at.is_some() || end.is_some_and(|end| end <= now)
    };
    let over = due.iter().filter(|due| is_over(due));
    let answers: Vec<FirstAnswer> = over.filter_map(first_answer).collect();
    delivery::keep_first_answers(conn, &answers)?;
    let again: Vec<Due> = due
        // What is not stored any more fails where it is tried.
        .extract_if(.., |due| {
            (!due.holds || due.awaits.is_some())
                && editions.contains_key(&due.edition())
                && !is_over(due)
        })
        .collect();
    if again.is_empty() {
        return Ok(Reconsidered::default());
    }
    let mut lost_tries = Vec::new();
    let mut parted = Vec::new();
    let mut by_project: BTreeMap<ProjectId, Vec<(&Due, &CachedNotification)>> = BTreeMap::new();
    for due in &again {
        if due.is_unsettled(now) {
            lost_tries.extend((due.attempts > 1).then(|| lost(due, now)));
            let why = (Reason::Unsettled, unsettled(due).to_owned());
            parted.push(transitions::parted_unknown(ending(due, why, None, now)));
            continue;
        }
        if let Some(ready) = editions.get(&due.edition()) {
            let of_project = by_project.entry(ready.project_id).or_default();
            of_project.push((due, ready));
        }
    }
    let mut replanned = 0;
    for (project, rows) in by_project {
        replanned += in_project(conn, project, &rows, (wait, now), &mut parted)?;
    }
    if parted.is_empty() {
        return Ok(Reconsidered {
            replanned,
            ..Reconsidered::default()
        });
    }
    attempt::insert_missing(conn, &lost_tries)?;
    transitions::part(conn, &parted)?;
    let ended: Vec<DeliveryId> = parted.iter().map(Parted::id).collect();
    Ok(Reconsidered {
        replanned,
        ends: delivery::ends(conn, &ended)?,
        published: outbox::ended(conn, &ended, now)?,
    })
}

fn in_project(
    conn: &mut Conn,
    project: ProjectId,
    rows: &[(&Due, &CachedNotification)],
    (wait, now): (TimeDelta, NaiveDateTime),
    parted: &mut Vec<Parted>,
) -> QueryResult<usize> {
    let people: BTreeSet<RecipientKey<'_>> = rows.iter().map(|(due, _)| whom(due)).collect();
    let reach = Reach::of(conn, project, people)?;
    let known = reach.known();
    let accounts = known_accounts(conn, project)?;
    let senders: HashMap<Edition, Vec<Sender>> = rows
        .iter()
        .filter_map(|(due, ready)| {
            let routes = ready.prepared.as_ref().ok()?.routes();
            Some((due.edition(), senders(&accounts, routes).ok()?))
        })
        .collect();
    let (mut going, mut asked) = (Vec::with_capacity(rows.len()), Vec::new());
    for (due, ready) in rows {
        let (Ok(prepared), Some(senders)) = (&ready.prepared, senders.get(&due.edition())) else {
            let why = (Reason::RouteUnusable, UNUSABLE.to_owned());
            parted.push(parted_by_route(due, ending(due, why, None, now)));
            continue;
        };
        going.push((*due, ready.expires_at, senders));
        asked.push(Asked {
            whom: whom(due),
            prepared,
            senders,
            from: first_route(due),
        });
    }
    let decided = decide(conn, &known, &asked, now)?;
    let mut again = Vec::new();
    for ((due, expires_at, senders), decision) in going.into_iter().zip(&decided) {
        let waiting = Waiting::of(decision, wait, (due.begun_at, expires_at), now);
        match (&decision.way, waiting) {
            (Ok((route, to)), _) => again.push(Replanned {
                account_id: to.account_id,
                identity_id: to.identity_id,
                openid: to.openid.as_deref(),
                route: *route,
                channel: channel_of(senders, *route),
                // Those tries went to somebody else. One that waited for consent began when it did,
                // so that it cannot wait for ever.
                begun_at: (!due.holds).then_some(now),
                ..replanned(due, decision, now)
            }),
            (Err(_), Some(waiting)) => again.push(Replanned {
                account_id: waiting.to.account_id,
                identity_id: waiting.to.identity_id,
                openid: waiting.to.openid.as_deref(),
                route: waiting.route,
                channel: channel_of(senders, waiting.route),
                due_at: waiting.next_look(now),
                reason: Some(waiting.reason),
                detail: Some(waiting.detail),
                ..replanned(due, decision, now)
            }),
            (Err((reason, detail)), None) => {
                let why = why(due, *reason, detail);
                let considered = decision.considered(before(due));
                parted.push(parted_by_route(due, ending(due, why, considered, now)));
            }
        }
    }
    delivery::replan(conn, &again)
}

fn whom(due: &Due) -> RecipientKey<'_> {
    RecipientKey::of(due.staff_id.as_deref(), due.recipient.as_deref())
}

/// Why there is nobody to send it to, in the words of somebody for whom it was planned once.
fn why(due: &Due, reason: Reason, detail: &str) -> (Reason, String) {
    match (due.recipient.is_none(), reason) {
        (true, Reason::UnknownStaff) => (Reason::NotBound, GONE.to_owned()),
        (true, Reason::NotBound) => (Reason::NotBound, UNBOUND.to_owned()),
        _ => (reason, detail.to_owned()),
    }
}

fn replanned<'a>(due: &Due, decision: &Decision<'a>, now: NaiveDateTime) -> Replanned<'a> {
    Replanned {
        id: due.id,
        staff_id: decision.staff_id,
        staff_name: decision.name,
        account_id: None,
        identity_id: None,
        openid: None,
        route: due.route,
        channel: None,
        considered: decision.considered(before(due)),
        reason: None,
        detail: None,
        due_at: now,
        begun_at: None,
        first_answer: answered(due),
    }
}

/// What the app was told of it, if the row will not show that any more.
fn answered(due: &Due) -> Option<String> {
    let (reason, detail) = (
        Some(Reason::WaitingForConsent.as_str()),
        due.awaits.as_deref(),
    );
    let answered = Answered::of(DeliveryState::Queued, reason, detail);
    due.awaits.is_some().then(|| answered.to_json())
}

/// The same of one that will end.
fn first_answer(due: &Due) -> Option<FirstAnswer> {
    Some(FirstAnswer {
        id: due.id,
        first_answer: answered(due)?,
    })
}

/// The first route to plan over: where the person was tried on one before, they are not again.
fn first_route(due: &Due) -> usize {
    match due.holds && due.attempts > 1 {
        true => usize::try_from(due.route).unwrap_or_default(),
        false => 0,
    }
}

/// The routes that are not planned over again, with what was found out about them.
fn before(due: &Due) -> Vec<Considered> {
    let considered = due.considered.as_deref().unwrap_or("[]");
    let mut considered: Vec<Considered> = serde_json::from_str(considered).unwrap_or_default();
    considered.retain(|one| one.route < first_route(due));
    considered
}

fn unsettled(due: &Due) -> &'static str {
    match due.recipient {
        Some(_) => UNSETTLED_PERSON,
        None => UNSETTLED,
    }
}

/// Where something was tried, it is the failure of that which is the end.
fn parted_by_route(due: &Due, ending: Ending) -> Parted {
    match first_route(due) {
        0 => transitions::parted_unreachable(ending),
        _ => transitions::parted_failed(ending),
    }
}

fn ending(
    due: &Due,
    (reason, detail): (Reason, String),
    considered: Option<String>,
    now: NaiveDateTime,
) -> Ending {
    let queued = || Answered::of(DeliveryState::Queued, None, None).to_json();
    Ending {
        id: due.id,
        reason,
        detail,
        considered,
        first_answer: answered(due).unwrap_or_else(queued),
        now,
    }
}
