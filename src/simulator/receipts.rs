//! What becomes of the receipts of template and subscription messages: the status they report, and how their pushes arrive.

use std::collections::HashMap;
use std::sync::RwLock;

use serde::{Deserialize, Serialize};

use super::locks::{read, write};

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

    pub(super) fn of(&self, person: u32) -> Receipt {
        let plan = read(&self.plan);
        plan.for_one.get(&person).unwrap_or(&plan.for_all).clone()
    }
}
