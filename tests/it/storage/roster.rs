//! The follower list against what is stored: who is new, who is gone.

use std::sync::Barrier;

use diesel::Connection as _;
use queqiao::db::{Conn, Engine};
use queqiao::ids::{IdentityId, ImportId};
use queqiao::models::identity::{self, FollowState, Listed, ProfileState};
use queqiao::models::import;

use super::fixture::{StorageFixture, again, at, fetched, link, sighting};
use crate::support::{Fixture as _, postgres};

fn try_list(
    storage: &StorageFixture,
    conn: &mut Conn,
    import_id: ImportId,
    openids: &[&str],
) -> queqiao::db::QueryResult<usize> {
    let rows: Vec<Listed<'_>> = openids
        .iter()
        .map(|openid| Listed {
            project_id: storage.project,
            account_id: storage.official,
            openid,
            import_id,
            refresh_at: None,
            now: at(10),
        })
        .collect();
    identity::list_followers(conn, &rows)
}

fn list(storage: &StorageFixture, conn: &mut Conn, import_id: ImportId, openids: &[&str]) -> usize {
    try_list(storage, conn, import_id, openids).unwrap()
}

fn start(storage: &StorageFixture, conn: &mut Conn, reconcile: bool) -> ImportId {
    import::start(conn, storage.official, reconcile, false, at(0))
        .unwrap()
        .id
}

fn state(storage: &StorageFixture, conn: &mut Conn, openid: &str) -> FollowState {
    let found = identity::by_openid(conn, storage.official, openid);
    found.unwrap().unwrap().follow_state
}

/// Whom to ask about after the walk, which began in second 1000.
fn unlisted(storage: &StorageFixture, conn: &mut Conn, import: ImportId) -> Vec<String> {
    let whose = (storage.project, storage.official);
    let all = identity::unlisted(conn, whose, import, 1_000, IdentityId(0), 10).unwrap();
    for (number, one) in all.iter().enumerate() {
        let after = identity::unlisted(conn, whose, import, 1_000, one.id, 1).unwrap();
        let next = all.get(number + 1).map(|next| next.id);
        assert_eq!(after.first().map(|after| after.id), next);
    }
    all.into_iter().map(|one| one.openid).collect()
}

both_engines! {
    a_listed_follower_is_stored_once_and_profiled,
    one_who_is_listed_and_thought_gone_is_asked_about,
    who_is_not_on_the_list_is_asked_about_but_not_who_came_meanwhile,
    only_a_follow_of_which_no_profile_told_is_behind_for_all_we_know,
    a_later_walk_asks_about_those_an_earlier_one_found,
    two_walks_at_once_take_no_follower_for_gone,
    a_step_whose_lease_was_taken_changes_nothing,
}

async fn a_listed_follower_is_stored_once_and_profiled(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let known = storage.follower(conn, "known");
    link(conn, &known, "u1");
    let import = start(&storage, conn, true);
    assert_eq!(list(&storage, conn, import, &["known", "new"]), 1);
    assert_eq!(
        list(&storage, conn, import, &["known", "new"]),
        0,
        "the page is walked again"
    );
    let new = identity::by_openid(conn, storage.official, "new")
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            new.follow_state,
            new.followed_time,
            new.profile_state,
            new.profile_due_at
        ),
        (
            FollowState::Following,
            1,
            ProfileState::Pending,
            Some(at(10))
        )
    );
    assert_eq!(
        again(conn, &known).profile_due_at,
        None,
        "nothing to ask about"
    );
    assert_eq!(
        storage
            .seen(conn, storage.official, "new", 50, 0)
            .followed_time,
        50,
        "any event is newer"
    );
    assert_eq!(list(&storage, conn, import, &[]), 0);
}

async fn one_who_is_listed_and_thought_gone_is_asked_about(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let gone = storage.seen(conn, storage.official, "gone", 100, 200);
    let elsewhere = storage.seen(conn, storage.second, "gone", 100, 200);
    let import = start(&storage, conn, true);
    list(&storage, conn, import, &["gone"]);
    let listed = again(conn, &gone);
    assert_eq!(
        (listed.follow_state, listed.profile_due_at),
        (FollowState::NotFollowing, Some(at(10)))
    );
    assert_eq!(again(conn, &elsewhere).updated_at, elsewhere.updated_at);
}

