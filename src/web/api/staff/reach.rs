//! Whether a staff member can be reached, account by account: the planner's own answer.

use std::collections::HashMap;

use serde::Serialize;

use super::super::person::Accounts;
use crate::bridge::planning::planner::{Credits, Plan, Sender, plan};
use crate::bridge::routes::Channel;
use crate::models::account::AccountKind;
use crate::models::identity::FollowState;
use crate::models::staff::ReachRow;

/// Through which official accounts a staff member can be reached by template messages.
#[derive(Debug, Serialize)]
pub(super) struct Reach {
    /// Through at least one.
    reachable: bool,
    accounts: Vec<AccountReach>,
}

#[derive(Debug, Serialize)]
struct AccountReach {
    app_id: String,
    /// Whether a notification through this account would be sent.
    reachable: bool,
    /// A stable word: why not, or `follow_unknown` where that will only show when it is sent.
    reason: Option<&'static str>,
    /// The same in a sentence, with what to do.
    detail: Option<String>,
}

/// The reach of each staff member, in the order of `staff_ids`.
pub(super) fn of_each(staff_ids: &[&str], rows: &[ReachRow], accounts: &Accounts) -> Vec<Reach> {
    let mut by_staff: HashMap<&str, Vec<&ReachRow>> = HashMap::new();
    for row in rows {
        by_staff.entry(row.staff_id.as_str()).or_default().push(row);
    }
    staff_ids
        .iter()
        .map(|staff_id| reach(&by_staff.remove(staff_id).unwrap_or_default(), accounts))
        .collect()
}

/// The reach of one staff member, from their rows.
pub(super) fn of_one(rows: &[ReachRow], accounts: &Accounts) -> Reach {
    reach(&rows.iter().collect::<Vec<_>>(), accounts)
}

fn reach(rows: &[&ReachRow], accounts: &Accounts) -> Reach {
    let accounts: Vec<AccountReach> = accounts
        .official()
        .into_iter()
        .map(|account| {
            let sender = Sender {
                id: Some(account.id),
                app_id: account.app_id.clone(),
                kind: Some(AccountKind::OfficialAccount),
                channel: Channel::Template,
                template_id: String::new(),
            };
            account_reach(rows, sender)
        })
        .collect();
    Reach {
        reachable: accounts.iter().any(|account| account.reachable),
        accounts,
    }
}

fn account_reach(rows: &[&ReachRow], sender: Sender) -> AccountReach {
    let senders = [sender];
    let (reachable, reason, detail) = match plan(rows, &senders, 0, &Credits::default()) {
        Plan::Send { to, .. } if to.follow_state == Some(FollowState::Following) => {
            (true, None, None)
        }
        Plan::Send { .. } => {
            let detail = "It is not known yet whether the person follows. A notification will be \
                          tried.";
            (true, Some("follow_unknown"), Some(detail.to_owned()))
        }
        Plan::Unreachable { reason, detail, .. } => (false, Some(reason.as_str()), Some(detail)),
    };
    let [sender] = senders;
    AccountReach {
        app_id: sender.app_id,
        reachable,
        reason,
        detail,
    }
}
