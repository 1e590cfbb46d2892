//! The profile queue: claims, logins, and events that are stored while answers are.

mod answers;

use std::sync::Barrier;

use chrono::TimeDelta;
use diesel::Connection as _;
use queqiao::db::{Conn, Engine};
use queqiao::ids::{AccountId, ProjectId};
use queqiao::models::identity::{
    self, Claimed, Delay, Fetched, FollowState, Login, ProfileState, Sighting,
};

use super::fixture::{StorageFixture, at, fetched, sighting};
use crate::support::{Fixture as _, postgres};

fn due(storage: &StorageFixture, account: AccountId, count: i64) {
    let rows: Vec<Sighting> = (0..count)
        .map(|number| Sighting {
            followed_time: 1,
            // The last one is due first.
            profile_due_at: Some(at(count - number)),
            ..sighting(
                storage.project_of(account),
                account,
                &format!("o{number:04}"),
            )
        })
        .collect();
    identity::record_sightings(&mut storage.conn(), &rows).unwrap();
}

fn openids(mut claimed: Vec<Claimed>) -> Vec<String> {
    claimed.sort_by_key(|claimed| claimed.id);
    claimed.into_iter().map(|claimed| claimed.openid).collect()
}

fn login(at_app: (ProjectId, AccountId), unionid: Option<&str>) -> Login<'_> {
    Login {
        project_id: at_app.0,
        account_id: at_app.1,
        openid: "m1",
        unionid,
        follow_state: FollowState::Unknown,
        followed_time: 0,
        unfollowed_time: 0,
        profile_state: match unionid {
            Some(_) => ProfileState::Complete,
            None => ProfileState::NotBoundToOpenPlatform,
        },
        profile_attempts: 0,
        profile_fetched_at: at(5),
        created_at: at(5),
        updated_at: at(5),
    }
}

both_engines! {
    a_long_queue_does_not_hide_other_accounts,
    a_claim_is_a_lease_of_those_due_longest,
    two_claimers_have_different_profiles,
    a_login_makes_an_identity_or_knows_it_again,
    logins_at_the_same_time_make_one_identity,
}

async fn a_long_queue_does_not_hide_other_accounts(storage: StorageFixture) {
    due(&storage, storage.official, 30);
    due(&storage, storage.second, 30);
    due(&storage, storage.foreign, 2);
    let conn = &mut storage.conn();
    let mut found = identity::due_accounts(conn, at(25), 10).unwrap();
    found.sort_by_key(|due| due.account_id);
    let found: Vec<_> = found
        .iter()
        .map(|due| (due.account_id, due.waiting, due.oldest))
        .collect();
    assert_eq!(
        found,
        [
            (storage.official, 10, at(1)),
            (storage.second, 10, at(1)),
            (storage.foreign, 2, at(1)),
        ]
    );
    assert!(
        identity::due_accounts(conn, at(0), 10).unwrap().is_empty(),
        "not due yet"
    );
}

async fn a_claim_is_a_lease_of_those_due_longest(storage: StorageFixture) {
    due(&storage, storage.official, 6);
    due(&storage, storage.second, 6);
    let conn = &mut storage.conn();
    let lease = at(3) + TimeDelta::seconds(60);
    let mut claim = |now, limit| {
        openids(identity::claim_due(conn, storage.official, now, lease, limit).unwrap())
    };
    assert_eq!(claim(at(3), 2), ["o0004", "o0005"]);
    assert_eq!(claim(at(3), 2), ["o0003"], "leased, or not due yet");
    assert_eq!(claim(at(3), 2), [""; 0]);
    assert_eq!(claim(at(10), 0), [""; 0]);
    assert_eq!(claim(at(10), 10), ["o0000", "o0001", "o0002"]);
    assert_eq!(claim(lease, 10).len(), 6, "the lease has run out");
}

async fn two_claimers_have_different_profiles(storage: StorageFixture) {
    due(&storage, storage.official, 20);
    let take = |conn: &mut Conn| identity::claim_due(conn, storage.official, at(100), at(160), 10);
    let (first, second) = storage.overlapping(take, take);
    assert_eq!((first.len(), second.len()), (10, 10));
    let mut all = openids(first.into_iter().chain(second).collect());
    all.dedup();
    assert_eq!(all.len(), 20);
}

