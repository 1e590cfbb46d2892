//! Looking events up: filters, pages, and what belongs to others stays theirs.

use queqiao::ids::{AccountId, EventId};
use queqiao::models::event::{self, Filter, NewEvent, Processed};

use super::events::{new_event, store};
use super::fixture::StorageFixture;

fn find(storage: &StorageFixture, filter: &Filter) -> Vec<i64> {
    let accounts = [storage.official, storage.second];
    let found = event::list(&mut storage.conn(), &accounts, filter, 100)
        .unwrap()
        .found;
    assert!(found.is_sorted_by(|newer, older| newer.id > older.id));
    found.iter().map(|event| event.create_time).collect()
}

/// Events at 1 to 6, of two accounts, two kinds and two people; those at 1 and 2 are processed.
fn fill(storage: &StorageFixture) {
    let conn = &mut storage.conn();
    let identity = storage.follower(conn, "o1");
    let rows: Vec<NewEvent> = (1..=6)
        .map(|time| NewEvent {
            kind: if time % 2 == 0 {
                "event.subscribe"
            } else {
                "text"
            }
            .to_owned(),
            openid: Some(if time == 3 { "o2" } else { "o1" }.to_owned()),
            ..new_event(
                if time == 4 {
                    storage.second
                } else {
                    storage.official
                },
                time,
                1,
            )
        })
        .collect();
    event::insert_many(conn, &rows).unwrap();
    let waiting = event::claim_waiting(conn, &event::Which::Oldest(2, Vec::new())).unwrap();
    let done: Vec<Processed> = waiting
        .iter()
        .map(|event| Processed {
            id: event.id,
            identity_id: Some(identity.id),
            stats_day: None,
        })
        .collect();
    event::finish(conn, &done).unwrap();
}

both_engines! {
    each_filter_alone_and_all_together,
    the_pages_hold_each_event_once,
    the_events_of_other_accounts_are_not_there,
    a_project_may_have_hundreds_of_accounts,
}

async fn each_filter_alone_and_all_together(storage: StorageFixture) {
    fill(&storage);
    let none = Filter::default();
    assert_eq!(find(&storage, &none), [6, 5, 4, 3, 2, 1]);
    let kind = Filter {
        kind: Some("text".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&storage, &kind), [5, 3, 1]);
    let person = Filter {
        openid: Some("o1".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&storage, &person), [6, 5, 4, 2, 1], "processed or not");
    let unknown = Filter {
        openid: Some("o2".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&storage, &unknown), [3], "no identity yet");
    let since = Filter {
        since: Some(3),
        until: Some(5),
        ..none.clone()
    };
    assert_eq!(find(&storage, &since), [4, 3]);
    let all = Filter {
        since: Some(2),
        until: Some(6),
        ..Filter {
            kind: Some("event.subscribe".to_owned()),
            ..person
        }
    };
    assert_eq!(find(&storage, &all), [4, 2]);
    let nobody = Filter {
        openid: Some("o3".to_owned()),
        ..none
    };
    assert_eq!(find(&storage, &nobody), [0; 0]);
}

async fn the_pages_hold_each_event_once(storage: StorageFixture) {
    store(&mut storage.conn(), storage.official, 25);
    store(&mut storage.conn(), storage.second, 25);
    let accounts = [storage.official, storage.second];
    let mut filter = Filter::default();
    let mut seen: Vec<EventId> = Vec::new();
    loop {
        let page = event::list(&mut storage.conn(), &accounts, &filter, 7)
            .unwrap()
            .found;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 7);
        filter.before = Some(last.id);
        seen.extend(page.iter().map(|event| event.id));
    }
    assert_eq!(seen.len(), 50);
    assert!(seen.is_sorted_by(|newer, older| newer > older));
}

async fn the_events_of_other_accounts_are_not_there(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let theirs = store(conn, storage.foreign, 2);
    let mine = [storage.official, storage.second, storage.mini];
    assert!(event::by_id(conn, &mine, theirs[0]).unwrap().is_none());
    assert!(event::by_id(conn, &[], theirs[0]).unwrap().is_none());
    assert!(
        event::by_id(conn, &[storage.foreign], theirs[0])
            .unwrap()
            .is_some()
    );
    assert!(
        event::list(conn, &mine, &Filter::default(), 10)
            .unwrap()
            .found
            .is_empty()
    );
    assert!(
        event::list(conn, &[], &Filter::default(), 10)
            .unwrap()
            .found
            .is_empty()
    );
}

async fn a_project_may_have_hundreds_of_accounts(storage: StorageFixture) {
    fill(&storage);
    let conn = &mut storage.conn();
    let others = (0..400).map(|number| AccountId(1_000_000 + number));
    let accounts: Vec<AccountId> = [storage.official].into_iter().chain(others).collect();
    let openid = Some("o1".to_owned());
    for (openid, expected) in [(None, vec![6, 5, 3, 2, 1]), (openid, vec![6, 5, 2, 1])] {
        let filter = Filter {
            openid,
            ..Filter::default()
        };
        let found = event::list(conn, &accounts, &filter, 100).unwrap().found;
        let times: Vec<i64> = found.iter().map(|event| event.create_time).collect();
        assert_eq!(times, expected);
    }
}
