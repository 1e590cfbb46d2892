//! Which route is taken, and what is said of the others.

mod beyond;

use proptest::prelude::*;

use super::*;
use crate::models::identity::{FollowState, ProfileState};

fn bare(bound: bool) -> ReachRow {
    ReachRow {
        staff_id: "s1".to_owned(),
        name: None,
        bound,
        identity_id: None,
        account_id: None,
        openid: None,
        unionid: None,
        follow_state: None,
        followed_time: None,
        profile_state: None,
    }
}

fn identity(id: i64, account: i64, follow: FollowState, time: i64) -> ReachRow {
    ReachRow {
        identity_id: Some(IdentityId(id)),
        account_id: Some(AccountId(account)),
        openid: Some(format!("o{id}")),
        follow_state: Some(follow),
        followed_time: Some(time),
        profile_state: Some(ProfileState::Complete),
        ..bare(true)
    }
}

fn sender(id: i64, channel: Channel) -> Sender {
    Sender {
        kind: channel.traits().accounts.first().copied(),
        id: Some(AccountId(id)),
        app_id: format!("wx{id}"),
        channel,
        template_id: "TPL".to_owned(),
    }
}

fn senders(ids: &[i64]) -> Vec<Sender> {
    ids.iter()
        .map(|id| sender(*id, Channel::Template))
        .collect()
}

fn chosen(rows: &[ReachRow], routes: &[i64]) -> Result<(usize, i64), Unreachable> {
    let rows: Vec<&ReachRow> = rows.iter().collect();
    match plan(&rows, &senders(routes), 0, &Credits::default()) {
        Plan::Send { route, to, .. } => Ok((route, to.identity_id.unwrap().0)),
        Plan::Unreachable { reason, .. } => Err(reason),
    }
}

#[test]
fn the_first_route_that_leads_to_the_person_is_taken() {
    use FollowState::{Following, NotFollowing, Unknown};
    let rows = |first, second| {
        [
            bare(true),
            identity(1, 10, first, 5),
            identity(2, 20, second, 5),
        ]
    };
    for (first, second, expected) in [
        (Following, Following, Ok((0, 1))),
        (Unknown, Following, Ok((0, 1))),
        (NotFollowing, Following, Ok((1, 2))),
        (NotFollowing, Unknown, Ok((1, 2))),
        (NotFollowing, NotFollowing, Err(Unreachable::NotFollowing)),
    ] {
        assert_eq!(chosen(&rows(first, second), &[10, 20]), expected);
    }
    assert_eq!(chosen(&rows(Following, Following), &[20, 10]), Ok((0, 2)));
    assert_eq!(
        chosen(&rows(Following, Following), &[30]),
        Err(Unreachable::NoIdentityInAccount)
    );
}

#[test]
fn of_several_identities_the_following_one_goes_first_then_the_newest() {
    use FollowState::{Following, NotFollowing, Unknown};
    for (rows, expected) in [
        (
            vec![identity(1, 10, Following, 5), identity(2, 10, Unknown, 9)],
            1,
        ),
        (
            vec![identity(1, 10, Following, 9), identity(2, 10, Following, 5)],
            1,
        ),
        (
            vec![identity(1, 10, Following, 5), identity(2, 10, Following, 5)],
            2,
        ),
        (
            vec![
                identity(1, 10, Unknown, 0),
                identity(2, 10, NotFollowing, 9),
            ],
            1,
        ),
    ] {
        assert_eq!(chosen(&rows, &[10]), Ok((0, expected)));
    }
}

#[test]
fn an_openid_that_wechat_does_not_know_is_not_tried() {
    let mut row = identity(1, 10, FollowState::Unknown, 0);
    row.profile_state = Some(ProfileState::UnknownOpenid);
    let rows = [bare(true), row];
    assert_eq!(chosen(&rows, &[10]), Err(Unreachable::UnknownOpenid));
}

#[test]
fn whoever_cannot_be_reached_is_told_why() {
    assert_eq!(chosen(&[], &[10]), Err(Unreachable::UnknownStaff));
    assert_eq!(chosen(&[bare(false)], &[10]), Err(Unreachable::NotBound));
    assert_eq!(
        chosen(&[bare(true)], &[10]),
        Err(Unreachable::NoIdentityInAccount)
    );
    for state in ProfileState::ALL {
        let mut row = identity(1, 20, FollowState::Following, 1);
        row.profile_state = Some(*state);
        let (reason, detail) = why(&row, Channel::Template);
        assert_eq!(reason.as_str(), "no_identity_in_account");
        assert!(
            detail.contains("account wx10") && detail.ends_with('.'),
            "{detail}"
        );
        row.unionid = Some("u".to_owned());
        let (_, linked) = why(&row, Channel::Template);
        assert!(linked.contains("import its followers"), "{linked}");
        let (_, linked) = why(&row, Channel::MpSubscribe);
        assert!(linked.contains("log in"), "{linked}");
    }
}

