//! Batched statements: any text, any number, any count of rows.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use queqiao::ids::NotificationId;
use queqiao::models::delivery::receipt::{self, NewReceipt};
use queqiao::models::delivery::transitions::{self, NewDelivery, Recipient};
use queqiao::models::delivery::{self, DeliveryState, Reason};
use queqiao::models::identity::{self, Spot};
use queqiao::models::notification::Priority;
use queqiao::models::storable;

use super::fixture::{StorageFixture, at, sighting};
use super::outbox::{claiming, over, queued, sent, to};

fn texts() -> Vec<String> {
    [
        "",
        " ",
        "it's",
        "\"quoted\"",
        "back\\slash \\n \\u0041",
        "鹊桥 🐦\u{200d}⬛",
        "$.openid",
        "'; --",
        "{\"a\":1}",
        "[]",
        "null",
        "true",
        "007",
        "1e3",
        "-0",
        "%_",
        "${x} {rows} $1 ?1",
        "\u{7f}\u{feff}\u{10ffff}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(["界".repeat(400_000)])
    .collect()
}

both_engines! {
    any_text_goes_through_a_batch_unchanged,
    random_text_finds_its_own_row,
    extreme_numbers_and_both_booleans_go_through,
    no_rows_are_no_statement_and_thousands_are_one,
}

async fn any_text_goes_through_a_batch_unchanged(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let texts = texts();
    // The staff id is in an index, whose rows PostgreSQL bounds.
    let short: Vec<String> = texts
        .iter()
        .map(|text| text.chars().take(100).collect())
        .collect();
    let notifications: Vec<NotificationId> =
        texts.iter().map(|_| storage.notification(conn)).collect();
    let all = texts.iter().zip(&short).zip(&notifications);
    let rows: Vec<NewDelivery<'_>> = all
        .clone()
        .map(|((text, short), notification)| {
            let to = Recipient {
                staff_name: Some(text),
                ..to(&storage, *notification, Priority::Normal, short)
            };
            let waits = (Reason::WaitingForConsent, text.as_str().into());
            transitions::accepted(to, over(&storage), Some(waits))
        })
        .collect();
    transitions::insert_many(conn, &rows).unwrap();
    for ((text, short), notification) in all {
        let stored = delivery::of_notification(conn, *notification, None, 10).unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].staff_id.as_ref(), Some(short));
        assert_eq!(stored[0].detail.as_ref(), Some(text));
        assert_eq!(stored[0].msgid, None);
    }
}

async fn random_text_finds_its_own_row(storage: StorageFixture) {
    let conn = RefCell::new(storage.conn());
    let mut runner = TestRunner::new(Config::with_cases(40));
    runner
        .run(
            &proptest::collection::btree_set(any::<String>(), 1..6),
            |openids| {
                let openids: std::collections::BTreeSet<String> = openids
                    .iter()
                    .map(|text| storable(text).into_owned())
                    .collect();
                let rows: Vec<_> = openids
                    .iter()
                    .map(|openid| sighting(storage.project, storage.official, openid))
                    .collect();
                identity::record_sightings(&mut conn.borrow_mut(), &rows).unwrap();
                let spots: Vec<Spot<'_>> = openids
                    .iter()
                    .map(|openid| Spot {
                        account_id: storage.official,
                        openid,
                    })
                    .collect();
                let mut found: Vec<String> = identity::ids_of(&mut conn.borrow_mut(), &spots)
                    .unwrap()
                    .into_iter()
                    .map(|found| found.openid)
                    .collect();
                found.sort();
                prop_assert_eq!(found, openids.into_iter().collect::<Vec<_>>());
                Ok(())
            },
        )
        .unwrap();
}

async fn extreme_numbers_and_both_booleans_go_through(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let notification = storage.notification(conn);
    for (msgid, delivered) in [
        (i64::MAX, true),
        (i64::MIN, false),
        (0, true),
        (-1, false),
        (9_007_199_254_740_993, true),
    ] {
        let row = queued(&storage, notification, "s");
        transitions::insert_many(conn, &[row]).unwrap();
        let claim = claiming(conn, 0, 1);
        let due = delivery::claim_due(conn, &claim).unwrap().remove(0);
        let sent = sent(&due, msgid);
        transitions::record(conn, &[sent]).unwrap();
        let receipt = NewReceipt {
            account_id: storage.official,
            msgid,
            delivered,
            reason: None,
            create_time: i64::MIN,
            now: at(1),
            stats_day: queqiao::clock::Day(0),
        };
        assert_eq!(receipt::insert_many(conn, &[receipt]).unwrap().len(), 1);
        assert_eq!(
            receipt::settle(conn, at(1), chrono::TimeDelta::days(1), 10)
                .unwrap()
                .joined,
            1
        );
        let stored = delivery::of_notification(conn, notification, None, 100).unwrap();
        let stored = stored.last().unwrap();
        assert_eq!(stored.msgid, Some(msgid));
        let state = if delivered {
            DeliveryState::Delivered
        } else {
            DeliveryState::Failed
        };
        assert_eq!(stored.state, state);
    }
}

async fn no_rows_are_no_statement_and_thousands_are_one(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert_eq!(identity::record_sightings(conn, &[]).unwrap(), 0);
    assert!(identity::ids_of(conn, &[]).unwrap().is_empty());
    transitions::insert_many(conn, &[]).unwrap();
    let openids: Vec<String> = (0..5_000).map(|number| format!("o{number:05}")).collect();
    let rows: Vec<_> = openids
        .iter()
        .map(|openid| sighting(storage.project, storage.official, openid))
        .collect();
    assert_eq!(identity::record_sightings(conn, &rows).unwrap(), 5_000);
    assert_eq!(
        identity::record_sightings(conn, &rows).unwrap(),
        0,
        "nothing new"
    );
    let spots: Vec<Spot<'_>> = openids
        .iter()
        .map(|openid| Spot {
            account_id: storage.official,
            openid,
        })
        .collect();
    assert_eq!(identity::ids_of(conn, &spots).unwrap().len(), 5_000);
}

#[test]
fn what_postgresql_cannot_hold_is_taken_out_before() {
    assert_eq!(storable("a\0b\u{1}\n"), "ab");
    assert_eq!(storable("鹊桥 🐦"), "鹊桥 🐦");
}
