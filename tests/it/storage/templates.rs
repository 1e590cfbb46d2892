//! Templates and their listings: an answer that comes late undoes nothing, and one lease holds.

use queqiao::models::account::template::{self, Kind, Row};
use queqiao::models::account::template_sync;

use super::fixture::{StorageFixture, at};

fn row(storage: &StorageFixture, id: &str, content: &str) -> Row {
    Row {
        account_id: storage.official,
        template_id: id.to_owned(),
        kind: Kind::Template,
        title: "订单 \"提醒\"".to_owned(),
        content: content.to_owned(),
        keys: "[]".to_owned(),
        first_seen_at: at(0),
        last_seen_at: at(0),
        gone_at: None,
        changed_at: None,
        previous_title: None,
        previous_content: None,
        first_title: None,
        first_content: None,
        first_keys: None,
    }
}

both_engines! {
    a_listing_that_was_asked_for_earlier_is_not_recorded_over_a_later_one,
    a_listing_that_is_due_is_claimed_once,
    templates_are_replaced_whole_but_for_when_they_were_first_seen,
}

async fn a_listing_that_was_asked_for_earlier_is_not_recorded_over_a_later_one(
    storage: StorageFixture,
) {
    let conn = &mut storage.conn();
    let account = storage.official;
    assert!(template_sync::succeeded(conn, account, at(10)).unwrap());
    assert!(!template_sync::succeeded(conn, account, at(9)).unwrap());
    assert!(template_sync::succeeded(conn, account, at(10)).unwrap());
    assert_eq!(
        template_sync::failed(conn, account, Some(-1), "busy").unwrap(),
        0
    );
    assert_eq!(
        template_sync::failed(conn, account, None, "away").unwrap(),
        1
    );
    let sync = template_sync::find(conn, account).unwrap().unwrap();
    assert_eq!(
        (sync.synced_at, sync.attempts, sync.problem_code),
        (Some(at(10)), 2, None)
    );
    assert!(template_sync::succeeded(conn, account, at(11)).unwrap());
    let sync = template_sync::find(conn, account).unwrap().unwrap();
    assert_eq!((sync.attempts, sync.problem), (0, None));
}

async fn a_listing_that_is_due_is_claimed_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert!(template_sync::due(conn, at(0)).unwrap().is_none());
    template_sync::want(conn, storage.second, at(5)).unwrap();
    template_sync::want(conn, storage.official, at(3)).unwrap();
    template_sync::want(conn, storage.official, at(4)).unwrap();
    assert!(template_sync::due(conn, at(2)).unwrap().is_none());
    let due = template_sync::due(conn, at(9)).unwrap().unwrap();
    assert_eq!(
        (due.account_id, due.due_at),
        (storage.official, Some(at(3))),
        "the oldest"
    );
    assert!(template_sync::claim(conn, &due, at(60)).unwrap());
    assert!(!template_sync::claim(conn, &due, at(60)).unwrap());
    assert_eq!(
        template_sync::due(conn, at(9)).unwrap().unwrap().account_id,
        storage.second
    );
    template_sync::put_due(conn, storage.second, None).unwrap();
    assert!(template_sync::due(conn, at(9)).unwrap().is_none());
}

async fn templates_are_replaced_whole_but_for_when_they_were_first_seen(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let account = storage.official;
    template::store(
        conn,
        &[
            row(&storage, "A", "{{thing1.DATA}}\n"),
            row(&storage, "B", ""),
        ],
    )
    .unwrap();
    let changed = Row {
        first_seen_at: at(7),
        last_seen_at: at(7),
        changed_at: Some(at(7)),
        gone_at: Some(at(8)),
        previous_title: Some("t".to_owned()),
        previous_content: Some("{{thing1.DATA}}\n".to_owned()),
        ..row(&storage, "A", "{{thing2.DATA}}\r\n\t孙")
    };
    template::store(conn, &[changed]).unwrap();
    let stored = template::of_accounts(conn, &[account]).unwrap();
    assert_eq!(stored.len(), 2);
    let a = &stored[0];
    assert_eq!(
        (a.content.as_str(), a.title.as_str()),
        ("{{thing2.DATA}}\r\n\t孙", "订单 \"提醒\"")
    );
    assert_eq!((a.first_seen_at, a.last_seen_at), (at(0), at(7)));
    assert_eq!((a.changed_at, a.gone_at), (Some(at(7)), Some(at(8))));
    assert_eq!(a.previous_content.as_deref(), Some("{{thing1.DATA}}\n"));
    let page = template::page(conn, account, Some(stored[1].id), 10).unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(
        template::of_accounts(conn, &[storage.second])
            .unwrap()
            .len(),
        0
    );
}
