//! Looking events up: filters, pages, and what belongs to others stays theirs.

use queqiao::ids::EventId;
use queqiao::models::event::{self, Filter, NewEvent, Processed};

use super::events::{new_event, store};
use super::ground::Ground;

fn find(ground: &Ground, filter: &Filter) -> Vec<i64> {
    let accounts = [ground.official, ground.second];
    let found = event::list(&mut ground.conn(), &accounts, filter, 100)
        .unwrap()
        .found;
    assert!(found.is_sorted_by(|newer, older| newer.id > older.id));
    found.iter().map(|event| event.create_time).collect()
}

/// Events at 1 to 6, of two accounts, two kinds and two people; those at 1 and 2 are processed.
fn fill(ground: &Ground) {
    let conn = &mut ground.conn();
    let identity = ground.follower(conn, "o1");
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
                    ground.second
                } else {
                    ground.official
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
        })
        .collect();
    event::finish(conn, &done).unwrap();
}

both_engines! {
    each_filter_alone_and_all_together,
    the_pages_hold_each_event_once,
    the_events_of_other_accounts_are_not_there,
}

async fn each_filter_alone_and_all_together(ground: Ground) {
    fill(&ground);
    let none = Filter::default();
    assert_eq!(find(&ground, &none), [6, 5, 4, 3, 2, 1]);
    let kind = Filter {
        kind: Some("text".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&ground, &kind), [5, 3, 1]);
    let person = Filter {
        openid: Some("o1".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&ground, &person), [6, 5, 4, 2, 1], "processed or not");
    let unknown = Filter {
        openid: Some("o2".to_owned()),
        ..none.clone()
    };
    assert_eq!(find(&ground, &unknown), [3], "no identity yet");
    let since = Filter {
        since: Some(3),
        until: Some(5),
        ..none.clone()
    };
    assert_eq!(find(&ground, &since), [4, 3]);
    let all = Filter {
        since: Some(2),
        until: Some(6),
        ..Filter {
            kind: Some("event.subscribe".to_owned()),
            ..person
        }
    };
    assert_eq!(find(&ground, &all), [4, 2]);
    let nobody = Filter {
        openid: Some("o3".to_owned()),
        ..none
    };
    assert_eq!(find(&ground, &nobody), [0; 0]);
}

async fn the_pages_hold_each_event_once(ground: Ground) {
    store(&mut ground.conn(), ground.official, 25);
    store(&mut ground.conn(), ground.second, 25);
    let accounts = [ground.official, ground.second];
    let mut filter = Filter::default();
    let mut seen: Vec<EventId> = Vec::new();
    loop {
        let page = event::list(&mut ground.conn(), &accounts, &filter, 7)
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

async fn the_events_of_other_accounts_are_not_there(ground: Ground) {
    let conn = &mut ground.conn();
    let theirs = store(conn, ground.foreign, 2);
    let mine = [ground.official, ground.second, ground.mini];
    assert!(event::by_id(conn, &mine, theirs[0]).unwrap().is_none());
    assert!(event::by_id(conn, &[], theirs[0]).unwrap().is_none());
    assert!(
        event::by_id(conn, &[ground.foreign], theirs[0])
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
