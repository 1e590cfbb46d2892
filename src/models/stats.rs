//! Numbers by day: how many events, deliveries, receipts, logins and calls there were on each day of a project.
//!
//! A number is the sum of two tables. Transactions add rows to `stats_changes` for what they do, and `daily_stats`
//! has what was folded of them: so two transactions that count the same never wait for each other. What a
//! transaction that is rolled back has counted is gone with it, so each number is what a count of the rows would be.
//!
//! | counted | by | on the day |
//! | --- | --- | --- |
//! | events | account, kind | on which the event came in; once it is processed, and once however often it is replayed |
//! | deliveries that were accepted | | on which they were to be sent first |
//! | deliveries in each state but `queued` | account, state, channel, reason of the moment | the same |
//! | receipts | account, result, WeChat's reason | on which they were stored |
//! | logins | account | of the login |
//! | calls to WeChat | account, call | of the call, some seconds later |
//!
//! Deliveries are counted by the database, by triggers on `deliveries` (migration `daily_stats`): no statement that
//! changes a state can forget to. A row says with which day it is counted (`stats_day`), so that neither a later
//! change nor another time zone makes it count on two days.

mod fold;
mod recount;

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Bool, Integer, Text};
use serde::Serialize;

use crate::clock::Day;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, statement, text_enum};
use crate::ids::{AccountId, ProjectId};

pub use fold::{fold, has_changes, has_older, hold, prune};
pub use recount::{
    Table, UncountedDelivery, UncountedEvent, UncountedReceipt, count_deliveries, count_events,
    count_receipts, rows_after, uncounted_deliveries, uncounted_events, uncounted_receipts,
};

text_enum! {
    /// What is counted.
    pub enum Metric {
        /// Events of WeChat, by kind.
        Events = "events",
        /// Deliveries that were accepted.
        Accepted = "accepted",
        /// Deliveries that are in a state other than `queued`.
        Deliveries = "deliveries",
        /// Receipts, by result.
        Receipts = "receipts",
        /// Logins in mini-programs.
        Logins = "logins",
        /// Calls to WeChat, by call.
        Calls = "calls",
    }
}

/// What tells one number from another. Words that do not apply are empty.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    diesel::deserialize::QueryableByName,
)]
pub struct Key {
    /// The [`Day`].
    #[diesel(sql_type = Integer)]
    pub day: i32,
    /// The project.
    #[diesel(sql_type = BigInt)]
    pub project_id: ProjectId,
    /// What is counted.
    #[diesel(sql_type = Text)]
    pub metric: Metric,
    /// The kind, the state, the result, the call.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The channel of a delivery.
    #[diesel(sql_type = Text)]
    pub channel: String,
    /// The reason of a delivery or of a receipt.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// The account; 0: none.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
}

impl Key {
    /// One without a name, a channel, a reason and an account.
    pub fn new(project_id: ProjectId, day: Day, metric: Metric) -> Self {
        Self {
            day: day.0,
            project_id,
            metric,
            name: String::new(),
            channel: String::new(),
            reason: String::new(),
            account_id: AccountId(0),
        }
    }

    /// Of that account.
    #[must_use]
    pub fn of_account(self, account_id: AccountId) -> Self {
        Self { account_id, ..self }
    }

    /// With that name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// With that reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..self
        }
    }
}

/// A number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, diesel::deserialize::QueryableByName)]
pub struct Counted {
    /// Which one.
    #[serde(flatten)]
    #[diesel(embed)]
    pub key: Key,
    /// The number.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

const COLUMNS: &[(&str, Kind)] = &[
    ("day", Kind::Integer),
    ("project_id", Kind::BigInt),
    ("metric", Kind::Text),
    ("name", Kind::Text),
    ("channel", Kind::Text),
    ("reason", Kind::Text),
    ("account_id", Kind::BigInt),
    ("count", Kind::BigInt),
];

/// What a transaction has to count, added up.
#[derive(Clone, Debug, Default)]
pub struct Changes(BTreeMap<Key, i64>);

impl Changes {
    /// Adds to a number.
    pub fn add(&mut self, key: Key, count: i64) {
        *self.0.entry(key).or_default() += count;
    }

    /// Whether there is nothing to count.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|count| *count == 0)
    }

    fn rows(self) -> Vec<Counted> {
        let rows = self.0.into_iter().filter(|(_, count)| *count != 0);
        rows.map(|(key, count)| Counted { key, count }).collect()
    }

    /// Writes them, in the transaction that they are about: one statement, whatever there is to count.
    pub fn write(self, conn: &mut Conn) -> QueryResult<()> {
        const INSERT: Batch = Batch {
            columns: COLUMNS,
            sql: "INSERT INTO stats_changes \
                  (day, project_id, metric, name, channel, reason, account_id, count) \
                  SELECT r.day, r.project_id, r.metric, r.name, r.channel, r.reason, r.account_id, \
                  r.count FROM {rows}",
        };
        INSERT.execute(conn, &self.rows()).map(drop)
    }
}

impl Extend<Key> for Changes {
    fn extend<I: IntoIterator<Item = Key>>(&mut self, keys: I) {
        for key in keys {
            self.add(key, 1);
        }
    }
}

/// Which numbers to read, and what to tell apart in them beside metric and name.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Whether to tell channels apart.
    pub by_channel: bool,
    /// Whether to tell reasons apart.
    pub by_reason: bool,
    /// Whether to tell accounts apart.
    pub by_account: bool,
}

/// The numbers of a project, `limit` at the most, but for those that are zero.
pub fn read(
    conn: &mut Conn,
    project: ProjectId,
    wanted: &Wanted,
    limit: i64,
) -> QueryResult<Vec<Counted>> {
    statement(conn, include_str!("stats/read.sql"))
        .bind::<BigInt, _>(project)
        .bind::<Integer, _>(wanted.from.0)
        .bind::<Integer, _>(wanted.to.0)
        .bind::<Bool, _>(wanted.by_channel)
        .bind::<Bool, _>(wanted.by_reason)
        .bind::<Bool, _>(wanted.by_account)
        .bind::<BigInt, _>(wanted.account.unwrap_or(AccountId(0)))
        .bind::<BigInt, _>(limit)
        .load(conn)
}
