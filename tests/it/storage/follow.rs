//! Following: whatever order and batches the events come in, the row ends the same.

use std::cell::{Cell, RefCell};

use diesel::Connection;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use queqiao::db::Conn;
use queqiao::models::identity::{self, FollowState, Identity, ProfileState, Sighting};

use super::fixture::{StorageFixture, again, at, delay, link, sighting};

/// One event of one person.
#[derive(Clone, Copy, Debug)]
enum News {
    Follow(i64),
    Unfollow(i64),
    Message,
}

fn scene(followed: i64) -> Option<String> {
    (followed % 2 == 1).then(|| format!("shop_{followed}"))
}

/// A batch of events of one person as processing folds it.
fn fold(storage: &StorageFixture, openid: &str, batch: &[News]) -> Sighting {
    let mut row = sighting(storage.project, storage.official, openid);
    for news in batch {
        match news {
            News::Follow(time) => row.followed_time = row.followed_time.max(*time),
            News::Unfollow(time) => row.unfollowed_time = row.unfollowed_time.max(*time),
            News::Message => {}
        }
    }
    row.qr_scene = scene(row.followed_time);
    if row.unfollowed_time > row.followed_time {
        row.profile_state = ProfileState::NotFollowing;
        row.profile_due_at = None;
    }
    row
}

/// What the order cannot change.
#[derive(Debug, PartialEq)]
struct Ended {
    followed: i64,
    unfollowed: i64,
    state: FollowState,
    scene: Option<String>,
    profile: ProfileState,
    due: bool,
}

fn model(all: &[News]) -> Ended {
    let time = |of: fn(&News) -> i64| all.iter().map(of).max().unwrap_or(0);
    let followed = time(|news| {
        if let News::Follow(time) = news {
            *time
        } else {
            0
        }
    });
    let unfollowed = time(|news| {
        if let News::Unfollow(time) = news {
            *time
        } else {
            0
        }
    });
    let (state, profile) = if followed > unfollowed {
        (FollowState::Following, ProfileState::Pending)
    } else if unfollowed > followed {
        (FollowState::NotFollowing, ProfileState::NotFollowing)
    } else if unfollowed > 0 {
        (FollowState::NotFollowing, ProfileState::Pending)
    } else {
        (FollowState::Unknown, ProfileState::Pending)
    };
    Ended {
        followed,
        unfollowed,
        state,
        scene: scene(followed),
        profile,
        due: followed >= unfollowed,
    }
}

fn run(storage: &StorageFixture, conn: &mut Conn, openid: &str, batches: &[&[News]]) -> Ended {
    let stored: Identity = conn
        .transaction(|conn| {
            for batch in batches {
                identity::record_sightings(conn, &[fold(storage, openid, batch)])?;
            }
            identity::by_openid(conn, storage.official, openid)
        })
        .unwrap()
        .unwrap();
    Ended {
        followed: stored.followed_time,
        unfollowed: stored.unfollowed_time,
        state: stored.follow_state,
        scene: stored.qr_scene,
        profile: stored.profile_state,
        due: stored.profile_due_at.is_some(),
    }
}

fn permutations(rest: &[News]) -> Vec<Vec<News>> {
    if rest.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..rest.len() {
        let mut others = rest.to_vec();
        let first = others.remove(first);
        for mut tail in permutations(&others) {
            tail.insert(0, first);
            all.push(tail);
        }
    }
    all
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        4 => (1..6_i64).prop_map(News::Follow),
        4 => (1..6_i64).prop_map(News::Unfollow),
        1 => Just(News::Message),
    ]
}

both_engines! {
    every_order_of_follow_unfollow_follow_ends_the_same,
    any_story_in_any_batches_ends_as_the_model_says,
    news_wakes_the_profile_and_repetition_does_not,
    who_is_thought_to_follow_is_asked_about_once,
}

