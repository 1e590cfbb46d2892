//! What becomes of the receipts of template and subscription messages: the status they report, and how their pushes arrive.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, RwLock};

use serde::{Deserialize, Serialize};

use super::locks::{lock, read, write};
use crate::wechat::fields::Fields;

/// How the push of a receipt arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Soon after the send's answer.
    #[default]
    Normal,
    /// Before the send is answered.
    BeforeAnswer,
    /// Some milliseconds after the answer.
    Delayed(u64),
    /// Never.
    Lost,
    /// Soon after the send's answer, but every so many of the account's never.
    LostEvery(u32),
    /// When receipts are released.
    Held,
    /// So many times, identical.
    Duplicated(u32),
}

/// The receipt of a message. JSON: `{"status": "failed:user block", "arrival": "lost"}`, `{"arrival": {"delayed": 50}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Receipt {
    /// `success`, `failed:user block`, `failed: system failed`. Only a success is shown to the person.
    pub status: String,
    /// How its push arrives.
    pub arrival: Arrival,
}

impl Default for Receipt {
    fn default() -> Self {
        Self {
            status: "success".to_owned(),
            arrival: Arrival::Normal,
        }
    }
}

#[derive(Default)]
struct Plan {
    for_all: Receipt,
    for_one: HashMap<u32, Receipt>,
}

#[derive(Default)]
pub(super) struct Receipts {
    plan: RwLock<Plan>,
    sent: AtomicU32,
    held: Mutex<Vec<Fields<'static>>>,
}

impl Receipts {
    pub(super) fn set(&self, person: Option<u32>, receipt: Receipt) {
        let mut plan = write(&self.plan);
        match person {
            Some(person) => {
                plan.for_one.insert(person, receipt);
            }
            None => plan.for_all = receipt,
        }
    }

    /// Whether this one never arrives.
    pub(super) fn is_lost(&self, arrival: Arrival) -> bool {
        match arrival {
            Arrival::Lost => true,
            Arrival::LostEvery(every) => {
                let number = self.sent.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                number.checked_rem(every) == Some(0)
            }
            _ => false,
        }
    }

    pub(super) fn hold(&self, receipt: Fields<'static>) {
        lock(&self.held).push(receipt);
    }

    pub(super) fn take_held(&self) -> Vec<Fields<'static>> {
        std::mem::take(&mut *lock(&self.held))
    }

    pub(super) fn of(&self, person: u32) -> Receipt {
        let plan = read(&self.plan);
        plan.for_one.get(&person).unwrap_or(&plan.for_all).clone()
    }
}
