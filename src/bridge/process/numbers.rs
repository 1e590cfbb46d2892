//! What a batch of events adds to the numbers by day.

use std::collections::HashMap;

use super::Sorted;
use crate::clock::Day;
use crate::ids::AccountId;
use crate::models::account::Scope;
use crate::models::delivery::receipt::StoredReceipt;
use crate::models::event::Waiting;
use crate::models::stats::{Changes, Key, Metric};

/// With which day an event counts now: none, if it is counted already, or if its account is not known.
pub(super) fn stats_day(event: &Waiting, accounts: &HashMap<AccountId, Scope>) -> Option<Day> {
    let scope = accounts.get(&event.account_id)?;
    match event.stats_day {
        Some(_) => None,
        None => Some(scope.time_zone.day(event.received_at)),
    }
}

/// The events of a batch, each once however often it is processed, and the receipts that were stored with it.
pub(super) fn counted(sorted: &Sorted<'_>, receipts: &[StoredReceipt]) -> Changes {
    let accounts = sorted.accounts;
    let mut changes = Changes::default();
    changes.extend(sorted.waiting.iter().filter_map(|event| {
        let project = accounts.get(&event.account_id)?.project_id;
        let key = Key::new(project, stats_day(event, accounts)?, Metric::Events);
        Some(key.of_account(event.account_id).named(&event.kind))
    }));
    changes.extend(receipts.iter().filter_map(|receipt| {
        let scope = accounts.get(&receipt.account_id)?;
        Some(receipt.counted(scope.project_id))
    }));
    changes
}