async fn who_is_not_on_the_list_is_asked_about_but_not_who_came_meanwhile(storage: StorageFixture) {
    let conn = &mut storage.conn();
    for openid in ["gone", "stays", "unknown"] {
        storage.follower(conn, openid);
    }
    storage.seen(conn, storage.official, "left", 100, 200);
    let other_account = storage.seen(conn, storage.second, "gone", 100, 0);
    let import = start(&storage, conn, true);
    list(&storage, conn, import, &["stays"]);
    storage.seen(conn, storage.official, "came", 1_000, 0);
    assert_eq!(unlisted(&storage, conn, import), ["gone", "unknown"]);
    let id = |conn: &mut Conn, openid| {
        identity::by_openid(conn, storage.official, openid)
            .unwrap()
            .unwrap()
            .id
    };
    let ids = [id(conn, "unknown"), id(conn, "came")];
    assert_eq!(identity::mark_gone(conn, &ids, 1_000, at(20)).unwrap(), 1);
    assert_eq!(
        identity::mark_gone(conn, &ids, 1_000, at(20)).unwrap(),
        0,
        "nobody is gone twice"
    );
    assert_eq!(state(&storage, conn, "unknown"), FollowState::NotFollowing);
    assert_eq!(state(&storage, conn, "came"), FollowState::Following);
    assert_eq!(
        again(conn, &other_account).follow_state,
        FollowState::Following
    );
    let back = storage.seen(conn, storage.official, "unknown", 101, 0);
    assert_eq!(
        back.follow_state,
        FollowState::Following,
        "a newer follow undoes it"
    );
}

async fn only_a_follow_of_which_no_profile_told_is_behind_for_all_we_know(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let told = storage.follower(conn, "told");
    identity::apply(conn, &[fetched(&told, Some("u1"))]).unwrap();
    storage.follower(conn, "untold");
    let import = start(&storage, conn, true);
    let whose = (storage.project, storage.official);
    let found = identity::unlisted(conn, whose, import, 1_000, IdentityId(0), 10).unwrap();
    let doubts: Vec<i32> = found.iter().map(|one| one.profile_doubts).collect();
    assert_eq!(doubts, [i32::MAX, 0]);
}

async fn a_later_walk_asks_about_those_an_earlier_one_found(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let earlier = start(&storage, conn, false);
    list(&storage, conn, earlier, &["o1", "o2"]);
    let later = start(&storage, conn, true);
    list(&storage, conn, later, &["o2"]);
    assert_eq!(unlisted(&storage, conn, later), ["o1"]);
}

async fn two_walks_at_once_take_no_follower_for_gone(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let first = start(&storage, conn, true);
    let second = start(&storage, conn, false);
    assert_ne!(first, second);
    list(&storage, conn, first, &["o1", "o2"]);
    list(&storage, conn, second, &["o1"]);
    assert!(
        unlisted(&storage, conn, first).is_empty(),
        "the second has its mark on o1"
    );
    list(&storage, conn, first, &["o1"]);
    assert_eq!(
        unlisted(&storage, conn, second),
        ["o2"],
        "o1 keeps the later mark"
    );
}

async fn a_step_whose_lease_was_taken_changes_nothing(storage: StorageFixture) {
    let conn = &mut storage.conn();
    start(&storage, conn, false);
    let slow = import::claim_due(conn, None, at(0), at(10))
        .unwrap()
        .unwrap();
    let quick = import::claim_due(conn, None, at(10), at(20))
        .unwrap()
        .unwrap();
    let mut progress = quick.progress();
    progress.collected = 7;
    assert!(!import::advance(conn, &slow, &slow.progress()).unwrap());
    assert!(import::advance(conn, &quick, &progress).unwrap());
    assert_eq!(import::by_id(conn, quick.id).unwrap().unwrap().collected, 7);
}

/// A page of the list stores who is new and marks who is known; events meet both kinds in one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_crosswise_for_who_is_new_and_who_is_known() {
    const ROUNDS: usize = 40;
    if !postgres::is_there() {
        return;
    }
    let storage = StorageFixture::on(Engine::Postgres).await;
    let known: Vec<String> = (0..12).map(|number| format!("o{number:02}")).collect();
    let import = {
        let conn = &mut storage.conn();
        for openid in &known {
            storage.follower(conn, openid);
        }
        start(&storage, conn, true)
    };
    // Between every two who are known is somebody who is new in that round.
    let people = |round: usize| -> Vec<String> {
        let new = known.iter().map(|openid| format!("{openid}new{round}"));
        let mut all: Vec<String> = known.iter().cloned().chain(new).collect();
        all.sort_unstable();
        all
    };
    let barrier = Barrier::new(2);
    let rounds =
        |work: &(dyn Fn(&mut Conn, &[String]) -> queqiao::db::QueryResult<usize> + Sync)| {
            let mut conn = storage.conn();
            let mut failed = Vec::new();
            for round in 0..ROUNDS {
                let openids = people(round);
                barrier.wait();
                if let Err(error) = conn.transaction(|conn| work(conn, &openids)) {
                    failed.push(error);
                }
            }
            failed
        };
    let events = |conn: &mut Conn, openids: &[String]| {
        let seen = openids.iter();
        let seen = seen.map(|openid| sighting(storage.project, storage.official, openid));
        identity::record_sightings(conn, &seen.collect::<Vec<_>>())
    };
    let pages = |conn: &mut Conn, openids: &[String]| {
        let openids: Vec<&str> = openids.iter().map(String::as_str).collect();
        try_list(&storage, conn, import, &openids)
    };
    let failed = std::thread::scope(|scope| {
        let other = scope.spawn(|| rounds(&pages));
        let mut failed = rounds(&events);
        failed.extend(other.join().unwrap());
        failed
    });
    assert!(failed.is_empty(), "{failed:?}");
}
