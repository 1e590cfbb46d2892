//! Deliveries: stored in order, leased, recorded only by those who hold them.

use chrono::TimeDelta;
use queqiao::db::Conn;
use queqiao::ids::{AccountId, DeliveryId, NotificationId};
use queqiao::models::delivery::attempt::{self, AttemptOutcome, NewAttempt};
use queqiao::models::delivery::transitions::{
    self, NewDelivery, Outcome, PlannedRoute, Recipient, SharedByNotification, Why,
};
use queqiao::models::delivery::{self, Claim, Delivery, DeliveryState, Due, Postponed, Reason};
use queqiao::models::notification::Priority;

use super::fixture::{StorageFixture, at};

pub(super) fn to<'a>(
    storage: &StorageFixture,
    notification: NotificationId,
    priority: Priority,
    staff_id: &'a str,
) -> Recipient<'a> {
    Recipient {
        shared: SharedByNotification {
            notification_id: notification,
            project_id: storage.project,
            priority: priority.rank(),
            created_at: at(0),
            stats_day: queqiao::clock::Day(0),
        },
        staff_id: Some(staff_id),
        recipient: None,
        staff_name: None,
        considered: None,
    }
}

pub(super) fn over(storage: &StorageFixture) -> PlannedRoute<'static> {
    PlannedRoute {
        route: 0,
        channel: Some("template"),
        account_id: Some(storage.official),
        identity_id: Some(queqiao::ids::IdentityId(1)),
        openid: Some("o1"),
        due_at: Some(at(0)),
    }
}

/// A delivery that is due at once.
pub(super) fn queued<'a>(
    storage: &StorageFixture,
    notification: NotificationId,
    staff_id: &'a str,
) -> NewDelivery<'a> {
    let to = to(storage, notification, Priority::Normal, staff_id);
    transitions::accepted(to, over(storage), None)
}

/// WeChat took it.
pub(super) fn sent(due: &Due, msgid: i64) -> Outcome {
    transitions::taken(due, at(1), Some(msgid))
}

fn because() -> Why {
    (Reason::RefusedContent, "no".to_owned())
}

fn failed(due: &Due) -> Outcome {
    transitions::refused(due, because(), at(1))
}

/// One notification with deliveries to staff `s0000`, `s0001` …
fn fill(storage: &StorageFixture, count: usize) -> NotificationId {
    let conn = &mut storage.conn();
    let notification = storage.notification(conn);
    let names: Vec<String> = (0..count).map(|number| format!("s{number:05}")).collect();
    let rows: Vec<_> = names
        .iter()
        .map(|name| queued(storage, notification, name))
        .collect();
    transitions::insert_many(conn, &rows).unwrap();
    notification
}

/// For a minute, from the lane of the only account that has deliveries.
pub(super) fn claiming(conn: &mut Conn, now: i64, limit: i64) -> Claim {
    let lanes = delivery::heads(conn, at(now)).unwrap();
    Claim {
        lane: lanes.first().map_or(AccountId(-1), |head| head.lane),
        priority: Priority::Normal,
        now: at(now),
        lease: TimeDelta::seconds(60),
        limit,
        ended: None,
    }
}

fn claim(conn: &mut Conn, now: i64, limit: i64) -> Vec<Due> {
    let claim = claiming(conn, now, limit);
    let mut due = delivery::claim_due(conn, &claim).unwrap();
    due.sort_by_key(|due| due.id);
    due
}

