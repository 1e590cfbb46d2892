//! Who is reached how: the first route that leads to a person, and why those before it do not.
//! Pure.

mod verdict;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::route::{Channel, Permission};
use crate::ids::{AccountId, IdentityId};
use crate::models::credit::{Standing, Wanted};
use crate::models::staff::ReachRow;

pub use verdict::{Unreachable, no_unionid};

/// An account through which a route sends, and on which channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Row id; none for a channel without account.
    pub id: Option<AccountId>,
    /// For people to recognise it.
    pub app_id: String,
    /// The kind of message.
    pub channel: Channel,
    /// The template; empty for a channel without templates.
    pub template_id: String,
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
        /// The routes before it, which do not lead to the person.
        passed: Vec<Passed>,
    },
    /// There is no way.
    Unreachable {
        /// Why.
        reason: Unreachable,
        /// The same in a sentence, with what to do.
        detail: String,
        /// All routes; none where the person is not known at all.
        passed: Vec<Passed>,
    },
}

/// A route that does not lead to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Which of the senders, from 0.
    pub route: usize,
    /// Why.
    pub reason: Unreachable,
    /// The same in a sentence, with what to do.
    pub detail: String,
}

/// A route that was considered and left, as `deliveries.considered` has it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Which of the notification's routes, from 0.
    pub route: usize,
    /// The kind of message.
    pub channel: Channel,
    /// The app_id of its account, if the channel has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// A stable word for why it was left.
    pub verdict: String,
    /// The same in a sentence.
    pub detail: String,
}

impl Considered {
    /// A route with its verdict.
    pub fn new(route: usize, sender: &Sender, verdict: &str, detail: &str) -> Self {
        Self {
            route,
            channel: sender.channel,
            account: sender.app_id.clone(),
            verdict: verdict.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// The planner's verdicts.
    pub fn all(passed: &[Passed], senders: &[Sender]) -> Vec<Self> {
        let numbered = passed.iter().filter_map(|passed| {
            let sender = senders.get(passed.route)?;
            let verdict = passed.reason.as_str();
            Some(Self::new(passed.route, sender, verdict, &passed.detail))
        });
        numbered.collect()
    }
}

/// What the identities that were asked about allow.
#[derive(Debug, Default)]
pub struct Credits(HashMap<IdentityId, Vec<Standing>>);

impl Credits {
    /// Sorts what was read.
    pub fn new(standings: Vec<Standing>) -> Self {
        let mut by_identity: HashMap<IdentityId, Vec<Standing>> = HashMap::new();
        for standing in standings {
            let known = by_identity.entry(standing.identity_id).or_default();
            known.push(standing);
        }
        Self(by_identity)
    }

    fn of(&self, identity: IdentityId, template_id: &str) -> Option<&Standing> {
        let known = self.0.get(&identity)?;
        known
            .iter()
            .find(|standing| standing.template_id == template_id)
    }
}

/// The permissions that [`plan`] will ask for, if it gets as far as that.
pub fn wanted<'a>(rows: &[&ReachRow], senders: &'a [Sender], from: usize) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    let behind = senders.get(from..).unwrap_or_default();
    let needs = |sender: &Sender| sender.channel.traits().permission == Permission::Credit;
    if !behind.iter().any(needs) {
        return wanted;
    }
    for sender in behind {
        match sender.channel.traits().permission {
            Permission::Credit => {
                let there = rows.iter().filter(|row| row.account_id == sender.id);
                wanted.extend(there.filter_map(|row| {
                    Some(Wanted {
                        identity_id: row.identity_id?,
                        template_id: &sender.template_id,
                    })
                }));
            }
            Permission::Follow => {
                if verdict::best(rows, sender, &Credits::default()).is_some() {
                    break;
                }
            }
        }
    }
    wanted
}

/// Plans for one staff member, whose rows of [`reach`](crate::models::staff::reach) these are, over
/// the senders from number `from` on. Among several identities in one account, one that follows
/// goes before one of which that is not known, and then the newer one.
pub fn plan<'a>(
    rows: &[&'a ReachRow],
    senders: &[Sender],
    from: usize,
    credits: &Credits,
) -> Plan<'a> {
    let mut passed = Vec::new();
    if let Some((reason, detail)) = verdict::nobody(rows) {
        let detail = detail.to_owned();
        return Plan::Unreachable {
            reason,
            detail,
            passed,
        };
    }
    for (route, sender) in senders.iter().enumerate().skip(from) {
        if let Some(to) = verdict::best(rows, sender, credits) {
            return Plan::Send { route, to, passed };
        }
        let (reason, detail) = verdict::explain(rows, sender, credits);
        passed.push(Passed {
            route,
            reason,
            detail,
        });
    }
    // The reason that is nearest to being mended, and the first of those.
    let nearest = passed.iter().rev().max_by_key(|passed| passed.reason);
    let (reason, detail) = match nearest {
        Some(nearest) => (nearest.reason, nearest.detail.clone()),
        None => (
            Unreachable::NoIdentityInAccount,
            "There is no route.".to_owned(),
        ),
    };
    Plan::Unreachable {
        reason,
        detail,
        passed,
    }
}

#[cfg(test)]
mod tests;
