//! Questions and answers joined, and what each answer amounts to.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::ids::IdentityId;

fn now() -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc()
}

fn asked(id: i64, openid: &str) -> Claimed {
    Claimed {
        id: IdentityId(id),
        openid: openid.to_owned(),
        followed_time: 100,
        unfollowed_time: 50,
        profile_attempts: 0,
        profile_doubts: 0,
        profile_alone: false,
    }
}

fn info(json: &str) -> UserInfo {
    serde_json::from_str(json).unwrap()
}

fn settings() -> config::Profile {
    config::Config::default().profile
}

fn stored(claimed: Claimed, json: &str) -> Fetched {
    let (mut rows, missing) = rows(vec![(claimed, Some(info(json)))], now(), &settings());
    assert!(missing.is_empty());
    rows.remove(0)
}

#[test]
fn answers_find_their_questions_whatever_their_order() {
    let infos = vec![
        info(r#"{"subscribe":1,"openid":"c","unionid":"uc"}"#),
        info(r#"{"subscribe":1,"openid":"nobody asked"}"#),
        info(r#"{"subscribe":1,"openid":"a","unionid":"ua"}"#),
    ];
    let paired = pair(vec![asked(3, "a"), asked(2, "b"), asked(1, "c")], infos);
    let unionids: Vec<_> = paired
        .iter()
        .map(|(claimed, info)| {
            let unionid = info.as_ref().and_then(|info| info.unionid.as_deref());
            (claimed.openid.as_str(), unionid)
        })
        .collect();
    assert_eq!(
        unionids,
        [("a", Some("ua")), ("b", None), ("c", Some("uc"))]
    );
    assert!(paired[1].1.is_none());
    let (rows, missing) = rows(paired, now(), &settings());
    let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    assert_eq!(ids, [3, 1]);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].openid, "b");
}

#[test]
fn openids_are_compared_byte_for_byte() {
    let infos = vec![info(r#"{"subscribe":1,"openid":"oA"}"#)];
    let paired = pair(vec![asked(1, "oa"), asked(2, " oA")], infos);
    assert!(paired.iter().all(|(_, info)| info.is_none()));
}

#[test]
fn a_full_answer_is_taken_over_with_the_times_of_the_question() {
    let row = stored(
        asked(1, "o1"),
        r#"{"subscribe":1,"openid":"o1","unionid":"u1","subscribe_time":150,"language":"zh_CN",
        "subscribe_scene":"ADD_SCENE_SEARCH","remark":"A\u0000\nB","tagid_list":[2,101]}"#,
    );
    assert_eq!((row.was_followed, row.was_unfollowed), (100, 50));
    assert_eq!((row.subscribe, row.subscribe_time), (true, 150));
    assert_eq!(row.unionid.as_deref(), Some("u1"));
    assert_eq!(row.subscribe_scene.as_deref(), Some("ADD_SCENE_SEARCH"));
    assert_eq!(row.language.as_deref(), Some("zh_CN"));
    assert_eq!(
        row.remark.as_deref(),
        Some("AB"),
        "as both engines can hold it"
    );
    assert_eq!(row.tag_ids.as_deref(), Some("[2,101]"));
    assert_eq!(row.profile_state, ProfileState::Complete);
    assert_eq!((row.due_at, row.attempts), (None, 0));
}

#[test]
fn a_whole_answer_takes_remark_and_tags_away_and_a_sparse_one_says_nothing_of_them() {
    let said = |rest: &str| {
        let body = format!(r#"{{"subscribe":1,"openid":"o1","tagid_list":[]{rest}}}"#);
        let row = stored(asked(1, "o1"), &body);
        (row.remark, row.tag_ids)
    };
    let empty = Some(String::new());
    assert_eq!(said(r#","remark":"""#), (empty.clone(), empty));
    assert_eq!(said(""), (None, None));
}

#[test]
fn an_answer_says_why_there_is_no_unionid() {
    let of_old = Claimed {
        followed_time: -601,
        unfollowed_time: -700,
        ..asked(1, "o1")
    };
    let gone = stored(of_old, r#"{"subscribe":0,"openid":"o1"}"#);
    assert_eq!(gone.profile_state, ProfileState::NotFollowing);
    assert_eq!(
        (gone.due_at, gone.attempts, gone.subscribe_time),
        (None, 0, 0)
    );
    assert_eq!((gone.tag_ids, gone.qr_scene), (None, None));
    let unbound = stored(
        asked(1, "o1"),
        r#"{"subscribe":1,"openid":"o1","unionid":""}"#,
    );
    assert_eq!(unbound.profile_state, ProfileState::NotBoundToOpenPlatform);
    let known = stored(
        asked(1, "o1"),
        r#"{"subscribe":0,"openid":"o1","unionid":"u1"}"#,
    );
    assert_eq!(known.profile_state, ProfileState::Complete);
    assert!(!known.subscribe);
}

#[test]
fn where_there_is_no_unionid_the_pauses_grow_up_to_the_longest() {
    let profile = settings();
    let longest = TimeDelta::seconds(profile.reprobe_longest_seconds.cast_signed());
    let first = TimeDelta::seconds(profile.reprobe_first_seconds.cast_signed());
    for (attempts, full) in [
        (0, first),
        (1, first * 2),
        (3, first * 8),
        (30, longest),
        (i32::MAX, longest),
    ] {
        let claimed = Claimed {
            profile_attempts: attempts,
            ..asked(1, "o1")
        };
        let row = stored(claimed, r#"{"subscribe":1,"openid":"o1"}"#);
        let pause = row.due_at.unwrap() - now();
        assert!(pause >= full / 2 && pause <= full, "{attempts}: {pause}");
        assert_eq!(row.attempts, attempts.saturating_add(1));
    }
}

#[test]
fn the_scene_is_the_text_or_else_the_number() {
    for (fields, expected) in [
        (r#""qr_scene":0,"qr_scene_str":"shop""#, Some("shop")),
        (r#""qr_scene":12,"qr_scene_str":"""#, Some("12")),
        (r#""qr_scene":12,"qr_scene_str":"shop""#, Some("shop")),
        (r#""qr_scene":4294967295"#, Some("4294967295")),
        (r#""qr_scene":0,"qr_scene_str":"""#, None),
        (r#""remark":"none""#, None),
    ] {
        let row = stored(
            asked(1, "o1"),
            &format!(r#"{{"subscribe":1,"openid":"o1",{fields}}}"#),
        );
        assert_eq!(row.qr_scene.as_deref(), expected, "{fields}");
    }
}

#[test]
fn an_answer_that_contradicts_a_follow_of_the_last_minutes_is_asked_for_again() {
    let not_following = r#"{"subscribe":0,"openid":"o1","tagid_list":[]}"#;
    let at = |followed_time, profile_doubts| Claimed {
        followed_time,
        unfollowed_time: followed_time - 1,
        profile_doubts,
        ..asked(1, "o1")
    };
    for (doubts, seconds) in [(0, 5), (1, 60), (2, 600)] {
        for followed in [-600, 0, 90] {
            let row = stored(at(followed, doubts), not_following);
            assert_eq!(row.doubts, doubts + 1);
            assert_eq!(row.due_at, Some(now() + TimeDelta::seconds(seconds)));
            assert_eq!(row.profile_state, ProfileState::Pending);
            assert!(row.error.is_some());
        }
    }
    let counts = |claimed: Claimed| {
        let row = stored(claimed, not_following);
        assert_eq!((row.doubts, row.due_at, row.error), (0, None, None));
        assert_eq!(row.profile_state, ProfileState::NotFollowing);
    };
    counts(at(0, 3));
    counts(at(-601, 0));
    counts(at(0, 0).beyond_doubt());
    counts(Claimed {
        unfollowed_time: 0,
        ..at(0, 0)
    });
    assert_eq!(
        stored(at(-601, 1), not_following).doubts,
        2,
        "once begun, to the end"
    );
    let follows = stored(at(0, 2), r#"{"subscribe":1,"openid":"o1","unionid":"u"}"#);
    assert_eq!((follows.doubts, follows.due_at), (0, None));
}
