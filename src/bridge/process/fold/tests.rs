//! Batches of events folded: any order, any repetition, the same effects.

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::clock::TimeZone;
use crate::ids::{EventId, ProjectId};

const OFFICIAL: AccountId = AccountId(1);
const MINI: AccountId = AccountId(2);
const UNKNOWN: AccountId = AccountId(3);

fn now() -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc()
}

fn account(id: AccountId, kind: AccountKind) -> (AccountId, Scope) {
    let project_id = ProjectId(id.0 * 10);
    (
        id,
        Scope {
            project_id,
            kind,
            time_zone: TimeZone::default(),
        },
    )
}

fn effects(waiting: &[Waiting]) -> Effects {
    let accounts = HashMap::from([
        account(OFFICIAL, AccountKind::OfficialAccount),
        account(MINI, AccountKind::MiniProgram),
    ]);
    Effects::of(waiting, &accounts, now())
}

/// An event of `o1` in the official account; `rest` is what its kind adds.
fn event(create_time: i64, name: &str, rest: &str) -> Waiting {
    let body = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>\
         <CreateTime>{create_time}</CreateTime><MsgType>event</MsgType><Event>{name}</Event>{rest}</xml>"
    );
    Waiting {
        id: EventId(1),
        account_id: OFFICIAL,
        create_time,
        received_at: now(),
        kind: format!("event.{}", name.to_ascii_lowercase()),
        openid: Some("o1".to_owned()),
        body: body.into_bytes(),
        problem: None,
        stats_day: None,
    }
}

fn follow(time: i64) -> Waiting {
    let key = match time % 2 {
        0 => String::new(),
        _ => format!("<EventKey>qrscene_shop_{time}</EventKey>"),
    };
    event(time, "subscribe", &key)
}

fn unfollow(time: i64) -> Waiting {
    event(time, "unsubscribe", "<EventKey></EventKey>")
}

fn finished(msgid: &str, status: &str) -> Waiting {
    let rest = format!("<MsgID>{msgid}</MsgID><Status>{status}</Status>");
    event(9, "TEMPLATESENDJOBFINISH", &rest)
}

fn only(effects: &Effects) -> &Sighting {
    assert_eq!(effects.sightings.len(), 1);
    &effects.sightings[0]
}

#[test]
fn a_follow_is_a_sighting_with_its_time_and_scene() {
    let folded = effects(&[follow(7)]);
    let seen = only(&folded);
    assert_eq!(
        (seen.account_id, seen.project_id),
        (OFFICIAL, ProjectId(10))
    );
    assert_eq!((seen.followed_time, seen.unfollowed_time), (7, 0));
    assert_eq!(seen.qr_scene.as_deref(), Some("shop_7"));
    assert_eq!(seen.profile_state, ProfileState::Pending);
    assert_eq!(seen.profile_due_at, Some(now()));
    assert!(folded.receipts.is_empty());
}

#[test]
fn the_scene_is_that_of_the_newest_follow() {
    for order in [[follow(7), follow(8)], [follow(8), follow(7)]] {
        assert_eq!(only(&effects(&order)).qr_scene, None);
    }
    for order in [[follow(7), follow(6)], [follow(6), follow(7)]] {
        let folded = effects(&order);
        assert_eq!(only(&folded).qr_scene.as_deref(), Some("shop_7"));
    }
}

#[test]
fn whoever_left_last_has_no_profile_to_fetch() {
    let folded = effects(&[unfollow(8), follow(7)]);
    let left = only(&folded);
    assert_eq!((left.followed_time, left.unfollowed_time), (7, 8));
    assert_eq!(left.profile_state, ProfileState::NotFollowing);
    assert_eq!(left.profile_due_at, None);
    let folded = effects(&[unfollow(7), follow(7)]);
    let tie = only(&folded);
    assert_eq!(tie.profile_state, ProfileState::Pending);
    assert_eq!(tie.profile_due_at, Some(now()), "WeChat is asked");
}

