//! The lanes of the outbox: what is due where, and claimed from there alone.

use chrono::TimeDelta;
use queqiao::db::Conn;
use queqiao::ids::{AccountId, NotificationId};
use queqiao::models::delivery::transitions::{self, PlannedRoute};
use queqiao::models::delivery::{self, Claim, Ended, Head, Postponed, Reason};
use queqiao::models::notification;
use queqiao::models::notification::Priority;

use super::fixture::{StorageFixture, at, new_notification};
use super::outbox::{over, to};

fn add(
    storage: &StorageFixture,
    conn: &mut Conn,
    notification: NotificationId,
    (account, priority, due): (Option<AccountId>, Priority, i64),
) {
    let route = PlannedRoute {
        account_id: account,
        due_at: Some(at(due)),
        ..over(storage)
    };
    let row = transitions::accepted(to(storage, notification, priority, "s"), route, None);
    transitions::insert_many(conn, &[row]).unwrap();
}

fn heads(conn: &mut Conn, now: i64) -> Vec<(i64, i32)> {
    let mut heads: Vec<_> = delivery::heads(conn, at(now))
        .unwrap()
        .into_iter()
        .map(|Head { lane, rank, .. }| (lane.0, rank))
        .collect();
    heads.sort_unstable();
    heads
}

fn from(lane: AccountId, priority: Priority, now: i64) -> Claim {
    Claim {
        lane,
        priority,
        now: at(now),
        lease: TimeDelta::seconds(60),
        limit: 10,
        ended: None,
    }
}

both_engines! {
    what_is_due_is_found_by_lane_and_priority,
    what_cannot_wait_is_claimed_alone,
    what_waits_for_a_pause_is_made_due_and_nothing_else,
    something_of_each_priority_is_made_due_that_waits_for_a_pause,
}

async fn what_is_due_is_found_by_lane_and_priority(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert!(heads(conn, 100).is_empty());
    let notification = storage.notification(conn);
    let (one, two) = (storage.official, storage.second);
    for row in [
        (Some(two), Priority::Bulk, 5),
        (Some(two), Priority::Bulk, 3),
        (Some(two), Priority::Urgent, 9),
        (Some(one), Priority::Normal, 5),
        (None, Priority::Normal, 5),
    ] {
        add(&storage, conn, notification, row);
    }
    assert!(heads(conn, 2).is_empty());
    assert_eq!(heads(conn, 3), [(two.0, 2)]);
    let mut all = vec![(0, 1), (one.0, 1), (two.0, 0), (two.0, 2)];
    all.sort_unstable();
    assert_eq!(heads(conn, 9), all);
    let claimed = delivery::claim_due(conn, &from(two, Priority::Bulk, 4)).unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].account_id, Some(two));
    assert!(
        delivery::claim_due(conn, &from(two, Priority::Normal, 9))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        delivery::claim_due(conn, &from(two, Priority::Bulk, 9))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        delivery::claim_due(conn, &from(two, Priority::Urgent, 9))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(heads(conn, 9), [(0, 1), (one.0, 1)]);
    assert!(
        heads(conn, 64).contains(&(two.0, 2)),
        "the lease has run out"
    );
}

async fn what_cannot_wait_is_claimed_alone(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let lasting = storage.notification(conn);
    let mut brief = new_notification(storage.project, None);
    brief.expires_at = Some(at(50));
    let brief = notification::create(conn, &brief).unwrap().unwrap().id;
    let lane = storage.official;
    for (id, due) in [(lasting, 0), (brief, 0), (lasting, 30)] {
        add(&storage, conn, id, (Some(lane), Priority::Normal, due));
    }
    let ended = |now: i64, begun: i64| Claim {
        ended: Some(Ended {
            begun_before: at(begun),
            unsettled_before: at(-1),
        }),
        ..from(lane, Priority::Normal, now)
    };
    assert!(
        delivery::claim_due(conn, &ended(49, -1))
            .unwrap()
            .is_empty()
    );
    let claimed = delivery::claim_due(conn, &ended(50, -1)).unwrap();
    assert_eq!(
        claimed
            .iter()
            .map(|due| due.notification_id)
            .collect::<Vec<_>>(),
        [brief]
    );
    let claimed = delivery::claim_due(conn, &ended(51, 29)).unwrap();
    assert_eq!(
        claimed.iter().map(|due| due.begun_at).collect::<Vec<_>>(),
        [at(0)]
    );
}

