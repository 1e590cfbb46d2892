//! What one account can send to the person now, and what keeps it from sending.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::candidate_route::CandidateRoute;
use super::facts::Facts;
use crate::bridge::availability::account_problems::AccountProblem;
use crate::bridge::routes::{Channel, Permission};
use crate::bridge::windows::{self, CustomerWindow};
use crate::ids::IdentityId;
use crate::models::account::{Account, AccountKind};
use crate::models::identity::windows::{Rules, WindowFacts};
use crate::models::identity::{FollowState, Identity, ProfileState};

/// One account of the project, as it is for this person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountStory {
    /// WeChat's id of the app.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// A name for people.
    pub name: String,
    /// What keeps it from sending to anybody.
    pub trouble: Vec<AccountProblem>,
    /// The person's openids in it.
    pub identities: Vec<IdentityStory>,
    /// Template messages; none for a mini-program.
    pub template: Option<ChannelStory>,
    /// Templates whose messages the person has switched off inside WeChat, as far as refusals have
    /// told. They are tried all the same.
    pub switched_off: Vec<SwitchStory>,
    /// Subscription messages, by template.
    pub subscriptions: Vec<SubscriptionStory>,
    /// Customer messages.
    pub customer: CustomerStory,
}

/// A template whose messages the person has switched off.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SwitchStory {
    /// The template.
    pub template_id: String,
    /// Its name, if it was ever listed.
    pub title: Option<String>,
    /// When WeChat last refused a message for it.
    pub since: DateTime<Utc>,
}

/// One openid of the person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IdentityStory {
    /// Row id.
    pub id: IdentityId,
    /// The openid.
    pub openid: String,
    /// Whether they follow.
    pub follow_state: FollowState,
    /// Since when, by WeChat's clock, if it told.
    pub since: Option<DateTime<Utc>>,
    /// What is known of the profile, and if there is no unionid, why.
    pub profile_state: ProfileState,
}

/// Whether messages of a kind would be sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelStory {
    /// Whether one would be.
    pub would_send: bool,
    /// A stable word: why not, or `follow_unknown` where only trying will tell.
    pub reason: Option<&'static str>,
    /// The same in a sentence, with what to do.
    pub detail: Option<String>,
}

/// Whether messages of a subscription template would be sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SubscriptionStory {
    /// `mp_subscribe` or `oa_subscribe`.
    pub channel: Channel,
    /// The template.
    pub template_id: String,
    /// Its name, if it was ever listed.
    pub title: Option<String>,
    /// Whether the template is a long-term one.
    pub long_term: bool,
    /// One-time permissions not used yet.
    pub one_time_left: i32,
    /// Whether the person was ever asked, as far as is known.
    pub was_asked: bool,
    /// The message types that name it.
    pub message_types: Vec<String>,
    /// Whether one would be sent now.
    #[serde(flatten)]
    pub verdict: ChannelStory,
}

/// Whether customer messages may be sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CustomerStory {
    /// Until when the last window is open; none: all are closed.
    pub open_until: Option<DateTime<Utc>>,
    /// How many may be sent.
    pub left: i32,
    /// Why none may be sent, a stable word.
    pub reason: Option<&'static str>,
    /// The same in a sentence, with what to do.
    pub detail: Option<&'static str>,
}

pub(super) fn stories(facts: &Facts, rules: &Rules) -> Vec<AccountStory> {
    let accounts = facts.accounts.iter();
    accounts
        .map(|account| story(facts, account, rules))
        .collect()
}