proptest! {
    #[test]
    fn order_and_repetition_change_nothing(times in prop::collection::vec((1..9_i64, any::<bool>()), 1..8), shift in 0..8_usize) {
        let story = |times: &[(i64, bool)]| -> Vec<Waiting> {
            times.iter().map(|&(time, follows)| if follows { follow(time) } else { unfollow(time) }).collect()
        };
        let mut turned = times.clone();
        turned.rotate_left(shift % times.len());
        turned.reverse();
        turned.extend(times.clone());
        let (one, other) = (effects(&story(&times)), effects(&story(&turned)));
        prop_assert_eq!(format!("{:?}", only(&one)), format!("{:?}", only(&other)));
    }
}

#[test]
fn sightings_are_one_per_openid_and_account_in_the_order_of_locks() {
    let mut waiting = Vec::new();
    for (account_id, openid) in [
        (MINI, "a"),
        (OFFICIAL, "b"),
        (OFFICIAL, "a"),
        (OFFICIAL, "b"),
    ] {
        waiting.push(Waiting {
            account_id,
            openid: Some(openid.to_owned()),
            ..follow(7)
        });
    }
    let folded = effects(&waiting);
    let spots: Vec<_> = folded
        .spots()
        .iter()
        .map(|spot| (spot.account_id, spot.openid))
        .collect();
    assert_eq!(spots, [(OFFICIAL, "a"), (OFFICIAL, "b"), (MINI, "a")]);
}

#[test]
fn somebody_in_a_mini_program_has_to_log_in() {
    let visit = Waiting {
        account_id: MINI,
        ..event(7, "user_enter_tempsession", "<SessionFrom></SessionFrom>")
    };
    let folded = effects(&[visit]);
    let seen = only(&folded);
    assert_eq!(seen.profile_state, ProfileState::LoginNeeded);
    assert_eq!((seen.profile_due_at, seen.followed_time), (None, 0));
}

#[test]
fn an_event_without_effect_of_its_own_still_shows_that_somebody_is_there() {
    for waiting in [
        event(7, "SOMETHING_NEW", "<Key>x</Key>"),
        event(7, "VIEW", "<EventKey>https://example.com</EventKey>"),
        Waiting {
            problem: Some("not XML".to_owned()),
            ..follow(7)
        },
        Waiting {
            body: b"<xml><broken".to_vec(),
            ..follow(7)
        },
    ] {
        let folded = effects(std::slice::from_ref(&waiting));
        let seen = only(&folded);
        assert_eq!(
            (seen.followed_time, seen.unfollowed_time),
            (0, 0),
            "{waiting:?}"
        );
        assert_eq!(seen.profile_state, ProfileState::Pending);
        assert!(folded.receipts.is_empty());
    }
}

#[test]
fn what_names_nobody_or_no_account_of_ours_has_no_effect() {
    let nobody = Waiting {
        openid: None,
        ..event(7, "SOMETHING_NEW", "")
    };
    let stranger = Waiting {
        account_id: UNKNOWN,
        ..finished("5", "success")
    };
    let folded = effects(&[nobody, stranger]);
    assert!(folded.sightings.is_empty() && folded.receipts.is_empty());
    assert!(effects(&[]).sightings.is_empty());
}

#[test]
fn receipts_say_whether_and_why_not_once_per_message() {
    let folded = effects(&[
        finished("3990000000000000007", "success"),
        finished("12", "failed:user block"),
        finished("12", "failed:user block"),
        finished("not a number", "success"),
    ]);
    let receipts: Vec<_> = folded
        .receipts
        .iter()
        .map(|receipt| (receipt.msgid, receipt.delivered, receipt.reason.as_deref()))
        .collect();
    let expected = [
        (12, false, Some("user block")),
        (3_990_000_000_000_000_007, true, None),
    ];
    assert_eq!(receipts, expected);
    assert_eq!(folded.receipts[0].account_id, OFFICIAL);
    assert_eq!(folded.receipts[0].create_time, 9);
    assert_eq!(folded.sightings.len(), 1, "and that they are there");
}

#[test]
fn a_receipt_counts_even_where_it_names_nobody() {
    let anonymous = Waiting {
        openid: None,
        ..finished("12", "success")
    };
    let folded = effects(&[anonymous]);
    assert_eq!((folded.sightings.len(), folded.receipts.len()), (0, 1));
}