fn why(row: &ReachRow, channel: Channel) -> (Unreachable, String) {
    match plan(&[row], &[sender(10, channel)], 0, &Credits::default()) {
        Plan::Unreachable { reason, detail, .. } => (reason, detail),
        sent => panic!("{sent:?}"),
    }
}

fn balance(id: i64, allows: bool, declined: bool) -> CreditBalance {
    CreditBalance {
        identity_id: IdentityId(id),
        template_id: "TPL".to_owned(),
        allows,
        declined,
    }
}

#[test]
fn a_subscription_message_needs_a_permission_and_no_follow() {
    for channel in [Channel::MpSubscribe, Channel::OaSubscribe] {
        let row = identity(1, 10, FollowState::NotFollowing, 0);
        let senders = [sender(10, channel)];
        for (balances, reason) in [
            (vec![balance(1, true, true)], None),
            (vec![balance(1, false, false)], Some("has not allowed")),
            (vec![balance(1, false, true)], Some("has refused")),
            (vec![balance(2, true, false)], Some("has not allowed")),
            (vec![], Some("has not allowed")),
        ] {
            match (plan(&[&row], &senders, 0, &Credits::new(balances)), reason) {
                (Plan::Send { route: 0, to, .. }, None) => {
                    assert_eq!(to.identity_id, Some(IdentityId(1)));
                }
                (Plan::Unreachable { reason, detail, .. }, Some(words)) => {
                    assert_eq!(reason.as_str(), "no_credit");
                    assert!(detail.contains(words), "{detail}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn the_nearest_reason_stands_for_all_and_each_has_its_own() {
    let rows = [
        bare(true),
        identity(1, 10, FollowState::NotFollowing, 0),
        identity(2, 20, FollowState::Unknown, 0),
    ];
    let rows: Vec<&ReachRow> = rows.iter().collect();
    let senders = [
        sender(30, Channel::Template),
        sender(10, Channel::Template),
        sender(20, Channel::MpSubscribe),
    ];
    let Plan::Unreachable { reason, passed, .. } = plan(&rows, &senders, 0, &Credits::default())
    else {
        panic!("reached");
    };
    assert_eq!(reason, Unreachable::NoCredit);
    let considered = Considered::all(&passed, &senders);
    let verdicts: Vec<&str> = considered.iter().map(|one| one.verdict.as_str()).collect();
    assert_eq!(
        verdicts,
        ["no_identity_in_account", "not_following", "no_credit"]
    );
    assert_eq!(considered[2].account, "wx20");
}

fn any_row() -> impl Strategy<Value = ReachRow> {
    let follow = prop::sample::select(FollowState::ALL);
    let profile = prop::sample::select(ProfileState::ALL);
    (1..9_i64, 1..4_i64, follow, profile).prop_map(|(id, account, follow, profile)| ReachRow {
        profile_state: Some(profile),
        ..identity(id, account, follow, id)
    })
}

fn any_sender() -> impl Strategy<Value = Sender> {
    let channel = prop::sample::select(vec![
        Channel::Template,
        Channel::MpSubscribe,
        Channel::OaSubscribe,
        Channel::Customer,
    ]);
    (1..4_i64, channel).prop_map(|(id, channel)| sender(id, channel))
}

proptest! {
    #[test]
    fn the_first_usable_route_is_taken_and_all_before_it_are_explained(
        rows in prop::collection::vec(any_row(), 0..6),
        senders in prop::collection::vec(any_sender(), 1..6),
        from in 0..3_usize,
        allowed in prop::collection::vec((1..9_i64, any::<bool>()), 0..6),
    ) {
        let rows: Vec<&ReachRow> = rows.iter().collect();
        let balances = allowed.iter().map(|(id, allows)| balance(*id, *allows, false));
        let credits = Credits::new(balances.collect());
        let leads = |sender: &Sender| {
            let alone = plan(&rows, std::slice::from_ref(sender), 0, &credits);
            matches!(alone, Plan::Send { .. })
        };
        let first = (from..senders.len()).find(|at| leads(&senders[*at]));
        let (taken, passed) = match plan(&rows, &senders, from, &credits) {
            Plan::Send { route, to, passed } => {
                prop_assert_eq!(to.account_id, senders[route].id);
                (Some(route), passed)
            }
            Plan::Unreachable { passed, .. } => (None, passed),
        };
        prop_assert_eq!(taken, first);
        if !rows.is_empty() {
            let expected: Vec<usize> = (from..first.unwrap_or(senders.len())).collect();
            let numbers: Vec<usize> = passed.iter().map(|passed| passed.route).collect();
            prop_assert_eq!(numbers, expected);
        }
        // Whatever permission decides, it was asked for.
        if let Some(route) = first
            && senders[route].channel.traits().permission == Permission::Credit
        {
            let asked = credit_keys(&rows, &senders, from);
            prop_assert!(asked.iter().any(|asked| asked.template_id == senders[route].template_id));
        }
    }
}
