//! What a monitor is shown beside the counters: how much waits, for how long, and which accounts do
//! not send. Read from the database, so that every process shows the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::bridge::Bridge;
use crate::bridge::availability::budget::Allowances;
use crate::bridge::availability::renewal::day;
use crate::bridge::routes::Channel;
use crate::config::Budgets;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::AccountId;
use crate::models::account::budget;
use crate::models::account::pause::{self, AccountPause, PauseKind};
use crate::models::account::{self, AccountKind};
use crate::models::delivery::{self, Head, QueueState};
use crate::models::event;

/// The lane of what needs no WeChat account, as a label.
const NO_ACCOUNT: &str = "none";

/// An account: its id, AppID and kind.
type Known = (AccountId, String, AccountKind);

/// Values that go up and down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// Events stored and not processed yet.
    pub events_waiting: i64,
    /// Queued deliveries by what they wait for.
    pub queued: Vec<(QueueState, i64)>,
    /// By account: for how many seconds its oldest delivery has been due; 0 if none is.
    pub oldest_due_seconds: Vec<(String, i64)>,
    /// How many accounts have a pause of each kind now.
    pub paused: Vec<(PauseKind, i64)>,
    /// By account: whether its owner has to act before it sends, or makes a call.
    pub stopped: Vec<(String, bool)>,
    /// By account and call: calls counted today, in Beijing, and how many may be made (none: no limit).
    pub budgets: Vec<BudgetGauge>,
}

/// How much of a budget is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetGauge {
    /// The account.
    pub app_id: String,
    /// The call, such as `template/send`.
    pub call: &'static str,
    /// Calls today.
    pub used: i64,
    /// The budget of a day.
    pub per_day: Option<i64>,
}

impl Bridge {
    /// Reads the gauges.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn gauges(&self) -> Result<Gauges, DbError> {
        let (now, config) = (self.clock.now(), Arc::clone(&self.config));
        self.db
            .snapshot(move |conn| read(conn, &config.budgets, now))
            .await
    }
}

fn read(conn: &mut Conn, limits: &Budgets, now: NaiveDateTime) -> QueryResult<Gauges> {
    let accounts = account::kinds(conn)?;
    let mut pauses = pause::all(conn)?;
    pauses.retain(|pause| !pause.is_over(now));
    let stopped = with_pause(&pauses, PauseKind::Stopped);
    let paused = PauseKind::ALL.iter().map(|kind| {
        let count = with_pause(&pauses, *kind).len();
        (*kind, i64::try_from(count).unwrap_or(i64::MAX))
    });
    let ids: Vec<AccountId> = accounts.iter().map(|(id, ..)| *id).collect();
    let used = budget::of_day(conn, &ids, day(now))?;
    let heads = delivery::heads(conn, now)?;
    Ok(Gauges {
        events_waiting: event::waiting_count(conn)?,
        queued: delivery::queue_lengths(conn, now)?,
        oldest_due_seconds: oldest(&accounts, &heads, now),
        paused: paused.collect(),
        stopped: accounts
            .iter()
            .map(|(id, app_id, _)| (app_id.clone(), stopped.contains(id)))
            .collect(),
        budgets: budgets(&accounts, &used, limits),
    })
}

fn oldest(accounts: &[Known], heads: &[Head], now: NaiveDateTime) -> Vec<(String, i64)> {
    let lanes = accounts
        .iter()
        .map(|(id, app_id, _)| (*id, app_id.as_str()));
    let lanes = lanes.chain([(delivery::NO_ACCOUNT, NO_ACCOUNT)]);
    lanes
        .map(|(id, label)| {
            let of_lane = heads.iter().filter(|head| head.lane == id);
            let since = of_lane.map(|head| head.due_at).min();
            let seconds = since.map_or(0, |since| (now - since).num_seconds().max(0));
            (label.to_owned(), seconds)
        })
        .collect()
}

/// Every call that an account can make, also one that it has not made today.
fn budgets(
    accounts: &[Known],
    used: &[(AccountId, String, i64)],
    limits: &Budgets,
) -> Vec<BudgetGauge> {
    let mut gauges = Vec::new();
    for (id, app_id, kind) in accounts {
        let allowances = Allowances::new(limits.of(Some(app_id)));
        let channels = Channel::ALL.iter().map(|channel| channel.traits());
        for traits in channels.filter(|traits| traits.accounts.contains(kind)) {
            let mut used = used.iter();
            let used = used.find(|(account, call, _)| account == id && call == traits.call);
            gauges.push(BudgetGauge {
                app_id: app_id.clone(),
                call: traits.call,
                used: used.map_or(0, |(.., used)| *used),
                per_day: allowances.per_day(traits.call),
            });
        }
    }
    gauges
}

/// The accounts that have a pause of this kind.
fn with_pause(pauses: &[AccountPause], kind: PauseKind) -> BTreeSet<AccountId> {
    let of_kind = pauses.iter().filter(|pause| pause.kind == kind);
    of_kind.map(|pause| pause.account_id).collect()
}
