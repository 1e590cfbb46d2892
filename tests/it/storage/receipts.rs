//! Receipts: before or after the send is recorded, each finds its delivery; a stranger's is let go.

use chrono::TimeDelta;
use queqiao::db::{Conn, Engine};
use queqiao::ids::NotificationId;
use queqiao::models::delivery::receipt::{self, NewReceipt, Settled};
use queqiao::models::delivery::transitions::{self, Outcome};
use queqiao::models::delivery::{self, Delivery, DeliveryState, Due};

use super::fixture::{StorageFixture, at};
use super::outbox::{claiming, queued, sent};

const GIVE_UP: TimeDelta = TimeDelta::seconds(100);

fn arrived(storage: &StorageFixture, msgid: i64) -> NewReceipt {
    NewReceipt {
        account_id: storage.official,
        msgid,
        delivered: true,
        reason: None,
        create_time: 1,
        now: at(0),
        stats_day: queqiao::clock::Day(0),
    }
}

fn claimed(storage: &StorageFixture, conn: &mut Conn) -> (NotificationId, Due) {
    let notification = storage.notification(conn);
    transitions::insert_many(conn, &[queued(storage, notification, "s1")]).unwrap();
    let claim = claiming(conn, 0, 1);
    let due = delivery::claim_due(conn, &claim).unwrap().remove(0);
    (notification, due)
}

fn settle(conn: &mut Conn, now: i64) -> (usize, usize) {
    let Settled {
        looked_at, joined, ..
    } = receipt::settle(conn, at(now), GIVE_UP, 10).unwrap();
    (looked_at, joined)
}

fn only(conn: &mut Conn, notification: NotificationId) -> Delivery {
    delivery::of_notification(conn, notification, None, 10)
        .unwrap()
        .remove(0)
}

both_engines! {
    a_receipt_after_the_send_closes_the_delivery,
    a_receipt_before_the_send_is_recorded_waits_for_it,
    a_receipt_belongs_to_its_account,
    a_stranger_is_looked_for_ever_more_rarely_and_then_let_go,
    a_receipt_is_not_lost_between_two_transactions,
    a_round_takes_no_more_than_asked,
}

async fn a_receipt_after_the_send_closes_the_delivery(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (notification, due) = claimed(&storage, conn);
    record(conn, &[sent(&due, 5)]).unwrap();
    assert_eq!(
        receipt::insert_many(conn, &[arrived(&storage, 5)])
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        receipt::insert_many(
            conn,
            &[NewReceipt {
                delivered: false,
                ..arrived(&storage, 5)
            }]
        )
        .unwrap()
        .len(),
        0
    );
    assert_eq!(settle(conn, 0), (1, 1));
    let closed = only(conn, notification);
    assert_eq!(
        (closed.state, closed.reason, closed.finished_at),
        (DeliveryState::Delivered, None, Some(at(0)))
    );
    assert_eq!(settle(conn, 99), (0, 0));
}

async fn a_receipt_before_the_send_is_recorded_waits_for_it(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (notification, due) = claimed(&storage, conn);
    let refused = NewReceipt {
        delivered: false,
        reason: Some("user block".to_owned()),
        ..arrived(&storage, 5)
    };
    receipt::insert_many(conn, &[refused]).unwrap();
    assert_eq!(settle(conn, 0), (1, 0));
    assert_eq!(settle(conn, 0), (0, 0), "looked at again later");
    assert_eq!(
        record(conn, &[sent(&due, 5)]).unwrap(),
        1,
        "the send wakes it"
    );
    assert_eq!(settle(conn, 1), (1, 1));
    let closed = only(conn, notification);
    assert_eq!(
        (closed.state, closed.reason.as_deref()),
        (DeliveryState::Failed, Some("receipt_failed"))
    );
    assert!(closed.detail.unwrap().contains("user block"));
}

async fn a_receipt_belongs_to_its_account(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (notification, due) = claimed(&storage, conn);
    receipt::insert_many(
        conn,
        &[NewReceipt {
            account_id: storage.second,
            ..arrived(&storage, 5)
        }],
    )
    .unwrap();
    assert_eq!(record(conn, &[sent(&due, 5)]).unwrap(), 0);
    assert_eq!(settle(conn, 0), (1, 0));
    assert_eq!(only(conn, notification).state, DeliveryState::Sent);
}

async fn a_stranger_is_looked_for_ever_more_rarely_and_then_let_go(storage: StorageFixture) {
    let conn = &mut storage.conn();
    receipt::insert_many(conn, &[arrived(&storage, 5)]).unwrap();
    let looks: Vec<i64> = (0..1_000)
        .filter(|second| settle(conn, *second).0 == 1)
        .collect();
    assert_eq!(
        looks,
        [0, 1, 3, 7, 15, 31, 63, 127],
        "doubling, the last one after the limit"
    );
    let (_, due) = claimed(&storage, conn);
    assert_eq!(
        record(conn, &[sent(&due, 5)]).unwrap(),
        0,
        "let go for good"
    );
}

async fn a_receipt_is_not_lost_between_two_transactions(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (notification, due) = claimed(&storage, conn);
    receipt::insert_many(conn, &[arrived(&storage, 5)]).unwrap();
    // Settled while the recording transaction is open: it cannot see the send yet.
    let (woken, settled) = storage.overlapping(
        |conn| record(conn, &[sent(&due, 5)]),
        |conn| Ok(settle(conn, 1)),
    );
    assert_eq!(woken, 1);
    let expected = match storage.engine() {
        Engine::Postgres => (0, 0),
        Engine::Sqlite => (1, 1),
    };
    assert_eq!(settled, expected);
    settle(conn, 1);
    assert_eq!(only(conn, notification).state, DeliveryState::Delivered);

    // The receipt comes while the recording transaction is open, and is looked at at once.
    let (notification, due) = claimed(&storage, conn);
    let (_, settled) = storage.overlapping(
        |conn| record(conn, &[sent(&due, 6)]),
        |conn| {
            receipt::insert_many(conn, &[arrived(&storage, 6)])?;
            Ok(settle(conn, 1))
        },
    );
    assert_eq!(settled.0, 1);
    settle(conn, 2);
    assert_eq!(only(conn, notification).state, DeliveryState::Delivered);
}

async fn a_round_takes_no_more_than_asked(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let rows: Vec<NewReceipt> = (0..25).map(|msgid| arrived(&storage, msgid)).collect();
    assert_eq!(receipt::insert_many(conn, &rows).unwrap().len(), 25);
    assert_eq!(
        [
            settle(conn, 0).0,
            settle(conn, 0).0,
            settle(conn, 0).0,
            settle(conn, 0).0
        ],
        [10, 10, 5, 0]
    );
    assert!(receipt::insert_many(conn, &[]).unwrap().is_empty());
}

/// As whoever sends records it.
fn record(conn: &mut Conn, outcomes: &[Outcome]) -> queqiao::db::QueryResult<usize> {
    let woken = receipt::wake_receipts(conn, outcomes)?;
    transitions::record(conn, outcomes)?;
    Ok(woken)
}