fn only(conn: &mut Conn, notification: NotificationId) -> Delivery {
    let mut all = delivery::of_notification(conn, notification, None, 10).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

both_engines! {
    twelve_thousand_are_stored_in_the_order_given,
    a_claim_is_a_lease_and_counts_as_a_try,
    two_claimers_have_different_deliveries,
    a_try_whose_lease_is_over_does_not_overwrite_a_later_one,
    what_was_unknown_may_yet_be_learnt,
    what_an_endpoint_took_late_counts_though_it_was_claimed_again,
    a_lease_given_back_was_no_try,
    only_one_of_two_records_at_once_counts,
    attempts_are_kept_in_order_and_missing_ones_filled_in,
}

async fn twelve_thousand_are_stored_in_the_order_given(storage: StorageFixture) {
    let other = fill(&storage, 3);
    let notification = fill(&storage, 12_000);
    let conn = &mut storage.conn();
    let stored = delivery::verdicts(conn, notification, DeliveryId(0), 20_000).unwrap();
    assert_eq!(stored.len(), 12_000);
    for (number, decided) in stored.iter().enumerate() {
        assert_eq!(decided.staff_id, Some(format!("s{number:05}")));
    }
    let mut after = None;
    let mut seen = 0;
    loop {
        let page = delivery::of_notification(conn, notification, after, 5_000).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen += page.len();
    }
    assert_eq!(seen, 12_000);
    assert_eq!(
        delivery::counts(conn, other).unwrap(),
        [(DeliveryState::Queued, 3)]
    );
    assert_eq!(
        delivery::counts(conn, notification).unwrap(),
        [(DeliveryState::Queued, 12_000)]
    );
}

async fn a_claim_is_a_lease_and_counts_as_a_try(storage: StorageFixture) {
    fill(&storage, 5);
    let conn = &mut storage.conn();
    let first = claim(conn, 0, 3);
    assert_eq!(
        first
            .iter()
            .map(|due| due.staff_id.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["s00000", "s00001", "s00002"]
    );
    assert!(
        first
            .iter()
            .all(|due| due.attempts == 1 && due.unsettled_since == at(0))
    );
    assert_eq!(claim(conn, 0, 10).len(), 2);
    assert!(claim(conn, 59, 10).is_empty());
    assert!(claim(conn, 60, 0).is_empty());
    let again = claim(conn, 60, 10);
    assert_eq!(again.len(), 5, "the leases have run out");
    assert!(
        again
            .iter()
            .all(|due| due.attempts == 2 && due.unsettled_since == at(0))
    );
}

async fn two_claimers_have_different_deliveries(storage: StorageFixture) {
    fill(&storage, 20);
    let take = |conn: &mut Conn| Ok(claim(conn, 0, 10));
    let (first, second) = storage.overlapping(take, take);
    let mut all: Vec<DeliveryId> = first.iter().chain(&second).map(|due| due.id).collect();
    all.sort();
    all.dedup();
    assert_eq!((first.len(), second.len(), all.len()), (10, 10, 20));
}

async fn a_try_whose_lease_is_over_does_not_overwrite_a_later_one(storage: StorageFixture) {
    let notification = fill(&storage, 1);
    let conn = &mut storage.conn();
    let slow = claim(conn, 0, 1).remove(0);
    let quick = claim(conn, 60, 1).remove(0);
    transitions::record(conn, &[failed(&slow)]).unwrap();
    assert_eq!(
        only(conn, notification).state,
        DeliveryState::Queued,
        "not its word any more"
    );
    let times = (at(1), at(500));
    let retry = transitions::tried_again(&quick, times, Some(at(0)), Some(because()));
    transitions::record(conn, &[retry]).unwrap();
    assert!(claim(conn, 499, 1).is_empty());
    transitions::record(conn, &[sent(&slow, 77)]).unwrap();
    let stored = only(conn, notification);
    assert_eq!(
        (stored.state, stored.msgid, stored.due_at),
        (DeliveryState::Sent, Some(77), None),
        "that it was sent is true whenever learnt"
    );
    transitions::record(conn, &[failed(&quick), sent(&quick, 78)]).unwrap();
    assert_eq!(
        only(conn, notification).msgid,
        Some(77),
        "and is the last word"
    );
}

async fn what_was_unknown_may_yet_be_learnt(storage: StorageFixture) {
    let notification = fill(&storage, 1);
    let conn = &mut storage.conn();
    let due = claim(conn, 0, 1).remove(0);
    let unknown = transitions::perhaps_sent(&due, because(), at(1));
    transitions::record(conn, &[unknown]).unwrap();
    transitions::record(conn, &[failed(&due)]).unwrap();
    assert_eq!(only(conn, notification).state, DeliveryState::Unknown);
    transitions::record(conn, &[sent(&due, 5)]).unwrap();
    let stored = only(conn, notification);
    assert_eq!(
        (stored.state, stored.reason, stored.msgid),
        (DeliveryState::Sent, None, Some(5))
    );
}

async fn what_an_endpoint_took_late_counts_though_it_was_claimed_again(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let delivered = |due: &Due| transitions::arrived(due, at(1), None);
    let lost = |due: &Due| transitions::perhaps_sent(due, because(), at(1));
    for again in [false, true] {
        let notification = fill(&storage, 1);
        let first = claim(conn, 0, 1).remove(0);
        let second = claim(conn, 61, 1).remove(0);
        assert_eq!((first.attempts, second.attempts), (1, 2));
        if again {
            transitions::record(conn, &[lost(&second)]).unwrap();
        }
        transitions::record(conn, &[delivered(&first)]).unwrap();
        let stored = delivery::of_notification(conn, notification, None, 1)
            .unwrap()
            .remove(0);
        assert_eq!(
            (stored.state, stored.due_at),
            (DeliveryState::Delivered, None)
        );
    }
}

async fn a_lease_given_back_was_no_try(storage: StorageFixture) {
    let notification = fill(&storage, 1);
    let conn = &mut storage.conn();
    let due = claim(conn, 0, 1).remove(0);
    delivery::release(
        conn,
        &[Postponed {
            reason: Some(Reason::TooFrequent),
            ..Postponed::new(&due, at(0), at(5))
        }],
    )
    .unwrap();
    let stored = only(conn, notification);
    assert_eq!(
        (stored.attempts, stored.due_at, stored.reason.as_deref()),
        (0, Some(at(5)), Some("too_frequent"))
    );
    assert!(claim(conn, 4, 1).is_empty());
    let again = claim(conn, 5, 1).remove(0);
    assert_eq!(
        (again.attempts, again.unsettled_since),
        (1, at(5)),
        "nothing is unsettled"
    );
    let lost = claim(conn, 65, 1).remove(0);
    delivery::release(conn, &[Postponed::new(&again, at(5), at(9))]).unwrap();
    assert_eq!(
        only(conn, notification).due_at,
        Some(at(5)),
        "the lease is not its any more"
    );
    delivery::release(conn, &[Postponed::new(&lost, at(65), at(70))]).unwrap();
    let stored = only(conn, notification);
    assert_eq!(
        (stored.attempts, stored.reason.as_deref()),
        (1, Some("too_frequent"))
    );
    assert_eq!(
        claim(conn, 70, 1)[0].unsettled_since,
        at(5),
        "the lost try still is"
    );
    delivery::release(conn, &[]).unwrap();
}

async fn only_one_of_two_records_at_once_counts(storage: StorageFixture) {
    let notification = fill(&storage, 1);
    let due = claim(&mut storage.conn(), 0, 1).remove(0);
    let mut tasks = Vec::new();
    for msgid in 1..=8 {
        let (db, row) = (storage.db().clone(), sent(&due, msgid));
        tasks.push(tokio::spawn(async move {
            db.write_once(move |conn| transitions::record(conn, &[row]))
                .await
                .unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stored = only(&mut storage.conn(), notification);
    assert_eq!(stored.state, DeliveryState::Sent);
    assert!(stored.msgid.is_some());
}

async fn attempts_are_kept_in_order_and_missing_ones_filled_in(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let row = |number, outcome| NewAttempt {
        delivery_id: DeliveryId(7),
        number,
        started_at: at(0),
        finished_at: at(1),
        outcome,
        errcode: Some(-1),
        detail: Some("it's \"busy\"".to_owned()),
        call: Some("template/send"),
        errmsg: Some("system \"error\"".to_owned()),
        rid: None,
    };
    attempt::insert_many(
        conn,
        &[
            row(2, AttemptOutcome::Refused),
            row(1, AttemptOutcome::NotSent),
        ],
    )
    .unwrap();
    attempt::insert_missing(
        conn,
        &[
            row(2, AttemptOutcome::Interrupted),
            row(3, AttemptOutcome::Interrupted),
        ],
    )
    .unwrap();
    let stored = attempt::of_deliveries(conn, &[DeliveryId(7), DeliveryId(8)]).unwrap();
    let short: Vec<_> = stored
        .iter()
        .map(|attempt| (attempt.number, attempt.outcome.as_str()))
        .collect();
    assert_eq!(short, [(1, "not_sent"), (2, "refused"), (3, "interrupted")]);
    assert_eq!(
        (
            stored[0].errcode,
            stored[0].detail.as_deref(),
            stored[0].finished_at
        ),
        (Some(-1), Some("it's \"busy\""), at(1))
    );
    let said = (
        stored[0].call.as_deref(),
        stored[0].errmsg.as_deref(),
        stored[0].rid.as_deref(),
    );
    assert_eq!(
        said,
        (Some("template/send"), Some("system \"error\""), None)
    );
    attempt::insert_many(conn, &[]).unwrap();
    assert!(attempt::of_deliveries(conn, &[]).unwrap().is_empty());
}
