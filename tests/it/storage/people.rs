//! People: one row each, whatever is asked; none is missed on the way to the last page.

use std::collections::HashMap;

use queqiao::ids::IdentityId;
use queqiao::models::binding::{self, NewBinding};
use queqiao::models::identity::{
    self, Fetched, FollowState, Identity, LinkState, PeopleFilter, members_of,
};
use queqiao::models::staff;

use super::ground::{Ground, at, fetched, ids, link};

fn page(ground: &Ground, filter: &PeopleFilter) -> Vec<Identity> {
    identity::page(&mut ground.conn(), ground.project, filter, 1_000)
        .unwrap()
        .found
}

fn openids(ground: &Ground, filter: &PeopleFilter) -> Vec<String> {
    page(ground, filter)
        .into_iter()
        .map(|identity| identity.openid)
        .collect()
}

/// In the order of ids: `a1` and `b1` one person, `a2` known alone, `a3` without a unionid, `b3`
/// gone and without one, `a4` following and `b4` gone, one person.
fn fill(ground: &Ground) -> HashMap<&'static str, Identity> {
    let conn = &mut ground.conn();
    let rows = [
        ("a1", ground.official, Some("u1"), true),
        ("b1", ground.second, Some("u1"), true),
        ("a2", ground.official, Some("u2"), true),
        ("a3", ground.official, None, true),
        ("b3", ground.second, None, false),
        ("a4", ground.official, Some("u4"), true),
        ("b4", ground.second, Some("u4"), false),
    ];
    rows.map(|(openid, account, unionid, follows)| {
        let seen = ground.seen(conn, account, openid, 100, if follows { 0 } else { 200 });
        let row = Fetched {
            subscribe: follows,
            ..fetched(&seen, unionid)
        };
        identity::apply(conn, &[row]).unwrap();
        let stored = identity::by_id(conn, ground.project, seen.id);
        (openid, stored.unwrap().unwrap())
    })
    .into()
}

