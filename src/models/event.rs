//! Events: callbacks as WeChat sent them.

mod insert;
mod queue;
mod search;
mod time;
mod wipe;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{schema::events, text_enum};
use crate::ids::{AccountId, EventId, IdentityId};

pub use insert::{insert_many, insert_new};
pub use queue::{
    Processed, Reread, Waiting, Which, change_kind, claim_waiting, fail, finish, requeue,
    requeue_failed, waiting_count,
};
pub use search::{Filter, by_id, list};
pub use time::counted;
pub use wipe::wipe;

/// Stored and not processed yet.
pub const WAITING: i32 = 0;
/// Its effects are in the database.
pub const PROCESSED: i32 = 1;
/// Its effects could not be applied; `problem` says why. It can be replayed.
pub const FAILED: i32 = 2;

text_enum! {
    /// The state of an event, as it is shown. In the table it is a number.
    pub enum EventState {
        /// [`WAITING`].
        Waiting = "waiting",
        /// [`PROCESSED`].
        Processed = "processed",
        /// [`FAILED`].
        Failed = "failed",
    }
}

impl EventState {
    /// The state that is stored as this number.
    pub fn of(state: i32) -> Self {
        match state {
            WAITING => Self::Waiting,
            FAILED => Self::Failed,
            _ => Self::Processed,
        }
    }
}

/// The condition of the index on events that are waiting, word for word: PostgreSQL uses the index only
/// for a query that repeats it.
const IS_WAITING: &str = "state = 0";
/// The same for those that failed.
const HAS_FAILED: &str = "state = 2";
/// The same for those that are not waiting.
const SETTLED: &str = "state <> 0";

/// An event to store.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = events)]
pub struct NewEvent {
    /// The account it was pushed to.
    pub account_id: AccountId,
    /// WeChat's CreateTime, seconds since 1970; 0 when it cannot be read.
    pub create_time: i64,
    /// When it came in, UTC.
    pub received_at: NaiveDateTime,
    /// [`WAITING`].
    pub state: i32,
    /// What is equal in a retry and different in every other push of the same second.
    pub dedup_key: i64,
    /// `text`, `event.subscribe`, …
    pub kind: String,
    /// The person it concerns, where it names one.
    pub openid: Option<String>,
    /// The decrypted body, byte for byte.
    pub body: Vec<u8>,
    /// Why it could not be parsed, if so.
    pub problem: Option<String>,
}

impl NewEvent {
    /// What no two stored events share, in the order of its index.
    pub fn key(&self) -> (i64, i64, AccountId) {
        (self.create_time, self.dedup_key, self.account_id)
    }
}

/// An event as stored.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = events)]
pub struct Event {
    /// Row id.
    pub id: EventId,
    /// The account it was pushed to.
    pub account_id: AccountId,
    /// WeChat's CreateTime, seconds since 1970.
    pub create_time: i64,
    /// When it came in, UTC.
    pub received_at: NaiveDateTime,
    /// [`WAITING`], [`PROCESSED`] or [`FAILED`].
    pub state: i32,
    /// As in [`NewEvent`].
    pub dedup_key: i64,
    /// `text`, `event.subscribe`, …
    pub kind: String,
    /// The person it concerns.
    pub openid: Option<String>,
    /// The decrypted body.
    pub body: Vec<u8>,
    /// Why it could not be parsed or processed.
    pub problem: Option<String>,
    /// The identity it concerns, once processed.
    pub identity_id: Option<IdentityId>,
    /// With which day it is counted, once processed: see [`stats`](crate::models::stats).
    pub stats_day: Option<i32>,
}
