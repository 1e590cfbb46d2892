//! Events as a queue: stored once, claimed in order, closed, put aside, replayed.

use queqiao::bridge::intake::Inserter;
use queqiao::db::Conn;
use queqiao::ids::{AccountId, EventId};
use queqiao::models::delivery;
use queqiao::models::event::{self, Event, FAILED, NewEvent, PROCESSED, Processed, WAITING};

use super::fixture::{StorageFixture, at};

pub(super) fn new_event(account: AccountId, create_time: i64, key: i64) -> NewEvent {
    NewEvent {
        account_id: account,
        create_time,
        received_at: at(0),
        state: WAITING,
        dedup_key: key,
        kind: "text".to_owned(),
        openid: None,
        body: b"<xml/>".to_vec(),
        problem: None,
    }
}

pub(super) fn store(conn: &mut Conn, account: AccountId, count: i64) -> Vec<EventId> {
    let rows: Vec<NewEvent> = (0..count)
        .map(|number| new_event(account, number, number))
        .collect();
    event::insert_many(conn, &rows).unwrap();
    let mut ids: Vec<EventId> = all(conn, account).iter().map(|event| event.id).collect();
    ids.reverse();
    ids
}

fn all(conn: &mut Conn, account: AccountId) -> Vec<Event> {
    event::list(conn, &[account], &event::Filter::default(), 10_000)
        .unwrap()
        .found
}

fn claim(conn: &mut Conn, limit: i64) -> Vec<EventId> {
    let waiting = event::claim_waiting(conn, &event::Which::Oldest(limit, Vec::new())).unwrap();
    waiting.iter().map(|waiting| waiting.id).collect()
}

fn processed(id: EventId) -> Processed {
    Processed {
        id,
        identity_id: None,
        stats_day: None,
    }
}

both_engines! {
    an_event_is_stored_once_by_account_time_and_key,
    a_large_batch_is_stored_once_whatever_of_it_came_before,
    what_is_stored_is_not_new,
    every_byte_and_every_field_comes_back,
    the_oldest_are_claimed_first_as_many_as_asked,
    two_claimers_never_have_the_same_event,
    a_finished_event_names_its_identity,
    a_failed_event_is_out_of_the_way_until_it_is_replayed,
    that_the_clock_went_back_is_seen_by_the_newest_event,
}

async fn an_event_is_stored_once_by_account_time_and_key(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let first = new_event(storage.official, 7, 1);
    let twice = [
        first.clone(),
        NewEvent {
            body: b"other".to_vec(),
            ..first.clone()
        },
    ];
    assert_eq!(event::insert_many(conn, &twice).unwrap(), 1, "in one batch");
    assert_eq!(
        event::insert_many(conn, &twice).unwrap(),
        0,
        "across batches"
    );
    let different = [
        new_event(storage.official, 8, 1),
        new_event(storage.second, 7, 1),
        new_event(storage.official, 7, 2),
        first.clone(),
    ];
    assert_eq!(event::insert_many(conn, &different).unwrap(), 3);
    let stored = all(conn, storage.official);
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[2].body, first.body, "the first one stays as it is");
    assert_eq!(event::insert_many::<NewEvent>(conn, &[]).unwrap(), 0);
}

async fn a_large_batch_is_stored_once_whatever_of_it_came_before(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let batch: Vec<NewEvent> = (0..40)
        .map(|time| new_event(storage.official, time, 1))
        .collect();
    let (early, late) = (&batch[..20], &batch[10..]);
    let mut inserter = Inserter::default();
    assert!(event::insert_new(conn, early).is_ok(), "none is stored yet");
    // The first meets what was stored in good faith, the second looks before it stores.
    for _ in 0..2 {
        inserter.insert(conn, late).unwrap();
        assert_eq!(all(conn, storage.official).len(), 40);
    }
    let twice: Vec<NewEvent> = (0..40)
        .map(|number| new_event(storage.second, number / 2, 1))
        .collect();
    Inserter::default().insert(conn, &twice).unwrap();
    assert_eq!(
        all(conn, storage.second).len(),
        20,
        "repeats within the batch"
    );
}

async fn what_is_stored_is_not_new(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let event = [new_event(storage.official, 1, 1)];
    assert_eq!(event::insert_new(conn, &event).unwrap(), 1);
    let refused = event::insert_new(conn, &event).unwrap_err();
    assert!(refused.is_duplicate(), "{refused}");
    assert_eq!(all(conn, storage.official).len(), 1);
}

