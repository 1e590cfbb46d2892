//! Whether a staff member can be reached, account by account: the planner's own answer, for template
//! messages.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use super::planner::{Credits, Plan, Sender, Unreachable, plan};
use crate::bridge::routes::Channel;
use crate::models::account::{AccountKind, Label};
use crate::models::identity::FollowState;
use crate::models::staff::ReachRow;

/// Through which official accounts a staff member can be reached by template messages.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reach {
    /// Through at least one.
    pub reachable: bool,
    /// Each official account of the project.
    pub accounts: Vec<AccountReach>,
}

/// Whether a staff member can be reached through one account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountReach {
    /// The account.
    pub app_id: String,
    /// Whether a notification through this account would be sent.
    pub reachable: bool,
    /// Why not, or [`ReachReason::FOLLOW_UNKNOWN`] where that will only show when it is sent.
    pub reason: Option<ReachReason>,
    /// The same in a sentence, with what to do.
    pub detail: Option<String>,
}

/// A stable word for why a staff member is not reached, or not for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct ReachReason(&'static str);

impl ReachReason {
    /// It is not known whether the person follows.
    pub const FOLLOW_UNKNOWN: Self = Self("follow_unknown");

    /// Every reason that a template message has.
    const ALL: [Self; 5] = [
        Self("not_bound"),
        Self("no_identity_in_account"),
        Self("unknown_openid"),
        Self("not_following"),
        Self::FOLLOW_UNKNOWN,
    ];
}

impl From<Unreachable> for ReachReason {
    fn from(reason: Unreachable) -> Self {
        Self(reason.as_str())
    }
}

impl FromStr for ReachReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|reason| reason.0 == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(|reason| reason.0);
            format!("must be one of: {}", all.join(", "))
        })
    }
}

impl fmt::Display for ReachReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The reach of each staff member, in the order of `staff_ids`.
pub fn of_each(staff_ids: &[&str], rows: &[ReachRow], accounts: &[Label]) -> Vec<Reach> {
    let senders = senders(accounts);
    let mut by_staff: HashMap<&str, Vec<&ReachRow>> = HashMap::new();
    for row in rows {
        by_staff.entry(row.staff_id.as_str()).or_default().push(row);
    }
    staff_ids
        .iter()
        .map(|staff_id| reach(&by_staff.remove(staff_id).unwrap_or_default(), &senders))
        .collect()
}

/// A template message through each official account.
fn senders(accounts: &[Label]) -> Vec<Sender> {
    let official = accounts
        .iter()
        .filter(|account| account.kind == AccountKind::OfficialAccount);
    official
        .map(|account| Sender {
            id: Some(account.id),
            app_id: account.app_id.clone(),
            kind: Some(AccountKind::OfficialAccount),
            channel: Channel::Template,
            template_id: String::new(),
        })
        .collect()
}

fn reach(rows: &[&ReachRow], senders: &[Sender]) -> Reach {
    let accounts: Vec<AccountReach> = senders
        .iter()
        .map(|sender| account_reach(rows, sender))
        .collect();
    Reach {
        reachable: accounts.iter().any(|account| account.reachable),
        accounts,
    }
}

fn account_reach(rows: &[&ReachRow], sender: &Sender) -> AccountReach {
    let senders = std::slice::from_ref(sender);
    let (reachable, reason, detail) = match plan(rows, senders, 0, &Credits::default()) {
        Plan::Send { to, .. } if to.follow_state == Some(FollowState::Following) => {
            (true, None, None)
        }
        Plan::Send { .. } => {
            let detail = "It is not known yet whether the person follows. A notification will be \
                          tried.";
            let reason = ReachReason::FOLLOW_UNKNOWN;
            (true, Some(reason), Some(detail.to_owned()))
        }
        Plan::Unreachable { reason, detail, .. } => (false, Some(reason.into()), Some(detail)),
    };
    AccountReach {
        app_id: sender.app_id.clone(),
        reachable,
        reason,
        detail,
    }
}
