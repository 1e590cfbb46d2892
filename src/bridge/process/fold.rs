//! What a batch of events amounts to: pure, so that order and repetition can be tested alone.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;

use super::consent::{self, Heard};
use super::unionid;
use super::window::Acted;
use crate::bridge::invitations::Presented;
use crate::bridge::webhooks::outbox::Verified;
use crate::ids::{AccountId, IdentityId};
use crate::metrics;
use crate::models::account::{AccountKind, Scope};
use crate::models::delivery::receipt::NewReceipt;
use crate::models::event::Waiting;
use crate::models::identity::{Found, ProfileState, Sighting, Spot};
use crate::models::storable;
use crate::wechat::message::{self, Content, FollowOrigin, Push, SendStatus};

/// The effects of a batch.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) sightings: Vec<Sighting>,
    pub(super) receipts: Vec<NewReceipt>,
    pub(super) consents: Vec<Heard>,
    pub(super) acted: Acted,
    pub(super) active: Active,
    pub(super) invitations: Vec<Presented>,
    pub(super) unionids: Vec<unionid::Heard>,
    pub(super) verified: Vec<Verified>,
}

/// When somebody last did something in an official account.
type Active = BTreeMap<(AccountId, String), i64>;

/// Sorted by account and openid, which is also the order in which rows are locked.
type Sightings = BTreeMap<(AccountId, String), Sighting>;

impl Effects {
    pub(super) fn of(
        waiting: &[Waiting],
        accounts: &HashMap<AccountId, Scope>,
        now: NaiveDateTime,
    ) -> Self {
        let mut sightings = Sightings::new();
        let mut receipts = BTreeMap::new();
        let mut consents = Vec::new();
        let mut acted = Acted::default();
        let mut active = Active::new();
        let mut invitations = Vec::new();
        let mut unionids = Vec::new();
        let mut verified = Vec::new();
        for event in waiting {
            let Some(&scope) = accounts.get(&event.account_id) else {
                continue;
            };
            let push = match event.problem {
                None => message::parse(&event.body).ok(),
                Some(_) => None,
            };
            if let Some(openid) = &event.openid {
                let key = (event.account_id, openid.clone());
                let sighting = sightings
                    .entry(key)
                    .or_insert_with(|| unseen(event.account_id, scope, openid, now));
                if let Some(push) = &push {
                    note(sighting, push, event.create_time);
                    if scope.kind == AccountKind::OfficialAccount && is_activity(&push.content) {
                        let key = (event.account_id, openid.clone());
                        let newest = active.entry(key).or_default();
                        *newest = event.create_time.max(*newest);
                    }
                    acted.note(
                        event.account_id,
                        scope.kind,
                        openid,
                        push,
                        event.create_time,
                    );
                }
            }
            let Some(push) = push else {
                continue;
            };
            consents.extend(consent::heard(event, &push));
            unionids.extend(unionid::heard(event, &push));
            invitations.extend(Presented::by(event, scope, &push));
            verified.extend(self::verified(event, &push));
            for receipt in self::receipts(event, &push, (scope, now)) {
                receipts.insert((receipt.account_id, receipt.msgid), receipt);
            }
        }
        let mut sightings: Vec<Sighting> = sightings.into_values().collect();
        for sighting in &mut sightings {
            settle(sighting);
        }
        Self {
            sightings,
            receipts: receipts.into_values().collect(),
            consents,
            acted,
            active,
            invitations,
            unionids,
            verified,
        }
    }

    /// Those who did something after they left, as far as is known of them: WeChat is asked.
    pub(super) fn revenants(&self, found: &[Found]) -> Vec<IdentityId> {
        // Only of the few who are gone is the key looked up.
        let gone = found.iter().filter(|found| found.is_gone);
        self.active(gone)
    }

    /// Those who did something in an account that was bound to no Open Platform account when WeChat was
    /// asked.
    pub(super) fn unbound(&self, found: &[Found]) -> Vec<IdentityId> {
        self.active(found.iter().filter(|found| found.is_unbound))
    }

