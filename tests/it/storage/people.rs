//! People: one row each, whatever is asked; none is missed on the way to the last page.

use std::collections::HashMap;

use queqiao::ids::IdentityId;
use queqiao::models::identity::{self, Fetched, FollowState, Identity};
use queqiao::models::people;
use queqiao::models::people::{LinkState, PeopleFilter, Place, members_of};

use super::fixture::{StorageFixture, again, at, fetched, ids, link};
use crate::support::rows;

fn page(storage: &StorageFixture, filter: &PeopleFilter) -> Vec<Identity> {
    people::page(&mut storage.conn(), storage.project, filter, 1_000, at(2))
        .unwrap()
        .found
}

fn openids(storage: &StorageFixture, filter: &PeopleFilter) -> Vec<String> {
    page(storage, filter)
        .into_iter()
        .map(|identity| identity.openid)
        .collect()
}

/// The rest of a walk that began when all was there, below an identity.
fn below(before: IdentityId) -> Option<Place> {
    Some(Place {
        before,
        newest: IdentityId(i64::MAX),
        began: at(1_000).and_utc().timestamp_micros(),
    })
}

/// In the order of ids: `a1` and `b1` one person, `a2` known alone, `a3` without a unionid, `b3`
/// gone and without one, `a4` following and `b4` gone, one person.
fn fill(storage: &StorageFixture) -> HashMap<&'static str, Identity> {
    let conn = &mut storage.conn();
    let rows = [
        ("a1", storage.official, Some("u1"), true),
        ("b1", storage.second, Some("u1"), true),
        ("a2", storage.official, Some("u2"), true),
        ("a3", storage.official, None, true),
        ("b3", storage.second, None, false),
        ("a4", storage.official, Some("u4"), true),
        ("b4", storage.second, Some("u4"), false),
    ];
    rows.map(|(openid, account, unionid, follows)| {
        let seen = storage.seen(conn, account, openid, 100, if follows { 0 } else { 200 });
        let row = Fetched {
            subscribe: follows,
            ..fetched(&seen, unionid)
        };
        identity::apply(conn, &[row]).unwrap();
        let stored = identity::by_id(conn, storage.project, seen.id);
        (openid, stored.unwrap().unwrap())
    })
    .into()
}

both_engines! {
    every_filter_alone,
    filters_together_mean_one_identity_to_which_all_apply,
    the_pages_hold_each_of_many_people_once,
    nobody_is_skipped_who_changes_between_two_pages,
    a_person_is_all_their_identities,
    the_same_unionid_in_two_projects_is_two_people,
}

async fn every_filter_alone(storage: StorageFixture) {
    let people = fill(&storage);
    let none = PeopleFilter::default();
    assert_eq!(
        openids(&storage, &none),
        ["a4", "b3", "a3", "a2", "a1"],
        "one row per person"
    );
    let unionid = |unionid: &str| PeopleFilter {
        unionid: Some(unionid.to_owned()),
        ..PeopleFilter::default()
    };
    assert_eq!(openids(&storage, &unionid("u1")), ["b1"]);
    assert_eq!(openids(&storage, &unionid("u9")), [""; 0]);
    let openid = PeopleFilter {
        openid: Some("a1".to_owned()),
        ..none.clone()
    };
    assert_eq!(
        openids(&storage, &openid),
        ["a1"],
        "found by the older of two openids"
    );
    let account = PeopleFilter {
        account_id: Some(storage.official),
        ..none.clone()
    };
    assert_eq!(openids(&storage, &account), ["a4", "a3", "a2", "a1"]);
    let account = PeopleFilter {
        account_id: Some(storage.foreign),
        ..none.clone()
    };
    assert_eq!(openids(&storage, &account), [""; 0]);
    let following = PeopleFilter {
        follow_state: Some(FollowState::Following),
        ..none.clone()
    };
    assert_eq!(openids(&storage, &following), ["a4", "a3", "a2", "b1"]);
    let gone = PeopleFilter {
        follow_state: Some(FollowState::NotFollowing),
        ..none.clone()
    };
    assert_eq!(openids(&storage, &gone), ["b4", "b3"]);
    let linked = |state| PeopleFilter {
        link_state: Some(state),
        ..PeopleFilter::default()
    };
    assert_eq!(openids(&storage, &linked(LinkState::Linked)), ["a4", "a1"]);
    assert_eq!(openids(&storage, &linked(LinkState::Single)), ["a2"]);
    assert_eq!(
        openids(&storage, &linked(LinkState::NoUnionid)),
        ["b3", "a3"]
    );
    let before = PeopleFilter {
        place: below(people["a3"].id),
        ..none
    };
    assert_eq!(openids(&storage, &before), ["a2", "a1"]);
}

