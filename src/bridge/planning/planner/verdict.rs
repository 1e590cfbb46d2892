//! What one route means for one person.

use super::{Credits, Sender};
use crate::bridge::routes::Permission;
use crate::bridge::windows;
use crate::models::account::AccountKind;
use crate::models::delivery::Reason;
use crate::models::identity::windows::Closed;
use crate::models::identity::{FollowState, ProfileState};
use crate::models::staff::ReachRow;

/// Why a staff member cannot be reached. In the order in which they are nearer to being fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreachable {
    /// There is no such staff member in the project.
    UnknownStaff,
    /// The staff member is bound to nobody.
    NotBound,
    /// The person is not known in the account.
    NoIdentityInAccount,
    /// WeChat does not know the openid in that account.
    UnknownOpenid,
    /// The person is known there and does not follow.
    NotFollowing,
    /// The person has not allowed another message of this template.
    NoCredit,
    /// The person did nothing lately that allows a customer message.
    WindowClosed,
    /// As many customer messages were sent as what they did last allows.
    AllowanceUsed,
}

impl From<Unreachable> for Reason {
    fn from(why: Unreachable) -> Self {
        match why {
            Unreachable::UnknownStaff => Self::UnknownStaff,
            Unreachable::NotBound => Self::NotBound,
            Unreachable::NoIdentityInAccount => Self::NoIdentityInAccount,
            Unreachable::UnknownOpenid => Self::UnknownOpenid,
            Unreachable::NotFollowing => Self::NotFollowing,
            Unreachable::NoCredit => Self::NoCredit,
            Unreachable::WindowClosed => Self::WindowClosed,
            Unreachable::AllowanceUsed => Self::AllowanceUsed,
        }
    }
}

impl Unreachable {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        Reason::from(self).as_str()
    }
}

/// Why no route can lead to whoever has these rows.
pub(super) fn nobody(rows: &[&ReachRow]) -> Option<(Unreachable, &'static str)> {
    if rows.is_empty() {
        let detail = "The project has no staff member of this id. Create it and bind it first.";
        return Some((Unreachable::UnknownStaff, detail));
    }
    let detail = "The staff member is bound to nobody. Bind it through a mini-program login, an \
                  openid or a unionid.";
    let is_bound = rows.iter().any(|row| row.bound);
    (!is_bound).then_some((Unreachable::NotBound, detail))
}

/// The identity to send to, if the route leads to the person.
pub(super) fn best<'a>(
    rows: &[&'a ReachRow],
    sender: &Sender,
    credits: &Credits,
) -> Option<&'a ReachRow> {
    if sender.channel.traits().permission == Permission::Nothing {
        return anyway(rows, sender);
    }
    let there = rows.iter().filter(|row| row.account_id == sender.id);
    there
        .filter_map(|row| Some((rank(row, sender, credits)?, *row)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, row)| row)
}

/// The row of the staff member, if the route needs no identity.
pub(super) fn anyway<'a>(rows: &[&'a ReachRow], sender: &Sender) -> Option<&'a ReachRow> {
    let needs_none = sender.channel.traits().permission == Permission::Nothing;
    let mut rows = rows.iter().filter(|row| row.identity_id.is_none());
    rows.next().filter(|_| needs_none).copied()
}

/// The identity whose consent is all that the route lacks, if they have not refused it: somebody who
/// was not asked yet may be answering at this moment.
pub(super) fn awaited<'a>(
    rows: &[&'a ReachRow],
    sender: &Sender,
    credits: &Credits,
) -> Option<&'a ReachRow> {
    if sender.channel.traits().permission != Permission::Credit {
        return None;
    }
    let there = rows.iter().filter(|row| row.account_id == sender.id);
    let may_allow = there.filter(|row| {
        let balance = row
            .identity_id
            .and_then(|id| credits.of(id, &sender.template_id));
        let is_one = row.openid.is_some() && row.profile_state != Some(ProfileState::UnknownOpenid);
        row.identity_id.is_some() && is_one && balance.is_none_or(|balance| !balance.declined)
    });
    may_allow
        .max_by_key(|row| (row.followed_time, row.identity_id))
        .copied()
}

/// How well an identity can be tried; none: not at all.
fn rank(row: &ReachRow, sender: &Sender, credits: &Credits) -> Option<(bool, i64, i64)> {
    let id = row.identity_id?;
    row.openid.as_ref()?;
    if row.profile_state? == ProfileState::UnknownOpenid {
        return None;
    }
    let follow_state = row.follow_state?;
    let may = match sender.channel.traits().permission {
        Permission::Follow => follow_state != FollowState::NotFollowing,
        // Who follows does not matter, and nobody follows a mini-program.
        Permission::Credit => credits
            .of(id, &sender.template_id)
            .is_some_and(|balance| balance.allows),
        Permission::Window => credits.window(id).is_ok(),
        Permission::Nothing => true,
    };
    let follows = follow_state == FollowState::Following;
    may.then_some((follows, row.followed_time.unwrap_or_default(), id.0))
}

