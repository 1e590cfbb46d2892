//! What the other rooms of the simulator need of the world, and its callers do not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{World, WorldError};
use crate::simulator::account::Account;
use crate::simulator::api::{Endpoint, Errcode};
use crate::simulator::faults::Faults;
use crate::simulator::gates::Gates;
use crate::simulator::locks::{lock, read};
use crate::simulator::persons::Persons;
use crate::simulator::population;
use crate::simulator::record::Record;
use crate::simulator::results::Results;
use crate::simulator::sender::Sender;
use crate::simulator::tokens::{Tokens, random_text};

impl World {
    pub(in crate::simulator) fn find(&self, app_id: &str) -> Option<Arc<Account>> {
        read(&self.state.accounts).get(app_id).cloned()
    }

    pub(in crate::simulator) fn account(&self, app_id: &str) -> Result<Arc<Account>, WorldError> {
        self.find(app_id)
            .ok_or_else(|| WorldError::UnknownAccount(app_id.to_owned()))
    }

    pub(in crate::simulator) fn check_person(&self, person: u32) -> Result<(), WorldError> {
        let people = self.state.people.load(Ordering::Relaxed);
        if person < people {
            Ok(())
        } else {
            Err(WorldError::UnknownPerson { person, people })
        }
    }

    /// The person behind an openid of this account: 40003 for anything else.
    pub(in crate::simulator) fn person_of(
        &self,
        account: &Account,
        openid: &str,
    ) -> Result<u32, Errcode> {
        population::person(&account.app_id, openid)
            .filter(|person| self.check_person(*person).is_ok())
            .ok_or(Errcode::INVALID_OPENID)
    }

    pub(in crate::simulator) fn persons(&self) -> &Persons {
        &self.state.persons
    }

    pub(in crate::simulator) fn results(&self) -> &Results {
        &self.state.results
    }

    pub(in crate::simulator) fn seconds(&self) -> i64 {
        self.state.time.seconds()
    }

    pub(in crate::simulator) fn token_life(&self) -> i64 {
        self.state.token_life
    }

    pub(in crate::simulator) fn page_size(&self) -> usize {
        self.state.page_size
    }

    pub(in crate::simulator) fn tokens(&self) -> &Tokens {
        &self.state.tokens
    }

    pub(in crate::simulator) fn gates(&self) -> &Gates {
        &self.state.gates
    }

    pub(in crate::simulator) fn faults(&self) -> &Faults {
        &self.state.faults
    }

    pub(in crate::simulator) fn record(&self) -> &Record {
        &self.state.record
    }

    pub(in crate::simulator) fn sender(&self) -> &Sender {
        &self.state.sender
    }

    pub(in crate::simulator) fn runtime(&self) -> &Handle {
        &self.state.runtime
    }

    pub(in crate::simulator) fn next_msgid(&self) -> i64 {
        self.state.next_msgid.fetch_add(1, Ordering::Relaxed)
    }

    pub(in crate::simulator) fn count_repeat(&self) {
        self.state.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::simulator) fn count_call(&self, endpoint: Endpoint, account: Option<&Account>) {
        self.state.calls.count(endpoint);
        if let Some(account) = account {
            account.calls.count(endpoint);
        }
    }

    pub(in crate::simulator) fn latency(&self, endpoint: Endpoint) -> Option<Duration> {
        let slot = self.state.latency_micros.get(endpoint as usize)?;
        let micros = slot.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    pub(in crate::simulator) fn issue_code(&self, account: &Account, person: u32) -> String {
        let code = format!("0{}", random_text(31));
        lock(&account.codes).issue(code.clone(), person, self.now());
        code
    }
}