async fn filters_together_mean_one_identity_to_which_all_apply(storage: StorageFixture) {
    let people = fill(&storage);
    let conn = &mut storage.conn();
    for identity in [people["a1"].id, people["b3"].id] {
        rows::bind(conn, storage.project, "s1", identity, at(0)).unwrap();
    }
    let staff = PeopleFilter {
        staff_id: Some("s1".to_owned()),
        ..PeopleFilter::default()
    };
    assert_eq!(
        openids(&storage, &staff),
        ["b3", "b1"],
        "through the unionid too"
    );
    let nobody = PeopleFilter {
        staff_id: Some("s2".to_owned()),
        ..staff.clone()
    };
    assert_eq!(openids(&storage, &nobody), [""; 0]);
    let all = PeopleFilter {
        unionid: Some("u1".to_owned()),
        openid: Some("a1".to_owned()),
        account_id: Some(storage.official),
        follow_state: Some(FollowState::Following),
        link_state: Some(LinkState::Linked),
        staff_id: Some("s1".to_owned()),
        place: below(people["b1"].id),
    };
    assert_eq!(openids(&storage, &all), ["a1"]);
    for other in [
        PeopleFilter {
            unionid: Some("u2".to_owned()),
            ..all.clone()
        },
        PeopleFilter {
            openid: Some("a2".to_owned()),
            ..all.clone()
        },
        PeopleFilter {
            account_id: Some(storage.second),
            ..all.clone()
        },
        PeopleFilter {
            follow_state: Some(FollowState::NotFollowing),
            ..all.clone()
        },
        PeopleFilter {
            link_state: Some(LinkState::Single),
            ..all.clone()
        },
        PeopleFilter {
            staff_id: Some("s2".to_owned()),
            ..all.clone()
        },
        PeopleFilter {
            place: below(people["a1"].id),
            ..all
        },
    ] {
        assert_eq!(openids(&storage, &other), [""; 0], "{other:?}");
    }
    let gone_there = PeopleFilter {
        account_id: Some(storage.second),
        follow_state: Some(FollowState::NotFollowing),
        link_state: Some(LinkState::Linked),
        ..PeopleFilter::default()
    };
    assert_eq!(openids(&storage, &gone_there), ["b4"]);
    let gone_here = PeopleFilter {
        account_id: Some(storage.official),
        ..gone_there
    };
    assert_eq!(
        openids(&storage, &gone_here),
        [""; 0],
        "not one identity here and the state of another"
    );
}

async fn the_pages_hold_each_of_many_people_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    // Three hundred identities: every third pair shares a unionid.
    for number in 0..150 {
        for (account, letter) in [(storage.official, 'a'), (storage.second, 'b')] {
            let seen = storage.seen(conn, account, &format!("{letter}{number:03}"), 100, 0);
            if number % 3 == 0 {
                link(conn, &seen, &format!("u{number}"));
            }
        }
    }
    let whole = ids(&page(&storage, &PeopleFilter::default()));
    assert_eq!(whole.len(), 250);
    let mut filter = PeopleFilter::default();
    let mut seen: Vec<IdentityId> = Vec::new();
    loop {
        let page = people::page(conn, storage.project, &filter, 17, at(2)).unwrap();
        seen.extend(ids(&page.found));
        filter.place = page.next;
        if filter.place.is_none() {
            break;
        }
    }
    assert_eq!(seen, whole);
    let linked = PeopleFilter {
        link_state: Some(LinkState::Linked),
        ..PeopleFilter::default()
    };
    assert_eq!(page(&storage, &linked).len(), 50);
}

