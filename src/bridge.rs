//! The steps of the data path. Each meets the next only through a table and a wake signal.

/// Takes parts of the [`Bridge`] under their names: `wire!(bridge => Sender { db, clock; claimer })`, where what stands
/// behind the semicolon is there already.
macro_rules! wire {
    ($bridge:expr => $name:ident { $($part:ident),+ $(; $($own:ident),+)? }) => {
        $name { $($part: $bridge.$part.clone(),)+ $($($own,)+)? }
    };
}

pub mod accounts;
pub mod availability;
pub mod deliver;
pub mod explain;
pub mod health;
pub mod intake;
pub mod invitations;
pub mod limits;
pub mod notify;
pub mod people;
pub mod planning;
pub mod process;
pub mod retry;
pub mod routes;
pub mod signals;
pub mod stats;
pub mod steps;
pub mod templates;
pub mod token;
mod trusted;
pub mod users;
pub mod webhooks;
pub mod windows;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::vault::Vault;
use crate::wechat::client::Client;

use accounts::Accounts;
use accounts::keys::Keys;
use deliver::{Lanes, Restricted, Rests, Turns, Unrecorded};
use health::ends::Ends;
use health::loops::Loops;
use health::readiness::Readiness;
use notify::awaited::Awaited;
use planning::prepared::Notifications;
use process::SteppedOver;
use signals::Signals;
use stats::calls::Calls;
use token::Tokens;
use users::Users;
use webhooks::Webhooks;

/// What every step works with. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    /// The database.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// WeChat's API.
    pub wechat: Client,
    /// Opens and seals stored secrets.
    pub vault: Vault,
    /// All settings.
    pub config: Arc<Config>,
    /// The accounts with their secrets opened.
    pub accounts: Arc<Accounts>,
    /// Calls to WeChat that are not written down yet.
    pub calls: Arc<Calls>,
    /// API keys.
    pub keys: Arc<Keys>,
    /// People who sign in.
    pub users: Arc<Users>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Notifications ready to be sent.
    pub notifications: Arc<Notifications>,
    /// What is due in each account, and which of them may send.
    pub lanes: Arc<Lanes>,
    /// To whom this process is sending what WeChat takes one at a time.
    pub turns: Arc<Turns>,
    /// Of whom WeChat has lately said that they, or the account, are restricted.
    pub restricted: Arc<Restricted>,
    /// What came of messages and could not be recorded yet.
    pub unrecorded: Arc<Unrecorded>,
    /// Whose turn it is to take in a part of a table of people.
    pub(crate) adoptions: Arc<Semaphore>,
    /// One XLSX file at a time is made: it is in memory until it has been written.
    pub(crate) sheets: Arc<Semaphore>,
    /// What failed for good and is still to be told in the log.
    pub ends: Arc<Ends>,
    /// The business's endpoints that are left alone for a while.
    pub rests: Arc<Rests>,
    /// Posts to the business's endpoints.
    pub webhooks: Arc<Webhooks>,
    /// Wakes the next step.
    pub signals: Arc<Signals>,
    /// Requests that wait for the outcome of their messages.
    pub awaited: Arc<Awaited>,
    /// Events whose rows somebody else holds.
    pub stepped_over: Arc<SteppedOver>,
    /// The loops that run the steps.
    pub loops: Loops,
    /// Whether the database takes what it is given, and the steps go on.
    pub readiness: Arc<Readiness>,
}

/// Connections for looking up the accounts that callbacks name, apart from all others.
const FOR_CALLBACKS: u32 = 2;

impl Bridge {
    /// Puts the parts together.
    pub fn new(db: Db, clock: Clock, wechat: Client, vault: Vault, config: Arc<Config>) -> Self {
        let calls = Arc::new(Calls::default());
        let (aside, counted) = (db.aside(FOR_CALLBACKS), Arc::clone(&calls));
        let accounts = Accounts::new(aside, vault.clone(), clock.clone(), counted);
        let loops = Loops::default();
        let tokens = Tokens::new(db.clone(), vault.clone(), clock.clone(), wechat.clone());
        Self {
            accounts: Arc::new(accounts),
            calls,
            keys: Arc::new(Keys::new(db.clone(), clock.clone())),
            users: Arc::new(Users::new(
                db.clone(),
                clock.clone(),
                vault.clone(),
                &config,
            )),
            tokens: Arc::new(tokens),
            notifications: Arc::new(Notifications::new(&config.customer)),
            lanes: Arc::new(Lanes::new(&config.deliver)),
            turns: Arc::default(),
            restricted: Arc::default(),
            unrecorded: Arc::default(),
            adoptions: Arc::new(Semaphore::new(1)),
            sheets: Arc::new(Semaphore::new(1)),
            ends: Arc::default(),
            rests: Arc::default(),
            webhooks: Arc::new(Webhooks::new(&config.webhooks)),
            signals: Arc::new(Signals::default()),
            awaited: Arc::default(),
            stepped_over: Arc::default(),
            readiness: Arc::new(Readiness::new(db.aside(1), clock.clone(), loops.clone())),
            loops,
            db,
            clock,
            wechat,
            vault,
            config,
        }
    }
}

/// What one run of a step found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Work was done; there may be more.
    Worked,
    /// Nothing was due.
    Idle,
    /// Nothing is due yet, but will be this soon.
    Later(std::time::Duration),
}