/// Why the route does not lead to the person, who is bound to somebody.
pub(super) fn explain(
    rows: &[&ReachRow],
    sender: &Sender,
    credits: &Credits,
) -> (Unreachable, String) {
    let app_id = &sender.app_id;
    let there = || rows.iter().filter(|row| row.account_id == sender.id);
    let is_unknown = |row: &&&ReachRow| row.profile_state == Some(ProfileState::UnknownOpenid);
    if there().any(|row| !is_unknown(&row)) {
        return match sender.channel.traits().permission {
            Permission::Follow | Permission::Nothing => (
                Unreachable::NotFollowing,
                format!("The person does not follow account {app_id}. Ask them to follow it."),
            ),
            Permission::Credit => (Unreachable::NoCredit, no_credit(there(), sender, credits)),
            Permission::Window => closed(there(), sender, credits),
        };
    }
    if there().any(|row| is_unknown(&row)) {
        let detail = format!(
            "WeChat does not know this openid in account {app_id}: the same person has another \
             one in each account. Bind or name them with the right one."
        );
        return (Unreachable::UnknownOpenid, detail);
    }
    let detail = format!(
        "The person is not known in account {app_id}. {}",
        why_unlinked(rows, sender.kind)
    );
    (Unreachable::NoIdentityInAccount, detail)
}

fn no_credit<'r>(
    mut there: impl Iterator<Item = &'r &'r ReachRow>,
    sender: &Sender,
    credits: &Credits,
) -> String {
    let Sender {
        app_id,
        template_id,
        ..
    } = sender;
    let declined = there.any(|row| {
        let balance = row.identity_id.and_then(|id| credits.of(id, template_id));
        balance.is_some_and(|balance| balance.declined)
    });
    let why = match declined {
        true => "has refused messages of",
        false => "has not allowed another message of",
    };
    format!(
        "The person {why} template {template_id} of account {app_id}. Ask for their consent there."
    )
}

/// Why no customer message may be sent; of several identities, the reason nearest to being fixed.
fn closed<'r>(
    there: impl Iterator<Item = &'r &'r ReachRow>,
    sender: &Sender,
    credits: &Credits,
) -> (Unreachable, String) {
    let why = there.filter_map(|row| credits.window(row.identity_id?).err());
    let why = why.max_by_key(|why| Unreachable::from(*why));
    let why = why.unwrap_or(Closed::WindowClosed);
    let kind = sender.kind.unwrap_or(AccountKind::OfficialAccount);
    let detail = windows::detail(kind, why);
    let detail = format!("No customer message of account {}: {detail}", sender.app_id);
    (why.into(), detail)
}

impl From<Closed> for Unreachable {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::NotFollowing => Self::NotFollowing,
            Closed::WindowClosed | Closed::Refused => Self::WindowClosed,
            Closed::AllowanceUsed => Self::AllowanceUsed,
        }
    }
}

/// Where the person's unionid is not known, nothing can link them to another account.
fn why_unlinked(rows: &[&ReachRow], kind: Option<AccountKind>) -> &'static str {
    if rows.iter().any(|row| row.unionid.is_some()) {
        return match kind {
            Some(AccountKind::MiniProgram) => {
                "Have them open the mini-program and log in; if they did, check that it is bound to \
                 the same Open Platform account."
            }
            _ => {
                "Ask them to follow it; if they do, check that it is bound to the same Open \
                 Platform account, and import its followers."
            }
        };
    }
    no_unionid(rows.iter().find_map(|row| row.profile_state))
}

/// Why the unionid of a person in this state is not known, and what to do.
pub const fn no_unionid(state: Option<ProfileState>) -> &'static str {
    match state {
        Some(ProfileState::Pending) => {
            "Their unionid is not known yet, because their profile is still to be fetched. Try \
             again in a moment."
        }
        Some(ProfileState::NotBoundToOpenPlatform) => {
            "Their unionid is not known, because the account they are known in is not bound to an \
             Open Platform account. Bind both accounts at open.weixin.qq.com."
        }
        Some(ProfileState::NotFollowing) => {
            "Their unionid is not known, because WeChat tells it only of followers. Ask them to \
             follow, or to log in to the mini-program."
        }
        Some(ProfileState::UnknownOpenid) => {
            "Their unionid is not known, because WeChat does not know their openid in its account. \
             Bind or name them with the right openid."
        }
        Some(ProfileState::LoginNeeded) => {
            "Their unionid is not known, because they have not logged in to the mini-program yet. \
             Have them open it."
        }
        Some(ProfileState::Unconfirmed) => {
            "Their unionid is not known, because the business brought their openid in without it. \
             Bring it in with the unionid, or have them open the mini-program and log in."
        }
        Some(ProfileState::Complete) | None => {
            "Nobody with the bound unionid or openid has been seen yet. Ask them to follow it."
        }
    }
}