async fn every_order_of_follow_unfollow_follow_ends_the_same(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let stories = [
        vec![
            News::Follow(1),
            News::Unfollow(2),
            News::Follow(3),
            News::Follow(3),
            News::Unfollow(2),
        ],
        vec![
            News::Follow(1),
            News::Unfollow(2),
            News::Follow(2),
            News::Message,
        ],
        vec![
            News::Follow(1),
            News::Unfollow(3),
            News::Follow(2),
            News::Message,
        ],
    ];
    let mut number = 0;
    for story in stories {
        for order in permutations(&story) {
            number += 1;
            let singly: Vec<&[News]> = order.chunks(1).collect();
            let ended = run(&storage, conn, &format!("o{number}"), &singly);
            assert_eq!(ended, model(&story), "{order:?}");
        }
    }
}

async fn any_story_in_any_batches_ends_as_the_model_says(storage: StorageFixture) {
    let (conn, number) = (RefCell::new(storage.conn()), Cell::new(0));
    let stories = proptest::collection::vec(proptest::collection::vec(news(), 1..5), 1..6);
    let mut runner = TestRunner::new(Config::with_cases(200));
    runner
        .run(&stories, |batches| {
            number.set(number.get() + 1);
            let openid = format!("o{}", number.get());
            let all: Vec<News> = batches.concat();
            let slices: Vec<&[News]> = batches.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(
                run(&storage, &mut conn.borrow_mut(), &openid, &slices),
                model(&all)
            );
            Ok(())
        })
        .unwrap();
}

async fn news_wakes_the_profile_and_repetition_does_not(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    delay(conn, follower.id, 3, Some(at(900))).unwrap();
    let repeated = storage.seen(conn, storage.official, "o1", 100, 50);
    assert_eq!(
        (repeated.unfollowed_time, repeated.profile_attempts),
        (50, 0),
        "an unfollow of long ago is news"
    );
    delay(conn, follower.id, 3, Some(at(900))).unwrap();
    let before = again(conn, &follower);
    let repeated = storage.seen(conn, storage.official, "o1", 100, 50);
    assert_eq!(
        (repeated.profile_attempts, repeated.profile_due_at),
        (3, Some(at(900)))
    );
    assert_eq!(repeated.updated_at, before.updated_at);
    let back = storage.seen(conn, storage.official, "o1", 300, 200);
    assert_eq!(
        (back.profile_attempts, back.profile_due_at),
        (0, Some(at(0)))
    );
    assert_eq!(
        (back.profile_error, back.follow_state),
        (None, FollowState::Following)
    );
}

async fn who_is_thought_to_follow_is_asked_about_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    link(conn, &follower, "u1");
    storage.seen(conn, storage.official, "o2", 100, 0);
    let gone = storage.seen(conn, storage.official, "o2", 0, 200);
    assert_eq!(gone.profile_state, ProfileState::NotFollowing);
    let unheard_of = storage.seen(conn, storage.official, "o3", 0, 0);
    let mini = storage.seen(conn, storage.mini, "m1", 0, 0);
    delay(conn, mini.id, 0, None).unwrap();
    let all = [follower.id, gone.id, unheard_of.id, mini.id];
    let mut thought = identity::thought_to_follow(conn, &all).unwrap();
    thought.sort_unstable_by_key(|one| one.id);
    let thought: Vec<_> = thought
        .iter()
        .map(|one| (one.id, one.followed_time))
        .collect();
    assert_eq!(
        thought,
        [(follower.id, 100), (unheard_of.id, 0)],
        "nobody follows a mini-program"
    );
    assert_eq!(
        identity::ask_about(conn, &all, at(7)).unwrap(),
        2,
        "one is due already"
    );
    assert_eq!(identity::ask_about(conn, &all, at(8)).unwrap(), 0);
    let (follower, gone) = (again(conn, &follower), again(conn, &gone));
    assert_eq!(
        (follower.profile_due_at, follower.profile_state),
        (Some(at(7)), ProfileState::Complete)
    );
    assert_eq!(
        (follower.follow_state, follower.unfollowed_time),
        (FollowState::Following, 0),
        "nothing counts yet"
    );
    assert_eq!(
        (gone.profile_due_at, gone.profile_state),
        (Some(at(7)), ProfileState::Pending)
    );
    assert_eq!(again(conn, &unheard_of).profile_due_at, Some(at(0)));
    assert_eq!(again(conn, &mini).profile_due_at, None);
}
