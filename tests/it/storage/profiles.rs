//! The profile queue: claims, answers that meet news, logins.

use std::sync::Barrier;

use chrono::TimeDelta;
use diesel::Connection as _;
use queqiao::db::{Conn, Engine};
use queqiao::ids::{AccountId, ProjectId};
use queqiao::models::identity::{
    self, Claimed, Delay, Fetched, FollowState, Identity, Login, ProfileState, Sighting,
};

use super::ground::{Ground, again, at, delay, fetched, link, sighting};
use crate::support::{Fixture as _, postgres};

fn due(ground: &Ground, account: AccountId, count: i64) {
    let rows: Vec<Sighting> = (0..count)
        .map(|number| Sighting {
            followed_time: 1,
            // The last one is due first.
            profile_due_at: Some(at(count - number)),
            ..sighting(
                ground.project_of(account),
                account,
                &format!("o{number:04}"),
            )
        })
        .collect();
    identity::record_sightings(&mut ground.conn(), &rows).unwrap();
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

fn apply(ground: &Ground, conn: &mut Conn, row: Fetched) -> Identity {
    let id = row.id;
    identity::apply(conn, &[row]).unwrap();
    identity::by_id(conn, ground.project, id).unwrap().unwrap()
}

both_engines! {
    async fn a_long_queue_does_not_hide_other_accounts(ground: Ground) {
        due(&ground, ground.official, 30);
        due(&ground, ground.second, 30);
        due(&ground, ground.foreign, 2);
        let conn = &mut ground.conn();
        let mut found = identity::due_accounts(conn, at(25), 10).unwrap();
        found.sort_by_key(|due| due.account_id);
        let found: Vec<_> = found.iter().map(|due| (due.account_id, due.waiting, due.oldest)).collect();
        assert_eq!(found, [
            (ground.official, 10, at(1)), (ground.second, 10, at(1)), (ground.foreign, 2, at(1)),
        ]);
        assert!(identity::due_accounts(conn, at(0), 10).unwrap().is_empty(), "not due yet");
    }

    async fn a_claim_is_a_lease_of_those_due_longest(ground: Ground) {
        due(&ground, ground.official, 6);
        due(&ground, ground.second, 6);
        let conn = &mut ground.conn();
        let lease = at(3) + TimeDelta::seconds(60);
        let mut claim = |now, limit| openids(identity::claim_due(conn, ground.official, now, lease, limit).unwrap());
        assert_eq!(claim(at(3), 2), ["o0004", "o0005"]);
        assert_eq!(claim(at(3), 2), ["o0003"], "leased, or not due yet");
        assert_eq!(claim(at(3), 2), [""; 0]);
        assert_eq!(claim(at(10), 0), [""; 0]);
        assert_eq!(claim(at(10), 10), ["o0000", "o0001", "o0002"]);
        assert_eq!(claim(lease, 10).len(), 6, "the lease has run out");
    }

    async fn two_claimers_have_different_profiles(ground: Ground) {
        due(&ground, ground.official, 20);
        let take = |conn: &mut Conn| identity::claim_due(conn, ground.official, at(100), at(160), 10);
        let (first, second) = ground.overlapping(take, take);
        assert_eq!((first.len(), second.len()), (10, 10));
        let mut all = openids(first.into_iter().chain(second).collect());
        all.dedup();
        assert_eq!(all.len(), 20);
    }

    async fn an_answer_completes_the_profile(ground: Ground) {
        let conn = &mut ground.conn();
        let follower = ground.follower(conn, "o1");
        let full = Fetched {
            subscribe_time: 150,
            subscribe_scene: Some("ADD_SCENE_QR_CODE".to_owned()),
            qr_scene: Some("it's".to_owned()),
            language: Some("zh_CN".to_owned()),
            remark: Some("\"A\"".to_owned()),
            tag_ids: Some("[1,2]".to_owned()),
            ..fetched(&follower, Some("u1"))
        };
        let stored = apply(&ground, conn, full);
        assert_eq!((stored.profile_state, stored.unionid.as_deref()), (ProfileState::Complete, Some("u1")));
        assert_eq!((stored.followed_time, stored.profile_due_at, stored.profile_fetched_at), (150, None, Some(at(1))));
        assert_eq!((stored.qr_scene.as_deref(), stored.remark.as_deref(), stored.tag_ids.as_deref()), (Some("it's"), Some("\"A\""), Some("[1,2]")));
        // The next answer is poorer: what is known stays, and no unionid is ever erased.
        let poorer = apply(&ground, conn, Fetched { due_at: Some(at(50)), attempts: 2, ..fetched(&stored, None) });
        assert_eq!((poorer.profile_state, poorer.unionid.as_deref(), poorer.language.as_deref()), (ProfileState::Complete, Some("u1"), Some("zh_CN")));
        let moved = apply(&ground, conn, fetched(&poorer, Some("u2")));
        assert_eq!(moved.unionid.as_deref(), Some("u2"), "the account moved to another Open Platform account");
    }

    async fn without_a_unionid_the_state_says_why_and_when_again(ground: Ground) {
        let conn = &mut ground.conn();
        let follower = ground.follower(conn, "o1");
        let stored = apply(&ground, conn, Fetched { due_at: Some(at(50)), attempts: 1, ..fetched(&follower, None) });
        assert_eq!((stored.profile_state, stored.profile_due_at, stored.profile_attempts), (ProfileState::NotBoundToOpenPlatform, Some(at(50)), 1));
    }

    async fn not_subscribed_means_not_following_until_a_newer_follow(ground: Ground) {
        let conn = &mut ground.conn();
        let follower = ground.follower(conn, "o1");
        link(conn, &follower, "u1");
        let gone = Fetched { subscribe: false, subscribe_time: 0, profile_state: ProfileState::NotFollowing, ..fetched(&follower, None) };
        let gone = apply(&ground, conn, gone);
        assert_eq!((gone.follow_state, gone.unfollowed_time, gone.unionid.as_deref()), (FollowState::NotFollowing, 100, Some("u1")));
        assert_eq!(ground.seen(conn, ground.official, "o1", 100, 0).follow_state, FollowState::NotFollowing);
        assert_eq!(ground.seen(conn, ground.official, "o1", 101, 0).follow_state, FollowState::Following);
        let unheard_of = ground.seen(conn, ground.official, "o2", 0, 0);
        let gone = apply(&ground, conn, Fetched { subscribe: false, profile_state: ProfileState::NotFollowing, ..fetched(&unheard_of, None) });
        assert_eq!((gone.follow_state, gone.unfollowed_time), (FollowState::NotFollowing, 1));
    }

    async fn news_that_came_since_the_question_wins(ground: Ground) {
        let conn = &mut ground.conn();
        let asked = ground.follower(conn, "o1");
        identity::claim_due(conn, ground.official, at(0), at(60), 1).unwrap();
        let left = ground.seen(conn, ground.official, "o1", 0, 200);
        assert_eq!(left.profile_due_at, None);
        let stored = apply(&ground, conn, Fetched { due_at: Some(at(500)), ..fetched(&asked, Some("u1")) });
        assert_eq!((stored.follow_state, stored.followed_time, stored.unfollowed_time), (FollowState::NotFollowing, 100, 200));
        assert_eq!((stored.unionid.as_deref(), stored.profile_due_at), (Some("u1"), None), "who they are is true all the same");

        let asked = ground.seen(conn, ground.official, "o2", 0, 200);
        ground.seen(conn, ground.official, "o2", 300, 0);
        let stored = apply(&ground, conn, Fetched { subscribe: false, profile_state: ProfileState::NotFollowing, ..fetched(&asked, None) });
        assert_eq!((stored.follow_state, stored.profile_state), (FollowState::Following, ProfileState::Pending));
        assert_eq!(stored.profile_due_at, Some(at(0)), "asked again");
    }

    async fn a_tie_within_a_second_is_decided_by_wechat(ground: Ground) {
        let conn = &mut ground.conn();
        let tie = ground.seen(conn, ground.official, "o1", 100, 100);
        assert_eq!((tie.follow_state, tie.profile_due_at), (FollowState::NotFollowing, Some(at(0))));
        let stays = apply(&ground, conn, fetched(&tie, Some("u1")));
        assert_eq!(stays.follow_state, FollowState::Following);
        assert!(stays.followed_time > stays.unfollowed_time);
        let tie = ground.seen(conn, ground.official, "o2", 100, 100);
        let left = apply(&ground, conn, Fetched { subscribe: false, profile_state: ProfileState::NotFollowing, ..fetched(&tie, None) });
        assert_eq!(left.follow_state, FollowState::NotFollowing);
        assert_eq!(ground.seen(conn, ground.official, "o1", 0, 102).follow_state, FollowState::NotFollowing);
    }

    async fn a_failure_is_kept_with_its_reason(ground: Ground) {
        let conn = &mut ground.conn();
        let (known, new) = (ground.follower(conn, "o1"), ground.follower(conn, "o2"));
        link(conn, &known, "u1");
        let late = |one: &Identity, attempts| Delay {
            id: one.id,
            was_followed: one.followed_time,
            was_unfollowed: one.unfollowed_time,
            state: ProfileState::UnknownOpenid,
            attempts,
            doubts: None,
            due_at: None,
            alone: one.id == new.id,
        };
        let delays = [late(&known, 4), late(&new, 1)];
        identity::delay(conn, &delays, "it's \"unknown\"", at(3)).unwrap();
        let (known, new) = (again(conn, &known), again(conn, &new));
        assert_eq!((known.profile_state, known.profile_attempts), (ProfileState::Complete, 4));
        assert_eq!((new.profile_state, new.profile_due_at), (ProfileState::UnknownOpenid, None));
        assert_eq!(new.profile_error.as_deref(), Some("it's \"unknown\""));
        delay(conn, new.id, 2, ProfileState::Pending, Some(at(9))).unwrap();
        delay(conn, known.id, 5, ProfileState::Pending, Some(at(9))).unwrap();
        assert_eq!(again(conn, &new).profile_due_at, Some(at(9)));
        let mut claimed = identity::claim_due(conn, ground.official, at(9), at(60), 9).unwrap();
        claimed.sort_by_key(|one| one.id);
        let alone: Vec<bool> = claimed.iter().map(|one| one.profile_alone).collect();
        assert_eq!(alone, [false, true], "who spoils an answer stays alone");
        apply(&ground, conn, fetched(&new, Some("u2")));
        delay(conn, new.id, 0, ProfileState::Pending, Some(at(70))).unwrap();
        let claimed = identity::claim_due(conn, ground.official, at(70), at(80), 9).unwrap();
        assert!(claimed.iter().all(|one| !one.profile_alone), "until an answer came");
    }

    async fn an_answer_in_doubt_does_not_count_unless_it_is_overtaken(ground: Ground) {
        let conn = &mut ground.conn();
        let follower = ground.follower(conn, "o1");
        let doubtful = |asked: &Identity| Fetched {
            subscribe: false,
            doubts: 1,
            error: Some("in doubt"),
            due_at: Some(at(6)),
            profile_state: ProfileState::Pending,
            ..fetched(asked, None)
        };
        let stored = apply(&ground, conn, doubtful(&follower));
        assert_eq!((stored.follow_state, stored.unfollowed_time), (FollowState::Following, 0));
        assert_eq!((stored.profile_state, stored.profile_due_at), (ProfileState::Pending, Some(at(6))));
        assert_eq!(stored.profile_error.as_deref(), Some("in doubt"));
        let claimed = identity::claim_due(conn, ground.official, at(6), at(60), 9).unwrap();
        assert_eq!(claimed[0].profile_doubts, 1);
        // They follow again while the second question is on its way.
        ground.seen(conn, ground.official, "o1", 300, 200);
        let stored = apply(&ground, conn, Fetched { doubts: 2, ..doubtful(&follower) });
        assert_eq!((stored.followed_time, stored.profile_due_at, stored.profile_error), (300, Some(at(0)), None));
        let claimed = identity::claim_due(conn, ground.official, at(1), at(60), 9).unwrap();
        assert_eq!(claimed[0].profile_doubts, 0, "the new follow is asked about from the beginning");
    }

    async fn a_login_makes_an_identity_or_knows_it_again(ground: Ground) {
        let conn = &mut ground.conn();
        let app = (ground.project, ground.mini);
        let first = identity::log_in(conn, &login(app, None)).unwrap();
        assert_eq!((first.profile_state, first.unionid.as_deref()), (ProfileState::NotBoundToOpenPlatform, None));
        let bound = identity::log_in(conn, &login(app, Some("u1"))).unwrap();
        assert_eq!((bound.id, bound.profile_state, bound.unionid.as_deref()), (first.id, ProfileState::Complete, Some("u1")));
        let later = Login { profile_fetched_at: at(9), updated_at: at(9), created_at: at(9), ..login(app, None) };
        let unbound = identity::log_in(conn, &later).unwrap();
        assert_eq!((unbound.id, unbound.profile_state, unbound.unionid.as_deref()), (first.id, ProfileState::Complete, Some("u1")));
        assert_eq!((unbound.created_at, unbound.profile_fetched_at), (at(5), Some(at(9))));
    }

    async fn logins_at_the_same_time_make_one_identity(ground: Ground) {
        let (ground, mut tasks) = (std::sync::Arc::new(ground), Vec::new());
        for number in 0..8 {
            let ground = std::sync::Arc::clone(&ground);
            tasks.push(tokio::spawn(async move {
                let app = (ground.project, ground.mini);
                ground.write(move |conn| {
                    identity::log_in(conn, &login(app, (number == 3).then_some("u1")))
                }).await.id
            }));
        }
        let mut made = Vec::new();
        for task in tasks {
            made.push(task.await.unwrap());
        }
        made.dedup();
        assert_eq!(made.len(), 1);
        let stored = identity::by_openid(&mut ground.conn(), ground.mini, "m1").unwrap().unwrap();
        assert_eq!((stored.unionid.as_deref(), stored.profile_state), (Some("u1"), ProfileState::Complete));
    }
}

/// Events store people in the order of their openids' bytes, answers come in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_crosswise_for_people() {
    const ROUNDS: usize = 60;
    if !postgres::is_there() {
        return;
    }
    let ground = Ground::on(Engine::Postgres).await;
    // Ids run against the openids, and a dictionary sorts these in another way than their bytes.
    let mut openids: Vec<String> = (0..12).map(|number| format!("oA{number:02}")).collect();
    openids.extend((0..12).map(|number| format!("oa{number:02}")));
    let mut ids = Vec::new();
    for openid in openids.iter().rev() {
        let conn = &mut ground.conn();
        ids.push(ground.follower(conn, openid));
    }
    let seen: Vec<Sighting> = openids
        .iter()
        .map(|openid| sighting(ground.project, ground.official, openid))
        .collect();
    let barrier = Barrier::new(2);
    let rounds = |work: &(dyn Fn(&mut Conn) -> queqiao::db::QueryResult<usize> + Sync)| {
        let mut conn = ground.conn();
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
            state: ProfileState::Pending,
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
