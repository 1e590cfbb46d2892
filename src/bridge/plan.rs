//! Who is reached how: the first route that leads to a person, or why none does. Pure.

use crate::ids::AccountId;
use crate::models::identity::{FollowState, ProfileState};
use crate::models::staff::ReachRow;

/// An account through which a route sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Row id.
    pub id: AccountId,
    /// For people to recognise it.
    pub app_id: String,
}

/// What will be done for one staff member.
#[derive(Clone, Debug)]
pub enum Plan<'a> {
    /// Send to this identity.
    Send {
        /// Which of the senders, from 0.
        route: usize,
        /// The identity; its ids and openid are set.
        to: &'a ReachRow,
    },
    /// There is no way.
    Unreachable {
        /// Why.
        reason: Unreachable,
        /// The same in a sentence, with what to do.
        detail: String,
    },
}

/// Why a staff member cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreachable {
    /// There is no such staff member in the project.
    UnknownStaff,
    /// The staff member is bound to nobody.
    NotBound,
    /// The person is not known in any account of the routes.
    NoIdentityInAccount,
    /// The person is known there and does not follow.
    NotFollowing,
    /// WeChat does not know the openid in that account.
    UnknownOpenid,
}

impl Unreachable {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownStaff => "unknown_staff",
            Self::NotBound => "not_bound",
            Self::NoIdentityInAccount => "no_identity_in_account",
            Self::NotFollowing => "not_following",
            Self::UnknownOpenid => "unknown_openid",
        }
    }
}

/// Plans for one staff member, whose rows of [`reach`](crate::models::staff::reach) these are,
/// over the accounts of the routes in their order. Among several identities in one account, one
/// that follows goes before one of which that is not known, and then the newer one.
pub fn plan<'a>(rows: &[&'a ReachRow], senders: &[Sender]) -> Plan<'a> {
    for (route, sender) in senders.iter().enumerate() {
        let best = rows
            .iter()
            .filter(|row| row.account_id == Some(sender.id))
            .filter_map(|row| Some((rank(row)?, *row)))
            .max_by_key(|(rank, _)| *rank);
        if let Some((_, to)) = best {
            return Plan::Send { route, to };
        }
    }
    let (reason, detail) = explain(rows, senders);
    Plan::Unreachable { reason, detail }
}

/// How well an identity can be tried; none: not at all.
fn rank(row: &ReachRow) -> Option<(bool, i64, i64)> {
    let follows = match row.follow_state? {
        FollowState::Following => true,
        FollowState::Unknown => false,
        FollowState::NotFollowing => return None,
    };
    if row.profile_state? == ProfileState::UnknownOpenid {
        return None;
    }
    row.openid.as_ref()?;
    let followed_time = row.followed_time.unwrap_or_default();
    Some((follows, followed_time, row.identity_id?.0))
}

fn explain(rows: &[&ReachRow], senders: &[Sender]) -> (Unreachable, String) {
    if rows.is_empty() {
        let detail = "The project has no staff member of this id. Create it and bind it first.";
        return (Unreachable::UnknownStaff, detail.to_owned());
    }
    if !rows.iter().any(|row| row.bound) {
        let detail = "The staff member is bound to nobody. Bind it through a mini-program login, \
                      an openid or a unionid.";
        return (Unreachable::NotBound, detail.to_owned());
    }
    let there = |sender: &&Sender, known: bool| {
        rows.iter().any(|row| {
            let unknown = row.profile_state == Some(ProfileState::UnknownOpenid);
            row.account_id == Some(sender.id) && unknown != known
        })
    };
    if let Some(sender) = senders.iter().find(|sender| there(sender, true)) {
        let app_id = &sender.app_id;
        let detail = format!("The person does not follow account {app_id}. Ask them to follow it.");
        return (Unreachable::NotFollowing, detail);
    }
    if let Some(sender) = senders.iter().find(|sender| there(sender, false)) {
        let app_id = &sender.app_id;
        let detail = format!(
            "WeChat does not know the bound openid in account {app_id}: the same person has \
             another one in each account. Bind the staff member again with the right one."
        );
        return (Unreachable::UnknownOpenid, detail);
    }
    let accounts: Vec<&str> = senders
        .iter()
        .map(|sender| sender.app_id.as_str())
        .collect();
    let detail = format!(
        "The person is not known in account {}. {}",
        accounts.join(" or "),
        why_unlinked(rows)
    );
    (Unreachable::NoIdentityInAccount, detail)
}

/// Where the person's unionid is not known, nothing can link them to another account.
fn why_unlinked(rows: &[&ReachRow]) -> &'static str {
    if rows.iter().any(|row| row.unionid.is_some()) {
        return "Ask them to follow it; if they do, check that it is bound to the same Open \
                Platform account, and import its followers.";
    }
    match rows.iter().find_map(|row| row.profile_state) {
        Some(ProfileState::Pending) => {
            "Their unionid is not known yet, because their profile is still to be fetched. Try \
             again in a moment."
        }
        Some(ProfileState::NotBoundToOpenPlatform) => {
            "Their unionid is not known, because the account they are bound through is not bound \
             to an Open Platform account. Bind both accounts at open.weixin.qq.com."
        }
        Some(ProfileState::NotFollowing) => {
            "Their unionid is not known, because WeChat tells it only of followers. Ask them to \
             follow, or bind the staff member through the mini-program."
        }
        Some(ProfileState::UnknownOpenid) => {
            "Their unionid is not known, because WeChat does not know the bound openid in its \
             account. Bind the staff member again with the right openid."
        }
        Some(ProfileState::LoginNeeded) => {
            "Their unionid is not known, because they have not logged in to the mini-program yet. \
             Have them open it."
        }
        Some(ProfileState::Complete) | None => {
            "Nobody with the bound unionid or openid has been seen yet. Ask them to follow it."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdentityId;

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

    fn senders(ids: &[i64]) -> Vec<Sender> {
        ids.iter()
            .map(|id| Sender {
                id: AccountId(*id),
                app_id: format!("wx{id}"),
            })
            .collect()
    }

    fn chosen(rows: &[ReachRow], routes: &[i64]) -> Result<(usize, i64), Unreachable> {
        let rows: Vec<&ReachRow> = rows.iter().collect();
        match plan(&rows, &senders(routes)) {
            Plan::Send { route, to } => Ok((route, to.identity_id.unwrap().0)),
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
            let Plan::Unreachable { reason, detail } = plan(&[&row], &senders(&[10, 11])) else {
                panic!("{state}");
            };
            assert_eq!(reason.as_str(), "no_identity_in_account");
            assert!(detail.contains("wx10 or wx11"), "{detail}");
            assert!(detail.ends_with('.'), "{detail}");
            row.unionid = Some("u".to_owned());
            let Plan::Unreachable { detail: linked, .. } = plan(&[&row], &senders(&[10])) else {
                panic!("{state}");
            };
            assert!(linked.contains("same Open Platform"), "{linked}");
        }
    }
}