    fn active<'a>(&self, found: impl Iterator<Item = &'a Found>) -> Vec<IdentityId> {
        let is_active = |found: &&Found| {
            let key = (found.account_id, found.openid.clone());
            let newest = self.active.get(&key);
            newest.is_some_and(|time| *time >= found.unfollowed_time)
        };
        found.filter(is_active).map(|found| found.id).collect()
    }

    pub(super) fn spots(&self) -> Vec<Spot<'_>> {
        self.sightings.iter().map(spot).collect()
    }

    /// Those in mini-programs.
    pub(super) fn of_mini_programs(&self) -> Vec<Spot<'_>> {
        let seen = self.sightings.iter();
        seen.filter(|sighting| sighting.profile_state == ProfileState::LoginNeeded)
            .map(spot)
            .collect()
    }
}

fn spot(sighting: &Sighting) -> Spot<'_> {
    Spot {
        account_id: sighting.account_id,
        openid: &sighting.openid,
    }
}

/// An openid of which nothing is known but that it exists. A profile can be fetched for an
/// official account only; a mini-program learns who somebody is when they log in.
fn unseen(account: AccountId, scope: Scope, openid: &str, now: NaiveDateTime) -> Sighting {
    let (profile_state, profile_due_at) = match scope.kind {
        AccountKind::OfficialAccount => (ProfileState::Pending, Some(now)),
        AccountKind::MiniProgram => (ProfileState::LoginNeeded, None),
    };
    Sighting {
        project_id: scope.project_id,
        account_id: account,
        openid: openid.to_owned(),
        followed_time: 0,
        unfollowed_time: 0,
        qr_scene: None,
        profile_state,
        profile_due_at,
        now,
    }
}

fn note(sighting: &mut Sighting, push: &Push, create_time: i64) {
    match &push.content {
        Content::Subscribe { origin, .. } if create_time > sighting.followed_time => {
            sighting.followed_time = create_time;
            sighting.qr_scene = match origin {
                FollowOrigin::QrScene { scene } => Some(storable(scene).into_owned()),
                _ => None,
            };
        }
        Content::Unsubscribe => {
            sighting.unfollowed_time = sighting.unfollowed_time.max(create_time);
        }
        Content::Unknown { .. } => metrics::unknown_event(),
        _ => {}
    }
}

/// Whether it was the person who did this, which hardly anybody can do who does not follow. What
/// WeChat says of its own accord tells nothing of that.
fn is_activity(content: &Content) -> bool {
    !matches!(
        content,
        Content::Subscribe { .. }
            | Content::Unsubscribe
            | Content::TemplateSendJobFinish { .. }
            | Content::MassSendJobFinish(_)
            | Content::SubscribeMsgSent { .. }
            | Content::UserInfoModified(_)
            | Content::UserAuthorizationRevoke(_)
            | Content::UserAuthorizationCancellation(_)
            | Content::DebugDemo { .. }
    )
}

/// WeChat says nothing of somebody who has unfollowed, so there is nothing to fetch; in the same
/// second as a follow, only WeChat can say which came last.
fn settle(sighting: &mut Sighting) {
    if sighting.unfollowed_time > sighting.followed_time {
        sighting.profile_state = ProfileState::NotFollowing;
        sighting.profile_due_at = None;
    }
}

/// What a push says of the verification of its account.
fn verified(event: &Waiting, push: &Push) -> Option<Verified> {
    match &push.content {
        Content::AccountVerification(verification) => Some(Verified {
            account_id: event.account_id,
            event_id: event.id,
            verification: verification.clone(),
        }),
        _ => None,
    }
}

/// What a push says of messages that were sent.
fn receipts(event: &Waiting, push: &Push, (scope, now): (Scope, NaiveDateTime)) -> Vec<NewReceipt> {
    let receipt = |msg_id: Option<&str>, reason: Option<&str>| {
        Some(NewReceipt {
            account_id: event.account_id,
            msgid: msg_id?.parse().ok()?,
            delivered: reason.is_none(),
            reason: reason.map(|reason| storable(reason).into_owned()),
            create_time: event.create_time,
            now,
            stats_day: scope.time_zone.day(now),
        })
    };
    match &push.content {
        Content::TemplateSendJobFinish { status } => {
            let reason = match status {
                SendStatus::Success => None,
                SendStatus::Failed { reason } => Some(reason.as_str()),
            };
            receipt(push.msg_id.as_deref(), reason)
                .into_iter()
                .collect()
        }
        Content::SubscribeMsgSent { entries } => {
            let each = entries.iter().filter_map(|entry| {
                let reason = (!entry.delivered()).then_some(entry.error_status.as_str());
                receipt(entry.msg_id.as_deref(), reason)
            });
            each.collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