async fn what_waits_for_a_pause_is_made_due_and_nothing_else(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let notification = storage.notification(conn);
    let lane = storage.official;
    for _ in 0..4 {
        add(
            &storage,
            conn,
            notification,
            (Some(lane), Priority::Normal, 0),
        );
    }
    let claimed = delivery::claim_due(conn, &from(lane, Priority::Normal, 0)).unwrap();
    let wait = |number: usize, reason: Reason| Postponed {
        reason: Some(reason),
        ..Postponed::new(&claimed[number], at(0), at(500))
    };
    // The last one stays leased.
    delivery::release(
        conn,
        &[
            wait(0, Reason::AccountProblem),
            wait(1, Reason::TooFrequent),
            wait(2, Reason::AccountProblem),
        ],
    )
    .unwrap();
    assert_eq!(
        delivery::make_due(conn, storage.second, &[Reason::AccountProblem], at(1), 9).unwrap(),
        0
    );
    assert_eq!(
        delivery::make_due(conn, lane, &[Reason::AccountProblem], at(1), 1).unwrap(),
        1
    );
    assert_eq!(
        delivery::make_due(conn, lane, &[Reason::AccountProblem], at(1), 9).unwrap(),
        1
    );
    assert_eq!(
        delivery::make_due(conn, lane, &[Reason::AccountProblem], at(1), 9).unwrap(),
        0
    );
    let again = delivery::claim_due(conn, &from(lane, Priority::Normal, 1)).unwrap();
    assert_eq!(again.len(), 2);
}

async fn something_of_each_priority_is_made_due_that_waits_for_a_pause(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let notification = storage.notification(conn);
    let lane = storage.official;
    for priority in [
        Priority::Normal,
        Priority::Normal,
        Priority::Normal,
        Priority::Bulk,
        Priority::Urgent,
    ] {
        add(&storage, conn, notification, (Some(lane), priority, 0));
    }
    let mut waits = |priority, reasons: &[(Reason, i64)]| {
        let claimed = delivery::claim_due(conn, &from(lane, priority, 0)).unwrap();
        assert_eq!(claimed.len(), reasons.len());
        let rows = claimed
            .iter()
            .zip(reasons)
            .map(|(due, (reason, until))| Postponed {
                reason: Some(*reason),
                ..Postponed::new(due, at(0), at(*until))
            });
        delivery::release(conn, &rows.collect::<Vec<_>>()).unwrap();
        claimed
    };
    let quota = Reason::QuotaUsedUp;
    let normal = waits(
        Priority::Normal,
        &[(quota, 399), (quota, 501), (quota, 600)],
    );
    waits(Priority::Bulk, &[(quota, 400)]);
    waits(Priority::Urgent, &[(Reason::AccountProblem, 500)]);
    let times = (at(400), at(550));
    assert_eq!(
        delivery::rouse(conn, (storage.second, quota), times, at(1), 1).unwrap(),
        0
    );
    assert_eq!(
        delivery::rouse(conn, (lane, quota), times, at(1), 1).unwrap(),
        2
    );
    assert_eq!(heads(conn, 1), [(lane.0, 1), (lane.0, 2)]);
    let due = delivery::claim_due(conn, &from(lane, Priority::Normal, 1)).unwrap();
    assert_eq!(
        due.iter().map(|due| due.id).collect::<Vec<_>>(),
        [normal[1].id]
    );
}
