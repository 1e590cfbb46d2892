//! Answers about profiles: what they complete, what they fail at, and news that overtakes them.

use queqiao::db::Conn;
use queqiao::models::identity::{self, Delay, Fetched, FollowState, Identity, ProfileState};

use super::super::fixture::{StorageFixture, again, at, delay, fetched, link};

fn apply(storage: &StorageFixture, conn: &mut Conn, row: Fetched) -> Identity {
    let id = row.id;
    identity::apply(conn, &[row]).unwrap();
    identity::by_id(conn, storage.project, id).unwrap().unwrap()
}

both_engines! {
    an_answer_completes_the_profile,
    without_a_unionid_the_state_says_why_and_when_again,
    not_subscribed_means_not_following_until_a_newer_follow,
    news_that_came_since_the_question_wins,
    a_tie_within_a_second_is_decided_by_wechat,
    a_failure_is_kept_with_its_reason,
    an_answer_in_doubt_does_not_count_unless_it_is_overtaken,
}

async fn an_answer_completes_the_profile(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    let full = Fetched {
        subscribe_time: 150,
        subscribe_scene: Some("ADD_SCENE_QR_CODE".to_owned()),
        qr_scene: Some("it's".to_owned()),
        language: Some("zh_CN".to_owned()),
        remark: Some("\"A\"".to_owned()),
        tag_ids: Some("[1,2]".to_owned()),
        ..fetched(&follower, Some("u1"))
    };
    let stored = apply(&storage, conn, full);
    assert_eq!(
        (stored.profile_state, stored.unionid.as_deref()),
        (ProfileState::Complete, Some("u1"))
    );
    assert_eq!(
        (
            stored.followed_time,
            stored.profile_due_at,
            stored.profile_fetched_at
        ),
        (150, None, Some(at(1)))
    );
    assert_eq!(
        (
            stored.qr_scene.as_deref(),
            stored.remark.as_deref(),
            stored.tag_ids.as_deref()
        ),
        (Some("it's"), Some("\"A\""), Some("[1,2]"))
    );
    // The next answer is poorer: what is known stays, and no unionid is ever erased.
    let poorer = apply(
        &storage,
        conn,
        Fetched {
            due_at: Some(at(50)),
            attempts: 2,
            ..fetched(&stored, None)
        },
    );
    assert_eq!(
        (
            poorer.profile_state,
            poorer.unionid.as_deref(),
            poorer.language.as_deref()
        ),
        (ProfileState::Complete, Some("u1"), Some("zh_CN"))
    );
    let moved = apply(&storage, conn, fetched(&poorer, Some("u2")));
    assert_eq!(
        moved.unionid.as_deref(),
        Some("u2"),
        "the account moved to another Open Platform account"
    );
}

async fn without_a_unionid_the_state_says_why_and_when_again(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    let stored = apply(
        &storage,
        conn,
        Fetched {
            due_at: Some(at(50)),
            attempts: 1,
            ..fetched(&follower, None)
        },
    );
    assert_eq!(
        (
            stored.profile_state,
            stored.profile_due_at,
            stored.profile_attempts
        ),
        (ProfileState::NotBoundToOpenPlatform, Some(at(50)), 1)
    );
}

async fn not_subscribed_means_not_following_until_a_newer_follow(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    link(conn, &follower, "u1");
    let gone = Fetched {
        subscribe: false,
        subscribe_time: 0,
        profile_state: ProfileState::NotFollowing,
        ..fetched(&follower, None)
    };
    let gone = apply(&storage, conn, gone);
    assert_eq!(
        (
            gone.follow_state,
            gone.unfollowed_time,
            gone.unionid.as_deref()
        ),
        (FollowState::NotFollowing, 100, Some("u1"))
    );
    assert_eq!(
        storage
            .seen(conn, storage.official, "o1", 100, 0)
            .follow_state,
        FollowState::NotFollowing
    );
    assert_eq!(
        storage
            .seen(conn, storage.official, "o1", 101, 0)
            .follow_state,
        FollowState::Following
    );
    let unheard_of = storage.seen(conn, storage.official, "o2", 0, 0);
    let gone = apply(
        &storage,
        conn,
        Fetched {
            subscribe: false,
            profile_state: ProfileState::NotFollowing,
            ..fetched(&unheard_of, None)
        },
    );
    assert_eq!(
        (gone.follow_state, gone.unfollowed_time),
        (FollowState::NotFollowing, 1)
    );
}

async fn news_that_came_since_the_question_wins(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let asked = storage.follower(conn, "o1");
    identity::claim_due(conn, storage.official, at(0), at(60), 1).unwrap();
    let left = storage.seen(conn, storage.official, "o1", 0, 200);
    assert_eq!(left.profile_due_at, None);
    let stored = apply(
        &storage,
        conn,
        Fetched {
            due_at: Some(at(500)),
            ..fetched(&asked, Some("u1"))
        },
    );
    assert_eq!(
        (
            stored.follow_state,
            stored.followed_time,
            stored.unfollowed_time
        ),
        (FollowState::NotFollowing, 100, 200)
    );
    assert_eq!(
        (stored.unionid.as_deref(), stored.profile_due_at),
        (Some("u1"), None),
        "who they are is true all the same"
    );

    let asked = storage.seen(conn, storage.official, "o2", 0, 200);
    storage.seen(conn, storage.official, "o2", 300, 0);
    let stored = apply(
        &storage,
        conn,
        Fetched {
            subscribe: false,
            profile_state: ProfileState::NotFollowing,
            ..fetched(&asked, None)
        },
    );
    assert_eq!(
        (stored.follow_state, stored.profile_state),
        (FollowState::Following, ProfileState::Pending)
    );
    assert_eq!(stored.profile_due_at, Some(at(0)), "asked again");
}

