//! The ways to send something through the project's accounts, each judged by the planner for one
//! person.

use std::slice;

use crate::bridge::planning::planner::{Credits, Plan, Sender, Unreachable, plan};
use crate::bridge::planning::senders::{KnownAccounts, sender};
use crate::bridge::routes::{Channel, Permission, Route};
use crate::models::account::{Account, AccountKind};
use crate::models::credit::Credit;
use crate::models::identity::FollowState;
use crate::models::staff::ReachRow;

/// One way to send something.
pub(super) struct CandidateRoute {
    /// The account, the channel and, for a subscription message, the template.
    pub(super) sender: Sender,
    /// The message types with a route that goes this way.
    pub(super) message_types: Vec<String>,
    /// Why it does not lead to the person, if it does not.
    pub(super) why: Option<(Unreachable, String)>,
    /// It leads to an identity of which it is not known whether it follows.
    pub(super) is_a_try: bool,
    /// It lacks nothing but the person's consent, which they have not refused.
    pub(super) is_awaited: bool,
}

/// A template message goes to followers, whatever its template.
pub(super) fn general(mut sender: Sender) -> Sender {
    if sender.channel.traits().permission == Permission::Follow {
        sender.template_id.clear();
    }
    sender
}

/// Every way that there is: template messages of each official account, the routes of all message
/// types, and the subscription messages that the person was asked to allow.
pub(super) fn all(
    accounts: &[Account],
    known: &KnownAccounts,
    types: &[(String, String)],
    credits: &[Credit],
) -> Vec<CandidateRoute> {
    let mut candidates = Vec::new();
    let of = |account: &Account, channel, template_id: &str| Sender {
        id: Some(account.id),
        app_id: account.app_id.clone(),
        kind: Some(account.kind),
        channel,
        template_id: template_id.to_owned(),
    };
    for account in accounts {
        if account.kind == AccountKind::OfficialAccount {
            add(&mut candidates, of(account, Channel::Template, ""), None);
        }
    }
    for (name, routes) in types {
        let routes: Vec<Route> = serde_json::from_str(routes).unwrap_or_default();
        for route in &routes {
            if let Ok(sender) = sender(known, 0, route) {
                add(&mut candidates, general(sender), Some(name));
            }
        }
    }
    for credit in credits {
        let Some(account) = accounts.iter().find(|one| one.id == credit.account_id) else {
            continue;
        };
        let channel = match account.kind {
            AccountKind::OfficialAccount => Channel::OaSubscribe,
            AccountKind::MiniProgram => Channel::MpSubscribe,
        };
        add(
            &mut candidates,
            of(account, channel, &credit.template_id),
            None,
        );
    }
    candidates
}

fn add(candidates: &mut Vec<CandidateRoute>, sender: Sender, named_by: Option<&String>) {
    let at = candidates
        .iter()
        .position(|candidate| candidate.sender == sender);
    let at = at.unwrap_or_else(|| {
        candidates.push(CandidateRoute {
            sender,
            message_types: Vec::new(),
            why: None,
            is_a_try: false,
            is_awaited: false,
        });
        candidates.len() - 1
    });
    if let (Some(candidate), Some(name)) = (candidates.get_mut(at), named_by)
        && !candidate.message_types.contains(name)
    {
        candidate.message_types.push(name.clone());
    }
}

/// Has the planner judge each way by itself.
pub(super) fn judge(candidates: &mut [CandidateRoute], reach: &[ReachRow], credits: &Credits) {
    let rows: Vec<&ReachRow> = reach.iter().collect();
    for candidate in candidates {
        match plan(&rows, slice::from_ref(&candidate.sender), 0, credits) {
            Plan::Unreachable {
                reason,
                detail,
                awaiting,
                ..
            } => {
                candidate.why = Some((reason, detail));
                candidate.is_awaited = awaiting.is_some();
            }
            Plan::Send { to, .. } => {
                let by_follow = candidate.sender.channel.traits().permission == Permission::Follow;
                candidate.is_a_try = by_follow && to.follow_state != Some(FollowState::Following);
            }
        }
    }
}