async fn a_login_makes_an_identity_or_knows_it_again(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let app = (storage.project, storage.mini);
    let first = identity::log_in(conn, &login(app, None)).unwrap();
    assert_eq!(
        (first.profile_state, first.unionid.as_deref()),
        (ProfileState::NotBoundToOpenPlatform, None)
    );
    let bound = identity::log_in(conn, &login(app, Some("u1"))).unwrap();
    assert_eq!(
        (bound.id, bound.profile_state, bound.unionid.as_deref()),
        (first.id, ProfileState::Complete, Some("u1"))
    );
    let later = Login {
        profile_fetched_at: at(9),
        updated_at: at(9),
        created_at: at(9),
        ..login(app, None)
    };
    let unbound = identity::log_in(conn, &later).unwrap();
    assert_eq!(
        (
            unbound.id,
            unbound.profile_state,
            unbound.unionid.as_deref()
        ),
        (first.id, ProfileState::Complete, Some("u1"))
    );
    assert_eq!(
        (unbound.created_at, unbound.profile_fetched_at),
        (at(5), Some(at(9)))
    );
}

async fn logins_at_the_same_time_make_one_identity(storage: StorageFixture) {
    let (storage, mut tasks) = (std::sync::Arc::new(storage), Vec::new());
    for number in 0..8 {
        let storage = std::sync::Arc::clone(&storage);
        tasks.push(tokio::spawn(async move {
            let app = (storage.project, storage.mini);
            storage
                .write(move |conn| {
                    identity::log_in(conn, &login(app, (number == 3).then_some("u1")))
                })
                .await
                .id
        }));
    }
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap());
    }
    made.dedup();
    assert_eq!(made.len(), 1);
    let stored = identity::by_openid(&mut storage.conn(), storage.mini, "m1")
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.unionid.as_deref(), stored.profile_state),
        (Some("u1"), ProfileState::Complete)
    );
}

/// Events store people in the order of their openids' bytes, answers come in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_crosswise_for_people() {
    const ROUNDS: usize = 60;
    if !postgres::is_there() {
        return;
    }
    let storage = StorageFixture::on(Engine::Postgres).await;
    // Ids run against the openids, and a dictionary sorts these in another way than their bytes.
    let mut openids: Vec<String> = (0..12).map(|number| format!("oA{number:02}")).collect();
    openids.extend((0..12).map(|number| format!("oa{number:02}")));
    let mut ids = Vec::new();
    for openid in openids.iter().rev() {
        let conn = &mut storage.conn();
        ids.push(storage.follower(conn, openid));
    }
    let seen: Vec<Sighting> = openids
        .iter()
        .map(|openid| sighting(storage.project, storage.official, openid))
        .collect();
    let barrier = Barrier::new(2);
    let rounds = |work: &(dyn Fn(&mut Conn) -> queqiao::db::QueryResult<usize> + Sync)| {
        let mut conn = storage.conn();
        let mut failed = Vec::new();
        for _ in 0..ROUNDS {
            barrier.wait();
            if let Err(error) = conn.transaction(|conn| work(conn)) {
                failed.push(error);
            }
        }
        failed
    };
    let delays: Vec<Delay> = ids
        .iter()
        .map(|one| Delay {
            id: one.id,
            was_followed: one.followed_time,
            was_unfollowed: one.unfollowed_time,
            is_unknown: false,
            attempts: 1,
            doubts: None,
            due_at: None,
            alone: false,
        })
        .collect();
    let answers: Vec<Fetched> = ids.iter().map(|one| fetched(one, Some("u1"))).collect();
    let events = |conn: &mut Conn| identity::record_sightings(conn, &seen);
    let fetches = |conn: &mut Conn| {
        identity::delay(conn, &delays, "busy", at(9))?;
        Ok(identity::apply(conn, &answers)?.len())
    };
    let failed = std::thread::scope(|scope| {
        let other = scope.spawn(|| rounds(&fetches));
        let mut failed = rounds(&events);
        failed.extend(other.join().unwrap());
        failed
    });
    assert!(failed.is_empty(), "{failed:?}");
}