async fn a_tie_within_a_second_is_decided_by_wechat(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let tie = storage.seen(conn, storage.official, "o1", 100, 100);
    assert_eq!(
        (tie.follow_state, tie.profile_due_at),
        (FollowState::NotFollowing, Some(at(0)))
    );
    let stays = apply(&storage, conn, fetched(&tie, Some("u1")));
    assert_eq!(stays.follow_state, FollowState::Following);
    assert!(stays.followed_time > stays.unfollowed_time);
    let tie = storage.seen(conn, storage.official, "o2", 100, 100);
    let left = apply(
        &storage,
        conn,
        Fetched {
            subscribe: false,
            profile_state: ProfileState::NotFollowing,
            ..fetched(&tie, None)
        },
    );
    assert_eq!(left.follow_state, FollowState::NotFollowing);
    assert_eq!(
        storage
            .seen(conn, storage.official, "o1", 0, 102)
            .follow_state,
        FollowState::NotFollowing
    );
}

async fn a_failure_is_kept_with_its_reason(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (known, new) = (storage.follower(conn, "o1"), storage.follower(conn, "o2"));
    link(conn, &known, "u1");
    let late = |one: &Identity, attempts| Delay {
        id: one.id,
        was_followed: one.followed_time,
        was_unfollowed: one.unfollowed_time,
        is_unknown: true,
        attempts,
        doubts: None,
        due_at: None,
        alone: one.id == new.id,
    };
    let delays = [late(&known, 4), late(&new, 1)];
    identity::delay(conn, &delays, "it's \"unknown\"", at(3)).unwrap();
    let (known, new) = (again(conn, &known), again(conn, &new));
    assert_eq!(
        (known.profile_state, known.profile_attempts),
        (ProfileState::Complete, 4)
    );
    assert_eq!(
        (new.profile_state, new.profile_due_at),
        (ProfileState::UnknownOpenid, None)
    );
    assert_eq!(new.profile_error.as_deref(), Some("it's \"unknown\""));
    delay(conn, new.id, 2, Some(at(9))).unwrap();
    delay(conn, known.id, 5, Some(at(9))).unwrap();
    let stays = again(conn, &new);
    assert_eq!(
        (stays.profile_state, stays.profile_due_at),
        (ProfileState::UnknownOpenid, Some(at(9))),
        "nothing else was said of them"
    );
    let mut claimed = identity::claim_due(conn, storage.official, at(9), at(60), 9).unwrap();
    claimed.sort_by_key(|one| one.id);
    let alone: Vec<bool> = claimed.iter().map(|one| one.profile_alone).collect();
    assert_eq!(alone, [false, true], "who spoils an answer stays alone");
    apply(&storage, conn, fetched(&new, Some("u2")));
    delay(conn, new.id, 0, Some(at(70))).unwrap();
    let claimed = identity::claim_due(conn, storage.official, at(70), at(80), 9).unwrap();
    assert!(
        claimed.iter().all(|one| !one.profile_alone),
        "until an answer came"
    );
}

async fn an_answer_in_doubt_does_not_count_unless_it_is_overtaken(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let follower = storage.follower(conn, "o1");
    let doubtful = |asked: &Identity| Fetched {
        subscribe: false,
        doubts: 1,
        error: Some("in doubt"),
        due_at: Some(at(6)),
        profile_state: ProfileState::Pending,
        ..fetched(asked, None)
    };
    let stored = apply(&storage, conn, doubtful(&follower));
    assert_eq!(
        (stored.follow_state, stored.unfollowed_time),
        (FollowState::Following, 0)
    );
    assert_eq!(
        (stored.profile_state, stored.profile_due_at),
        (ProfileState::Pending, Some(at(6)))
    );
    assert_eq!(stored.profile_error.as_deref(), Some("in doubt"));
    let claimed = identity::claim_due(conn, storage.official, at(6), at(60), 9).unwrap();
    assert_eq!(claimed[0].profile_doubts, 1);
    // They follow again while the second question is on its way.
    storage.seen(conn, storage.official, "o1", 300, 200);
    let stored = apply(
        &storage,
        conn,
        Fetched {
            doubts: 2,
            ..doubtful(&follower)
        },
    );
    assert_eq!(
        (
            stored.followed_time,
            stored.profile_due_at,
            stored.profile_error
        ),
        (300, Some(at(0)), None)
    );
    let claimed = identity::claim_due(conn, storage.official, at(1), at(60), 9).unwrap();
    assert_eq!(
        claimed[0].profile_doubts, 0,
        "the new follow is asked about from the beginning"
    );
}
