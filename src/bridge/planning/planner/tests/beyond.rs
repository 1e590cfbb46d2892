//! The channels without templates: customer messages and endpoints.

use super::*;
use crate::bridge::windows::rules;
use crate::config::Config;
use crate::models::identity::windows::{WindowActivity, WindowFacts};

#[test]
fn a_customer_message_needs_an_open_window() {
    let rules = rules(&Config::default().customer);
    let spoke = |time, used| WindowActivity {
        spoke_time: time,
        spoke_used: used,
        ..WindowActivity::default()
    };
    let refused = WindowActivity {
        refused_time: 9_000,
        ..spoke(9_000, 0)
    };
    for (acts, reason, words) in [
        (spoke(9_000, 4), None, ""),
        (spoke(9_000, 5), Some("allowance_used"), "writes again"),
        (
            spoke(0, 0),
            Some("window_closed"),
            "Ask the person to write",
        ),
        (refused, Some("window_closed"), "45015"),
    ] {
        let row = identity(1, 10, FollowState::Following, 1);
        let senders = [sender(10, Channel::Customer)];
        let wanted = window_identities(&[&row], &senders, 0);
        assert_eq!(wanted, [IdentityId(1)]);
        let mut credits = Credits::default();
        let facts = WindowFacts {
            acts,
            follow_state: FollowState::Following,
            followed_time: 1,
            unfollowed_time: 0,
        };
        let stands = WindowState {
            identity_id: wanted[0],
            kind: AccountKind::OfficialAccount,
            facts,
        };
        credits.add_windows(&[stands], &rules, 10_000);
        match plan(&[&row], &senders, 0, &credits) {
            Plan::Send { .. } => assert_eq!(reason, None),
            Plan::Unreachable {
                reason: found,
                detail,
                ..
            } => {
                assert_eq!(Some(found.as_str()), reason);
                assert!(
                    detail.contains(words) && detail.contains("wx10"),
                    "{detail}"
                );
            }
        }
    }
    let template = [sender(10, Channel::Template)];
    let row = identity(1, 10, FollowState::Following, 1);
    assert!(
        window_identities(&[&row], &template, 0).is_empty(),
        "nobody asks"
    );
}

#[test]
fn nobody_asks_for_windows_behind_a_route_that_leads_to_the_person() {
    let senders = [
        sender(10, Channel::Template),
        sender(10, Channel::Customer),
        sender(20, Channel::Customer),
    ];
    let follows = identity(1, 10, FollowState::Following, 1);
    let left = identity(1, 10, FollowState::NotFollowing, 1);
    let there = identity(2, 20, FollowState::Unknown, 0);
    for (row, from, wanted) in [
        (&follows, 0, vec![]),
        (&follows, 1, vec![IdentityId(1), IdentityId(2)]),
        (&left, 0, vec![IdentityId(1), IdentityId(2)]),
        (&left, 2, vec![IdentityId(2)]),
    ] {
        assert_eq!(window_identities(&[row, &there], &senders, from), wanted);
    }
}

#[test]
fn an_endpoint_of_the_business_reaches_every_staff_member() {
    let webhook = || Sender {
        id: None,
        app_id: String::new(),
        ..sender(0, Channel::Webhook)
    };
    let senders = [sender(10, Channel::Template), webhook()];
    let rows = [bare(true), identity(1, 10, FollowState::NotFollowing, 0)];
    for (rows, reason) in [
        (&rows[..], Unreachable::NotFollowing),
        (&[bare(true)][..], Unreachable::NoIdentityInAccount),
        (&[bare(false)][..], Unreachable::NotBound),
    ] {
        let rows: Vec<&ReachRow> = rows.iter().collect();
        let Plan::Send { route, to, passed } = plan(&rows, &senders, 0, &Credits::default()) else {
            panic!("not reached");
        };
        assert_eq!((route, to.account_id, to.identity_id), (1, None, None));
        assert_eq!(
            (passed.len(), passed[0].route, passed[0].reason),
            (1, 0, reason)
        );
    }
    match plan(&[], &senders, 0, &Credits::default()) {
        Plan::Unreachable { reason, .. } => assert_eq!(reason, Unreachable::UnknownStaff),
        sent => panic!("{sent:?}"),
    }
}