fn story(facts: &Facts, account: &Account, rules: &Rules) -> AccountStory {
    let identities = facts.identities.iter();
    let there: Vec<&Identity> = identities
        .filter(|one| one.account_id == account.id)
        .collect();
    let candidates = facts.candidates.iter();
    let candidates = candidates.filter(|candidate| candidate.sender.id == Some(account.id));
    let of = |wanted: Permission| {
        let candidates = candidates.clone();
        candidates.filter(move |candidate| candidate.sender.channel.traits().permission == wanted)
    };
    AccountStory {
        app_id: account.app_id.clone(),
        kind: account.kind,
        name: account.name.clone(),
        trouble: facts.troubles.get(&account.id).cloned().unwrap_or_default(),
        identities: there.iter().map(|one| identity(one)).collect(),
        template: of(Permission::Follow).next().map(verdict),
        switched_off: switched_off(facts, account),
        subscriptions: of(Permission::Credit)
            .map(|candidate| subscription(facts, candidate))
            .collect(),
        customer: customer(rules, account.kind, &there, facts.now.and_utc().timestamp()),
    }
}

fn switched_off(facts: &Facts, account: &Account) -> Vec<SwitchStory> {
    let off = facts.switched_off.iter();
    let off = off.filter(|one| one.account_id == account.id);
    off.map(|one| SwitchStory {
        template_id: one.template_id.clone(),
        title: facts
            .titles
            .get(&(one.account_id, one.template_id.clone()))
            .cloned(),
        since: one.since.and_utc(),
    })
    .collect()
}

fn identity(identity: &Identity) -> IdentityStory {
    let time = match identity.follow_state {
        FollowState::Following => identity.followed_time,
        FollowState::NotFollowing => identity.unfollowed_time,
        FollowState::Unknown => 0,
    };
    IdentityStory {
        id: identity.id,
        openid: identity.openid.clone(),
        follow_state: identity.follow_state,
        // 1 stands for a follow whose time is not known.
        since: DateTime::from_timestamp(time, 0).filter(|_| time > 1),
        profile_state: identity.profile_state,
    }
}

fn verdict(candidate: &CandidateRoute) -> ChannelStory {
    let (reason, detail) = match &candidate.why {
        Some((reason, detail)) => (Some(reason.as_str()), Some(detail.clone())),
        None if candidate.is_a_try => {
            let detail =
                "It is not known yet whether the person follows. A notification will be tried.";
            (Some("follow_unknown"), Some(detail.to_owned()))
        }
        None => (None, None),
    };
    ChannelStory {
        would_send: candidate.why.is_none(),
        reason,
        detail,
    }
}

fn subscription(facts: &Facts, candidate: &CandidateRoute) -> SubscriptionStory {
    let sender = &candidate.sender;
    let credits = facts.credits.iter().filter(|credit| {
        Some(credit.account_id) == sender.id && credit.template_id == sender.template_id
    });
    let title = sender
        .id
        .and_then(|id| facts.titles.get(&(id, sender.template_id.clone())));
    SubscriptionStory {
        channel: sender.channel,
        template_id: sender.template_id.clone(),
        title: title.cloned(),
        long_term: credits.clone().any(|credit| credit.long_term),
        one_time_left: credits.clone().map(|credit| credit.one_time_left).sum(),
        was_asked: credits.clone().next().is_some(),
        message_types: candidate.message_types.clone(),
        verdict: verdict(candidate),
    }
}

/// Of several openids, the one that allows the most.
fn customer(rules: &Rules, kind: AccountKind, there: &[&Identity], now: i64) -> CustomerStory {
    let looks = there
        .iter()
        .map(|one| windows::look(rules, kind, &WindowFacts::from(*one), now));
    let best = looks.max_by_key(|look| match look {
        CustomerWindow::Open { left, .. } => *left,
        CustomerWindow::Closed { .. } => 0,
    });
    let (reason, detail) = match best {
        Some(CustomerWindow::Open { until, left }) => {
            return CustomerStory {
                open_until: Some(until),
                left,
                reason: None,
                detail: None,
            };
        }
        Some(CustomerWindow::Closed { reason, detail }) => (reason.as_str(), detail),
        None => (
            "no_identity_in_account",
            "The person is not known in this account.",
        ),
    };
    CustomerStory {
        open_until: None,
        left: 0,
        reason: Some(reason),
        detail: Some(detail),
    }
}
