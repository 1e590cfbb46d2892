//! Who is reached how: the first route that leads to a person, and why those before it do not.
//! Pure.

mod verdict;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::bridge::routes::{Channel, Permission};
use crate::ids::{AccountId, IdentityId};
use crate::models::account::AccountKind;
use crate::models::credit::{CreditBalance, CreditKey};
use crate::models::delivery::Reason;
use crate::models::identity::windows::{Closed, Rules, WindowState};
use crate::models::staff::ReachRow;

pub use verdict::{Unreachable, no_unionid};

/// An account through which a route sends, and on which channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Row id; none for a channel without account.
    pub id: Option<AccountId>,
    /// For people to recognise it.
    pub app_id: String,
    /// What kind of account it is.
    pub kind: Option<AccountKind>,
    /// The kind of message.
    pub channel: Channel,
    /// The template; empty for a channel without templates.
    pub template_id: String,
}

/// What will be done for one staff member.
#[derive(Clone, Debug)]
pub enum Plan<'a> {
    /// Send to this identity, or to the staff member whoever they are at WeChat.
    Send {
        /// Which of the senders, from 0.
        route: usize,
        /// The identity; its ids and openid are set, but for a channel that needs none.
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
        /// The first route that lacks nothing but the person's consent, which they have not refused,
        /// and the identity that would give it.
        awaiting: Option<(usize, &'a ReachRow)>,
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
    /// A stable word for why it was left: a [`Reason`], or one that only a newer version knows.
    pub verdict: String,
    /// The same in a sentence.
    pub detail: String,
}

impl Considered {
    /// A route with its verdict.
    pub fn new(route: usize, sender: &Sender, verdict: Reason, detail: &str) -> Self {
        Self {
            route,
            channel: sender.channel,
            account: sender.app_id.clone(),
            verdict: verdict.to_string(),
            detail: detail.to_owned(),
        }
    }

    /// The planner's verdicts.
    pub fn all(passed: &[Passed], senders: &[Sender]) -> Vec<Self> {
        let numbered = passed.iter().filter_map(|passed| {
            let sender = senders.get(passed.route)?;
            let verdict = passed.reason.into();
            Some(Self::new(passed.route, sender, verdict, &passed.detail))
        });
        numbered.collect()
    }
}

/// What the identities that were asked about allow: templates, and customer messages.
#[derive(Debug, Default)]
pub struct Credits {
    templates: HashMap<IdentityId, Vec<CreditBalance>>,
    windows: HashMap<IdentityId, Result<(), Closed>>,
}

impl Credits {
    /// Sorts what was read.
    pub fn new(balances: Vec<CreditBalance>) -> Self {
        let mut by_identity: HashMap<IdentityId, Vec<CreditBalance>> = HashMap::new();
        for balance in balances {
            let known = by_identity.entry(balance.identity_id).or_default();
            known.push(balance);
        }
        Self {
            templates: by_identity,
            windows: HashMap::new(),
        }
    }

    /// Adds who may be sent a customer message `now`, seconds since 1970.
    pub fn add_windows(&mut self, found: &[WindowState], rules: &Rules, now: i64) {
        self.windows.extend(found.iter().map(|found| {
            let open = found.facts.look(rules.of(found.kind), now);
            (found.identity_id, open.map(drop))
        }));
    }

    /// Whether a customer message may be sent.
    fn window(&self, identity: IdentityId) -> Result<(), Closed> {
        let known = self.windows.get(&identity).copied();
        known.unwrap_or(Err(Closed::WindowClosed))
    }

    fn of(&self, identity: IdentityId, template_id: &str) -> Option<&CreditBalance> {
        let known = self.templates.get(&identity)?;
        known
            .iter()
            .find(|balance| balance.template_id == template_id)
    }
}

/// The permissions that [`plan`] will ask for, if it gets as far as that.
pub fn credit_keys<'a>(
    rows: &[&ReachRow],
    senders: &'a [Sender],
    from: usize,
) -> Vec<CreditKey<'a>> {
    let mut keys = Vec::new();
    for sender in in_question(rows, senders, from, Permission::Credit) {
        let there = rows.iter().filter(|row| row.account_id == sender.id);
        keys.extend(there.filter_map(|row| {
            Some(CreditKey {
                identity_id: row.identity_id?,
                template_id: &sender.template_id,
            })
        }));
    }
    keys
}

/// The identities whose windows [`plan`] will ask for, if it gets as far as that.
pub fn window_identities(rows: &[&ReachRow], senders: &[Sender], from: usize) -> Vec<IdentityId> {
    in_question(rows, senders, from, Permission::Window)
        .flat_map(|sender| rows.iter().filter(|row| row.account_id == sender.id))
        .filter_map(|row| row.identity_id)
        .collect()
}

/// The senders that need a permission of this kind, before the first that leads to the person
/// without any.
fn in_question<'a>(
    rows: &[&ReachRow],
    senders: &'a [Sender],
    from: usize,
    kind: Permission,
) -> impl Iterator<Item = &'a Sender> {
    let asks = move |sender: &&Sender| sender.channel.traits().permission == kind;
    let behind = senders.get(from..).unwrap_or_default();
    let needs_any = behind.iter().any(|sender| asks(&sender));
    let certain = |sender: &Sender| match sender.channel.traits().permission {
        Permission::Credit | Permission::Window => false,
        Permission::Follow | Permission::Nothing => {
            verdict::best(rows, sender, &Credits::default()).is_some()
        }
    };
    let end = match needs_any {
        true => behind.iter().position(certain).unwrap_or(behind.len()),
        false => 0,
    };
    behind.iter().take(end).filter(asks)
}

/// Plans for one person, whose rows of [`reach`](crate::models::staff::reach) these are, over
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
        return without_identity(rows, senders, from, reason, detail);
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
    let numbered = senders.iter().enumerate().skip(from);
    let mut awaiting = numbered.filter_map(|(route, sender)| {
        verdict::awaited(rows, sender, credits).map(|identity| (route, identity))
    });
    let awaiting = awaiting.next();
    // The reason that is nearest to being fixed, and the first of those.
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
        awaiting,
    }
}

/// Plans for somebody who is nobody at WeChat: the business may bring the message itself.
fn without_identity<'a>(
    rows: &[&'a ReachRow],
    senders: &[Sender],
    from: usize,
    reason: Unreachable,
    detail: &str,
) -> Plan<'a> {
    let detail = detail.to_owned();
    let numbered = senders.iter().enumerate().skip(from);
    let mut passed = Vec::new();
    for (route, sender) in numbered {
        if let Some(to) = verdict::anyway(rows, sender) {
            return Plan::Send { route, to, passed };
        }
        passed.push(Passed {
            route,
            reason,
            detail: detail.clone(),
        });
    }
    Plan::Unreachable {
        reason,
        detail,
        passed: Vec::new(),
        awaiting: None,
    }
}

#[cfg(test)]
mod tests;