async fn nobody_is_skipped_who_changes_between_two_pages(storage: StorageFixture) {
    let conn = &mut storage.conn();
    // Each follows with the older one of two openids only.
    let mut newer = Vec::new();
    for (account, letter, unfollowed) in [(storage.official, 'a', 0), (storage.second, 'b', 200)] {
        for number in 0..11 {
            let seen = storage.seen(conn, account, &format!("{letter}{number}"), 100, unfollowed);
            let unionid = format!("u{number}");
            let row = Fetched {
                subscribe: unfollowed == 0,
                ..fetched(&seen, Some(&unionid))
            };
            identity::apply(conn, &[row]).unwrap();
            newer.push(seen);
        }
    }
    let newer = newer.split_off(11);
    let following = PeopleFilter {
        follow_state: Some(FollowState::Following),
        ..PeopleFilter::default()
    };
    for (mut filter, back, time) in [(PeopleFilter::default(), 0, 1_000), (following, 2, 2_000)] {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let alone = storage.seen(conn, storage.official, &format!("alone{time}"), 100, 0);
        loop {
            let page = people::page(conn, storage.project, &filter, 4, at(time)).unwrap();
            seen.extend(page.found.iter().filter_map(|one| one.unionid.clone()));
            pages += 1;
            if pages == 1 {
                // One is seen in a third account, one follows with the newer openid as well, and one
                // who was on this page turns out to be somebody who was not yet on one.
                link(conn, &alone, "u0");
                let third = storage.seen(conn, storage.mini, &format!("m{time}"), 0, 0);
                link(conn, &third, "u1");
                let unionid = format!("u{back}");
                let known = again(conn, &newer[back]);
                let row = Fetched {
                    now: at(time + 5),
                    ..fetched(&known, Some(&unionid))
                };
                identity::apply(conn, &[row]).unwrap();
            }
            filter.place = page.next;
            if filter.place.is_none() {
                break;
            }
        }
        for number in 0..11 {
            assert!(seen.contains(&format!("u{number}")), "{number} of {seen:?}");
        }
        assert!(seen.len() <= 12 && pages <= 5, "{pages}: {seen:?}");
    }
}

async fn a_person_is_all_their_identities(storage: StorageFixture) {
    let people = fill(&storage);
    let conn = &mut storage.conn();
    for openid in ["a1", "b1"] {
        let members = members_of(conn, &people[openid]).unwrap();
        assert_eq!(ids(&members), [people["a1"].id, people["b1"].id]);
    }
    assert_eq!(
        ids(&members_of(conn, &people["a3"]).unwrap()),
        [people["a3"].id]
    );
    let both =
        people::with_unionids(conn, storage.project, &["u1".to_owned(), "u2".to_owned()]).unwrap();
    assert_eq!(both.len(), 3);
    assert!(
        people::with_unionids(conn, storage.project, &[])
            .unwrap()
            .is_empty()
    );
}

async fn the_same_unionid_in_two_projects_is_two_people(storage: StorageFixture) {
    let people = fill(&storage);
    let conn = &mut storage.conn();
    let stranger = storage.seen(conn, storage.foreign, "x2", 100, 0);
    link(conn, &stranger, "u2");
    assert_eq!(
        ids(&members_of(conn, &people["a2"]).unwrap()),
        [people["a2"].id]
    );
    let single = PeopleFilter {
        link_state: Some(LinkState::Single),
        ..PeopleFilter::default()
    };
    assert_eq!(
        openids(&storage, &single),
        ["a2"],
        "not linked across projects"
    );
    let theirs = people::page(
        conn,
        storage.foreign_project,
        &PeopleFilter::default(),
        10,
        at(2),
    )
    .unwrap()
    .found;
    assert_eq!(ids(&theirs), [stranger.id]);
    assert!(
        identity::by_id(conn, storage.project, stranger.id)
            .unwrap()
            .is_none()
    );
    assert!(
        identity::by_ids(conn, storage.project, &[stranger.id])
            .unwrap()
            .is_empty()
    );
}