async fn every_byte_and_every_field_comes_back(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let full = NewEvent {
        create_time: i64::MAX,
        kind: "event.subscribe".to_owned(),
        openid: Some("o'\"\\ 鹊🐦".to_owned()),
        body: bytes.clone(),
        problem: Some("no {XML}, \"really\"".to_owned()),
        ..new_event(storage.official, 0, i64::MAX)
    };
    let empty = NewEvent {
        body: Vec::new(),
        openid: Some(String::new()),
        ..new_event(storage.official, i64::MIN, i64::MIN)
    };
    assert_eq!(event::insert_many(conn, &[full.clone(), empty]).unwrap(), 2);
    let stored = all(conn, storage.official);
    let (empty, stored) = (&stored[0], &stored[1]);
    assert_eq!(
        (stored.create_time, stored.received_at, stored.state),
        (i64::MAX, at(0), WAITING)
    );
    assert_eq!(
        (&stored.kind, &stored.openid, &stored.problem),
        (&full.kind, &full.openid, &full.problem)
    );
    assert_eq!(stored.body, bytes);
    assert_eq!(
        (empty.body.len(), empty.openid.as_deref(), empty.create_time),
        (0, Some(""), i64::MIN)
    );
    let waiting = event::claim_waiting(conn, &event::Which::Oldest(1, Vec::new()))
        .unwrap()
        .remove(0);
    assert_eq!(
        (waiting.body, waiting.openid, waiting.problem),
        (bytes, full.openid, full.problem)
    );
}

async fn the_oldest_are_claimed_first_as_many_as_asked(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let ids = store(conn, storage.official, 10);
    assert_eq!(claim(conn, 4), ids[..4]);
    assert_eq!(claim(conn, 0), []);
    assert_eq!(claim(conn, -1), []);
    assert_eq!(claim(conn, 100), ids);
    let done: Vec<Processed> = ids[..9].iter().map(|id| processed(*id)).collect();
    event::finish(conn, &done).unwrap();
    assert_eq!(claim(conn, 100), ids[9..]);
    assert_eq!(event::waiting_count(conn).unwrap(), 1);
}

async fn two_claimers_never_have_the_same_event(storage: StorageFixture) {
    let ids = store(&mut storage.conn(), storage.official, 10);
    let take = |conn: &mut Conn| {
        let mine = claim(conn, 5);
        let done: Vec<Processed> = mine.iter().map(|id| processed(*id)).collect();
        event::finish(conn, &done)?;
        Ok(mine)
    };
    let (first, second) = storage.overlapping(take, take);
    assert_eq!(
        (first.as_slice(), second.as_slice()),
        (&ids[..5], &ids[5..])
    );
    assert_eq!(event::waiting_count(&mut storage.conn()).unwrap(), 0);
}

async fn a_finished_event_names_its_identity(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let ids = store(conn, storage.official, 3);
    store(conn, storage.second, 1);
    let identity = storage.follower(conn, "o1").id;
    event::finish(
        conn,
        &[
            Processed {
                identity_id: Some(identity),
                ..processed(ids[0])
            },
            processed(ids[1]),
        ],
    )
    .unwrap();
    let stored = all(conn, storage.official);
    let found: Vec<_> = stored
        .iter()
        .rev()
        .map(|event| (event.state, event.identity_id))
        .collect();
    assert_eq!(
        found,
        [
            (PROCESSED, Some(identity)),
            (PROCESSED, None),
            (WAITING, None)
        ]
    );
    assert_eq!(all(conn, storage.second)[0].state, WAITING);
}

async fn a_failed_event_is_out_of_the_way_until_it_is_replayed(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let ids = store(conn, storage.official, 2);
    event::fail(conn, ids[0], "it's \"broken\"").unwrap();
    assert_eq!(claim(conn, 10), ids[1..]);
    let failed = event::by_id(conn, &[storage.official], ids[0])
        .unwrap()
        .unwrap();
    assert_eq!(
        (failed.state, failed.problem.as_deref()),
        (FAILED, Some("it's \"broken\""))
    );
    assert!(!event::requeue(conn, storage.second, ids[0], None).unwrap());
    assert!(!event::requeue(conn, storage.official, EventId(0), None).unwrap());
    assert!(event::requeue(conn, storage.official, ids[0], None).unwrap());
    assert_eq!(claim(conn, 10), ids);
    let again = event::by_id(conn, &[storage.official], ids[0])
        .unwrap()
        .unwrap();
    assert_eq!((again.state, again.problem), (WAITING, None));
}

async fn that_the_clock_went_back_is_seen_by_the_newest_event(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert!(!delivery::is_ahead(conn, at(0)).unwrap(), "there is none");
    store(conn, storage.official, 3);
    let late = NewEvent {
        received_at: at(100),
        ..new_event(storage.second, 9, 9)
    };
    event::insert_many(conn, &[late]).unwrap();
    // Whether it waits or was processed.
    for _ in 0..2 {
        assert!(delivery::is_ahead(conn, at(99)).unwrap());
        assert!(!delivery::is_ahead(conn, at(100)).unwrap());
        let done: Vec<Processed> = all(conn, storage.second)
            .iter()
            .map(|event| processed(event.id))
            .collect();
        event::finish(conn, &done).unwrap();
    }
}
