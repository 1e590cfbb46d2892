//! The simulated world: accounts, people, time, faults and what happened. Everything the control API can do is a
//! method of [`World`].

mod error;
mod rooms;
mod templates;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::SimulatorOptions;
use super::account::{Account, Settings};
use super::api::{Calls, Endpoint};
use super::budgets::Budget;
use super::faults::{Fault, Faults};
use super::gates::Gates;
use super::locks::{read, write};
use super::persons::Persons;
use super::receipts::Receipt;
use super::record::{Record, SeenMessage};
use super::results::Results;
use super::sender::{PushRecord, Sender};
use super::time::Time;
use super::tokens::Tokens;

pub use error::WorldError;

/// Counters since the start. They count even when nothing is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Calls to WeChat's API by path.
    pub calls: BTreeMap<String, u64>,
    /// Messages shown to people.
    pub messages: u64,
    /// Template messages not shown again because of their client_msg_id.
    pub repeats: u64,
    /// Pushes that ended, well or badly.
    pub pushes: u64,
    /// Pushes of these that were not answered as WeChat demands.
    pub failed_pushes: u64,
    /// Calls that a fault has hit.
    pub faults: u64,
    /// How many people there are.
    pub people: u32,
}

/// A handle on the simulated world; clones share it.
#[derive(Clone)]
pub struct World {
    state: Arc<State>,
}

/// Without what it holds: secrets and tokens among it.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

struct State {
    time: Time,
    token_life: i64,
    page_size: usize,
    accounts: RwLock<HashMap<String, Arc<Account>>>,
    people: AtomicU32,
    persons: Persons,
    tokens: Tokens,
    faults: Faults,
    gates: Gates,
    latency_micros: [AtomicU64; Endpoint::ALL.len()],
    calls: Calls,
    record: Record,
    repeats: AtomicU64,
    next_msgid: AtomicI64,
    sender: Sender,
    results: Results,
    runtime: Handle,
}

impl World {
    pub(super) fn new(options: &SimulatorOptions, runtime: Handle) -> Result<Self, reqwest::Error> {
        let state = State {
            time: Time::default(),
            token_life: i64::try_from(options.token_life.as_secs()).unwrap_or(i64::MAX / 2000),
            page_size: options.page_size,
            accounts: RwLock::default(),
            people: AtomicU32::new(0),
            persons: Persons::default(),
            tokens: Tokens::default(),
            faults: Faults::default(),
            gates: Gates::default(),
            latency_micros: Default::default(),
            calls: Calls::default(),
            record: Record::new(options.record_limit),
            repeats: AtomicU64::new(0),
            next_msgid: AtomicI64::new(3_990_000_000_000_000_001),
            sender: Sender::new(options)?,
            results: Results::default(),
            runtime,
        };
        Ok(Self {
            state: Arc::new(state),
        })
    }

    /// Adds an account, or replaces one with the same app_id and all that belongs to it.
    pub fn add_account(&self, mut settings: Settings) {
        settings.hold_to_kind();
        let account = Arc::new(Account::new(settings));
        write(&self.state.accounts).insert(account.app_id.clone(), account);
    }

    /// Changes an account's settings: a new mode or callback URL takes effect with the next push. The app_id stays.
    pub fn change_account(
        &self,
        app_id: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        account.change(change);
        account.change(|settings| {
            settings.app_id.clone_from(&account.app_id);
            settings.hold_to_kind();
        });
        Ok(())
    }

    /// An account's settings, secrets included.
    pub fn settings(&self, app_id: &str) -> Result<Arc<Settings>, WorldError> {
        Ok(self.account(app_id)?.settings())
    }

    /// All accounts, by app_id.
    pub fn accounts(&self) -> Vec<Arc<Settings>> {
        let accounts = read(&self.state.accounts);
        let mut all: Vec<_> = accounts
            .values()
            .map(|account| account.settings())
            .collect();
        all.sort_by(|a, b| a.app_id.cmp(&b.app_id));
        all
    }

    /// Adds so many people; how many there are now. They are numbered from 0.
    pub fn add_people(&self, count: u32) -> u32 {
        let added = |people: u32| Some(people.saturating_add(count));
        let before = self
            .state
            .people
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        before.map_or(0, |before| before.saturating_add(count))
    }