both_engines! {
    async fn every_filter_alone(ground: Ground) {
        let people = fill(&ground);
        let none = PeopleFilter::default();
        assert_eq!(openids(&ground, &none), ["b4", "b3", "a3", "a2", "b1"], "one row per person");
        let unionid = |unionid: &str| PeopleFilter { unionid: Some(unionid.to_owned()), ..PeopleFilter::default() };
        assert_eq!(openids(&ground, &unionid("u1")), ["b1"]);
        assert_eq!(openids(&ground, &unionid("u9")), [""; 0]);
        let openid = PeopleFilter { openid: Some("a1".to_owned()), ..none.clone() };
        assert_eq!(openids(&ground, &openid), ["a1"], "found by the older of two openids");
        let account = PeopleFilter { account_id: Some(ground.official), ..none.clone() };
        assert_eq!(openids(&ground, &account), ["a4", "a3", "a2", "a1"]);
        let account = PeopleFilter { account_id: Some(ground.foreign), ..none.clone() };
        assert_eq!(openids(&ground, &account), [""; 0]);
        let following = PeopleFilter { follow_state: Some(FollowState::Following), ..none.clone() };
        assert_eq!(openids(&ground, &following), ["a4", "a3", "a2", "b1"]);
        let gone = PeopleFilter { follow_state: Some(FollowState::NotFollowing), ..none.clone() };
        assert_eq!(openids(&ground, &gone), ["b4", "b3"]);
        let linked = |state| PeopleFilter { link_state: Some(state), ..PeopleFilter::default() };
        assert_eq!(openids(&ground, &linked(LinkState::Linked)), ["b4", "b1"]);
        assert_eq!(openids(&ground, &linked(LinkState::Single)), ["a2"]);
        assert_eq!(openids(&ground, &linked(LinkState::NoUnionid)), ["b3", "a3"]);
        let before = PeopleFilter { before: Some(people["a3"].id), ..none };
        assert_eq!(openids(&ground, &before), ["a2", "b1"]);
    }

    async fn filters_together_mean_one_identity_to_which_all_apply(ground: Ground) {
        let people = fill(&ground);
        let conn = &mut ground.conn();
        let row = staff::put(conn, ground.project, "s1", None, at(0)).unwrap().0.id;
        for identity_id in [people["a1"].id, people["b3"].id] {
            let new = NewBinding { project_id: ground.project, staff_row_id: row, identity_id: Some(identity_id), unionid: None, created_at: at(0) };
            binding::create(conn, &new).unwrap().unwrap();
        }
        let staff = PeopleFilter { staff_id: Some("s1".to_owned()), ..PeopleFilter::default() };
        assert_eq!(openids(&ground, &staff), ["b3", "b1"], "through the unionid too");
        let nobody = PeopleFilter { staff_id: Some("s2".to_owned()), ..staff.clone() };
        assert_eq!(openids(&ground, &nobody), [""; 0]);
        let all = PeopleFilter {
            unionid: Some("u1".to_owned()),
            openid: Some("a1".to_owned()),
            account_id: Some(ground.official),
            follow_state: Some(FollowState::Following),
            link_state: Some(LinkState::Linked),
            staff_id: Some("s1".to_owned()),
            before: Some(people["b1"].id),
        };
        assert_eq!(openids(&ground, &all), ["a1"]);
        for other in [
            PeopleFilter { unionid: Some("u2".to_owned()), ..all.clone() },
            PeopleFilter { openid: Some("a2".to_owned()), ..all.clone() },
            PeopleFilter { account_id: Some(ground.second), ..all.clone() },
            PeopleFilter { follow_state: Some(FollowState::NotFollowing), ..all.clone() },
            PeopleFilter { link_state: Some(LinkState::Single), ..all.clone() },
            PeopleFilter { staff_id: Some("s2".to_owned()), ..all.clone() },
            PeopleFilter { before: Some(people["a1"].id), ..all },
        ] {
            assert_eq!(openids(&ground, &other), [""; 0], "{other:?}");
        }
        let gone_there = PeopleFilter { account_id: Some(ground.second), follow_state: Some(FollowState::NotFollowing), link_state: Some(LinkState::Linked), ..PeopleFilter::default() };
        assert_eq!(openids(&ground, &gone_there), ["b4"]);
        let gone_here = PeopleFilter { account_id: Some(ground.official), ..gone_there };
        assert_eq!(openids(&ground, &gone_here), [""; 0], "not one identity here and the state of another");
    }

    async fn the_pages_hold_each_of_many_people_once(ground: Ground) {
        let conn = &mut ground.conn();
        // Three hundred identities: every third pair shares a unionid.
        for number in 0..150 {
            for (account, letter) in [(ground.official, 'a'), (ground.second, 'b')] {
                let seen = ground.seen(conn, account, &format!("{letter}{number:03}"), 100, 0);
                if number % 3 == 0 {
                    link(conn, &seen, &format!("u{number}"));
                }
            }
        }
        let whole = ids(&page(&ground, &PeopleFilter::default()));
        assert_eq!(whole.len(), 250);
        let mut filter = PeopleFilter::default();
        let mut seen: Vec<IdentityId> = Vec::new();
        loop {
            let page = identity::page(conn, ground.project, &filter, 17).unwrap().found;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.id);
            seen.extend(ids(&page));
        }
        assert_eq!(seen, whole);
        let linked = PeopleFilter { link_state: Some(LinkState::Linked), ..PeopleFilter::default() };
        assert_eq!(page(&ground, &linked).len(), 50);
    }

    async fn a_person_is_all_their_identities(ground: Ground) {
        let people = fill(&ground);
        let conn = &mut ground.conn();
        for openid in ["a1", "b1"] {
            let members = members_of(conn, &people[openid]).unwrap();
            assert_eq!(ids(&members), [people["a1"].id, people["b1"].id]);
        }
        assert_eq!(ids(&members_of(conn, &people["a3"]).unwrap()), [people["a3"].id]);
        let both = identity::with_unionids(conn, ground.project, &["u1".to_owned(), "u2".to_owned()]).unwrap();
        assert_eq!(both.len(), 3);
        assert!(identity::with_unionids(conn, ground.project, &[]).unwrap().is_empty());
    }

    async fn the_same_unionid_in_two_projects_is_two_people(ground: Ground) {
        let people = fill(&ground);
        let conn = &mut ground.conn();
        let stranger = ground.seen(conn, ground.foreign, "x2", 100, 0);
        link(conn, &stranger, "u2");
        assert_eq!(ids(&members_of(conn, &people["a2"]).unwrap()), [people["a2"].id]);
        let single = PeopleFilter { link_state: Some(LinkState::Single), ..PeopleFilter::default() };
        assert_eq!(openids(&ground, &single), ["a2"], "not linked across projects");
        let theirs = identity::page(conn, ground.foreign_project, &PeopleFilter::default(), 10).unwrap().found;
        assert_eq!(ids(&theirs), [stranger.id]);
        assert!(identity::by_id(conn, ground.project, stranger.id).unwrap().is_none());
        assert!(identity::by_ids(conn, ground.project, &[stranger.id]).unwrap().is_empty());
    }
}
