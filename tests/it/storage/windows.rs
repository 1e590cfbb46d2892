//! Windows for customer messages: whatever order their events come in, and however many take at once.

use std::cell::{Cell, RefCell};

use diesel::Connection;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};
use queqiao::bridge::windows;
use queqiao::config::Config;
use queqiao::db::Conn;
use queqiao::ids::IdentityId;
use queqiao::models::identity::windows::{
    Closed, Opening, Rules, Taken, Window, WindowActivity, close, give_back, open, take,
};
use queqiao::models::identity::{self, Identity, Sighting};

use super::fixture::{StorageFixture, again, sighting};

fn rules() -> Rules {
    windows::rules(&Config::default().customer)
}

fn spoke(identity: &Identity, time: i64) -> Opening {
    Opening {
        identity_id: identity.id,
        spoke_time: time,
        acted_time: 0,
    }
}

fn acted(identity: &Identity, time: i64) -> Opening {
    Opening {
        identity_id: identity.id,
        spoke_time: 0,
        acted_time: time,
    }
}

fn heard(conn: &mut Conn, openings: &[Opening]) -> usize {
    conn.transaction(|conn| open(conn, openings)).unwrap()
}

fn taken(conn: &mut Conn, wanted: &[IdentityId], now: i64) -> Vec<Result<Taken, Closed>> {
    conn.transaction(|conn| take(conn, wanted, &rules(), now))
        .unwrap()
}

/// Takes as many as there are, and why there is no more.
fn all(conn: &mut Conn, identity: &Identity, now: i64) -> (Vec<Window>, Closed) {
    let mut windows = Vec::new();
    loop {
        match taken(conn, &[identity.id], now).remove(0) {
            Ok(taken) => windows.push(taken.window),
            Err(reason) => return (windows, reason),
        }
    }
}

both_engines! {
    a_message_is_taken_given_back_and_closed,
    a_late_answer_does_not_close_what_was_opened_since,
    a_follow_counts_without_a_write_of_its_own,
    mini_programs_have_an_allowance_of_their_own,
    events_may_come_in_any_order_and_number,
    nobody_takes_the_same_message_twice,
}

async fn a_message_is_taken_given_back_and_closed(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let person = storage.seen(conn, storage.official, "o1", 0, 0);
    let idle = storage.seen(conn, storage.mini, "m1", 0, 0);
    assert_eq!(heard(conn, &[spoke(&person, 1000)]), 1);
    let wanted = [person.id, idle.id, person.id, IdentityId(999_999)];
    let answers = taken(conn, &wanted, 1001);
    let first = answers[0].unwrap();
    assert_eq!(
        (first.identity_id, first.window, first.opened_time),
        (person.id, Window::Spoke, 1000)
    );
    assert_eq!(answers[1], Err(Closed::WindowClosed));
    assert!(
        answers[2].is_ok(),
        "one batch may hold several messages to one person"
    );
    assert_eq!(answers[3], Err(Closed::WindowClosed));
    assert_eq!(again(conn, &person).acts.spoke_used, 2);
    conn.transaction(|conn| give_back(conn, &[first])).unwrap();
    assert_eq!(again(conn, &person).acts.spoke_used, 1);
    assert_eq!(
        all(conn, &person, 1001),
        (vec![Window::Spoke; 4], Closed::AllowanceUsed)
    );
    conn.transaction(|conn| give_back(conn, &[first, first]))
        .unwrap();
    conn.transaction(|conn| close(conn, &[first])).unwrap();
    assert_eq!(all(conn, &person, 1002), (vec![], Closed::Refused));
    heard(conn, &[spoke(&person, 1003)]);
    assert_eq!(
        all(conn, &person, 1004),
        (vec![Window::Spoke; 5], Closed::AllowanceUsed)
    );
    assert_eq!(again(conn, &idle).acts, WindowActivity::default());
}

async fn a_late_answer_does_not_close_what_was_opened_since(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let person = storage.seen(conn, storage.official, "o1", 0, 0);
    heard(conn, &[acted(&person, 1000)]);
    let first = taken(conn, &[person.id], 1001)[0].unwrap();
    heard(conn, &[acted(&person, 1002)]);
    conn.transaction(|conn| give_back(conn, &[first])).unwrap();
    conn.transaction(|conn| close(conn, &[first])).unwrap();
    assert_eq!(
        all(conn, &person, 1003),
        (vec![Window::Acted; 3], Closed::AllowanceUsed)
    );
}