    /// Moves the simulated time forward: tokens, codes and client_msg_ids expire without anybody waiting.
    pub fn advance(&self, by: Duration) {
        self.state.time.advance(by);
    }

    /// Simulated time in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.state.time.millis()
    }

    /// Ends all access_tokens of an account, as when another system has fetched new ones: 40001.
    pub fn invalidate_tokens(&self, app_id: &str) -> Result<(), WorldError> {
        let account = self.account(app_id)?;
        self.state.tokens.invalidate(&account, self.now());
        Ok(())
    }

    /// Lets something go wrong. Faults are tried in the order in which they were added.
    pub fn add_fault(&self, fault: Fault) -> Result<(), WorldError> {
        if let Some(path) = &fault.path {
            endpoint(path)?;
        }
        self.state.faults.add(fault);
        Ok(())
    }

    /// The faults in force, with the calls they still will hit.
    pub fn faults_in_force(&self) -> Vec<Fault> {
        self.state.faults.list()
    }

    /// Everything works again.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Answers every call to `path` so much later; zero is the default.
    pub fn set_latency(&self, path: &str, latency: Duration) -> Result<(), WorldError> {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(slot) = self.state.latency_micros.get(endpoint(path)? as usize) {
            slot.store(micros, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What becomes of the receipts of messages to one person, or to everybody who has no rule of their own.
    pub fn set_receipt(
        &self,
        app_id: &str,
        person: Option<u32>,
        receipt: Receipt,
    ) -> Result<(), WorldError> {
        self.account(app_id)?.receipts.set(person, receipt);
        Ok(())
    }

    /// How often an account may make a call from now on.
    pub fn set_budget(&self, app_id: &str, budget: &Budget) -> Result<(), WorldError> {
        let endpoint = endpoint(&budget.path)?;
        let budgets = &self.account(app_id)?.budgets;
        budgets.set(endpoint, budget.daily, budget.per_minute);
        Ok(())
    }

    /// The messages of every kind that people saw, oldest first, as far as they are kept.
    pub fn messages(&self) -> Vec<SeenMessage> {
        self.state.record.messages.list(|_| true)
    }

    /// The messages that one openid saw.
    pub fn messages_to(&self, openid: &str) -> Vec<SeenMessage> {
        let to_them = |message: &SeenMessage| message.openid == openid;
        self.state.record.messages.list(to_them)
    }

    /// Completes when no result of a send is on its way any more: neither its push nor a repetition of it.
    pub async fn results_arrived(&self) {
        self.state.results.all_arrived().await;
    }

    /// The pushes that ended, in that order, as far as they are kept.
    pub fn pushes(&self) -> Vec<PushRecord> {
        self.state.record.pushes.list(|_| true)
    }

    /// Forgets the kept messages and pushes; the counters go on.
    pub fn clear_records(&self) {
        self.state.record.clear();
    }

    /// How often a path was called, by all accounts or by one.
    pub fn calls(&self, path: &str, app_id: Option<&str>) -> Result<u64, WorldError> {
        let endpoint = endpoint(path)?;
        match app_id {
            Some(app_id) => Ok(self.account(app_id)?.calls.get(endpoint)),
            None => Ok(self.state.calls.get(endpoint)),
        }
    }

    /// All counters.
    pub fn stats(&self) -> Stats {
        let state = &self.state;
        let calls = |endpoint: Endpoint| (endpoint.path().to_owned(), state.calls.get(endpoint));
        Stats {
            calls: Endpoint::ALL.into_iter().map(calls).collect(),
            messages: state.record.messages.total(),
            repeats: state.repeats.load(Ordering::Relaxed),
            pushes: state.record.pushes.total(),
            failed_pushes: state.record.failed_pushes(),
            faults: state.faults.hits(),
            people: state.people.load(Ordering::Relaxed),
        }
    }
}

fn endpoint(path: &str) -> Result<Endpoint, WorldError> {
    Endpoint::at(path).ok_or_else(|| WorldError::UnknownPath(path.to_owned()))
}