async fn a_follow_counts_without_a_write_of_its_own(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.seen(conn, storage.official, "o1", 1000, 0);
    assert_eq!(again(conn, &follower).acts, WindowActivity::default());
    assert_eq!(
        all(conn, &follower, 1001),
        (vec![Window::Acted; 3], Closed::AllowanceUsed)
    );
    storage.seen(conn, storage.official, "o1", 1000, 0);
    assert_eq!(
        all(conn, &follower, 1002),
        (vec![], Closed::AllowanceUsed),
        "the same follow again"
    );
    storage.seen(conn, storage.official, "o1", 0, 1003);
    assert_eq!(all(conn, &follower, 1004), (vec![], Closed::NotFollowing));
    storage.seen(conn, storage.official, "o1", 1005, 0);
    assert_eq!(
        all(conn, &follower, 1006),
        (vec![Window::Acted; 3], Closed::AllowanceUsed)
    );
    assert_eq!(all(conn, &follower, 1065), (vec![], Closed::WindowClosed));
}

async fn mini_programs_have_an_allowance_of_their_own(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let person = storage.seen(conn, storage.mini, "m1", 0, 0);
    heard(conn, &[acted(&person, 1000)]);
    assert_eq!(
        all(conn, &person, 1001),
        (vec![Window::Acted; 2], Closed::AllowanceUsed)
    );
}

async fn events_may_come_in_any_order_and_number(storage: StorageFixture) {
    let (conn, number) = (RefCell::new(storage.conn()), Cell::new(0));
    let event = (0_i64..50, 0_i64..50);
    let stories = proptest::collection::vec(event, 1..8);
    let mut runner = TestRunner::new(Runs::with_cases(100));
    runner
        .run(&stories, |story| {
            number.set(number.get() + 1);
            let conn = &mut conn.borrow_mut();
            let person = storage.seen(conn, storage.official, &format!("o{}", number.get()), 0, 0);
            let (mut spoke_time, mut acted_time, mut used) = (0, 0, 0);
            for (spoke, acted) in story {
                let opening = Opening {
                    identity_id: person.id,
                    spoke_time: spoke,
                    acted_time: acted,
                };
                let is_news = spoke > spoke_time || acted > acted_time;
                prop_assert_eq!(heard(conn, &[opening]), usize::from(is_news));
                prop_assert_eq!(heard(conn, &[opening]), 0, "said twice");
                used = if spoke > spoke_time { 0 } else { used };
                (spoke_time, acted_time) = (spoke_time.max(spoke), acted_time.max(acted));
                let stored = again(conn, &person).acts;
                let expected = WindowActivity {
                    spoke_time,
                    spoke_used: used,
                    acted_time,
                    ..WindowActivity::default()
                };
                prop_assert_eq!(stored, expected);
                // Long after the short window.
                if taken(conn, &[person.id], 200)[0].is_ok() {
                    used += 1;
                }
            }
            Ok(())
        })
        .unwrap();
}

async fn nobody_takes_the_same_message_twice(storage: StorageFixture) {
    const PEOPLE: usize = 20;
    let conn = &mut storage.conn();
    // Rows and openids in opposite orders: whoever locked by the row ids would meet the events' order head on.
    let people: Vec<Identity> = (0..PEOPLE)
        .map(|n| storage.seen(conn, storage.official, &format!("o{:02}", PEOPLE - n), 0, 0))
        .collect();
    let openings: Vec<Opening> = people.iter().map(|person| spoke(person, 1000)).collect();
    heard(conn, &openings);
    let ids: Vec<IdentityId> = people.iter().map(|person| person.id).collect();
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let (db, ids) = (storage.db().clone(), ids.clone());
            tokio::spawn(async move {
                let mut total = 0;
                for _ in 0..3 {
                    let ids = ids.clone();
                    let taken = db.write(move |conn| take(conn, &ids, &rules(), 1001)).await;
                    total += taken
                        .unwrap()
                        .iter()
                        .filter(|answer| answer.is_ok())
                        .count();
                }
                total
            })
        })
        .collect();
    for time in 1..20 {
        let rows: Vec<Sighting> = (1..=PEOPLE)
            .map(|n| Sighting {
                followed_time: time,
                ..sighting(storage.project, storage.official, &format!("o{n:02}"))
            })
            .collect();
        storage
            .write(move |conn| identity::record_sightings(conn, &rows))
            .await;
    }
    let mut total = 0;
    for taker in takers {
        total += taker.await.unwrap();
    }
    assert_eq!(total, 5 * PEOPLE);
}
