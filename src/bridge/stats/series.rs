//! Numbers by day as a chart takes them: a series for each number, with a count for every day.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::bridge::Bridge;
use crate::bridge::limits::{STATS_DAYS_MAX, STATS_NUMBERS_MAX, STATS_SERIES_MAX};
use crate::clock::{Day, TimeZone};
use crate::db::DbError;
use crate::ids::{AccountId, ProjectId};
use crate::models::delivery::DeliveryState;
use crate::models::stats::{Counted, Metric, Wanted};
use crate::models::{account, project, stats};

/// Days that are shown unless the caller says otherwise, today included.
const DAYS: i32 = 30;
/// The kinds of the events by which somebody follows and unfollows.
const FOLLOW: &str = "event.subscribe";
const UNFOLLOW: &str = "event.unsubscribe";
/// What a receipt says.
const RESULTS: [&str; 2] = ["delivered", "failed"];

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct StatsRequest {
    /// The first day; without it 30 days are shown.
    pub from: Option<Day>,
    /// The last day; without it today.
    pub to: Option<Day>,
    /// Only what is of the account with this AppID.
    pub app_id: Option<String>,
    /// Whether to tell channels apart.
    pub by_channel: bool,
    /// Whether to tell reasons apart.
    pub by_reason: bool,
    /// Whether to tell accounts apart.
    pub by_account: bool,
}

/// Why nothing is shown.
#[derive(Debug, Error)]
pub enum StatsError {
    /// The last day is before the first.
    #[error("from ({from}) is after to ({to}): give the first day in from, and the last one in to")]
    Backwards {
        /// The first day.
        from: Day,
        /// The last day.
        to: Day,
    },
    /// There are too many days.
    #[error(
        "from {from} to {to} are {days} days: give at most {STATS_DAYS_MAX}, and ask several times for more"
    )]
    TooLong {
        /// The first day.
        from: Day,
        /// The last day.
        to: Day,
        /// How many those are.
        days: i32,
    },
    /// The project has no such account.
    #[error("The project has no account with the app id {0:?}")]
    UnknownAppId(String),
    /// There are too many numbers.
    #[error(
        "These are more than {STATS_SERIES_MAX} series or {STATS_NUMBERS_MAX} numbers: ask for one account, \
         tell less apart, or give fewer days"
    )]
    TooMany,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The numbers of some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// In which the days begin.
    pub time_zone: &'static str,
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// Every day, in the order of the counts.
    pub days: Vec<String>,
    /// One for each number.
    pub series: Vec<Series>,
}

/// What a series counts. Its order is that of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Events by which somebody follows.
    Follows,
    /// Events by which somebody unfollows.
    Unfollows,
    /// The difference.
    NetFollows,
    /// Logins in mini-programs.
    Logins,
    /// Deliveries that were accepted.
    Accepted,
    /// Those of them that are in a state now.
    Deliveries,
    /// Receipts with a result.
    Receipts,
    /// Events of a kind.
    Events,
    /// Calls to WeChat.
    Calls,
}

impl What {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Follows => "follows",
            Self::Unfollows => "unfollows",
            Self::NetFollows => "net_follows",
            Self::Logins => "logins",
            Self::Accepted => "accepted",
            Self::Deliveries => "deliveries",
            Self::Receipts => "receipts",
            Self::Events => "events",
            Self::Calls => "calls",
        }
    }
}

/// One number on every day.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Series {
    /// What is counted.
    pub metric: What,
    /// The state, the result, the kind or the call.
    pub name: Option<String>,
    /// The channel, where channels are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The reason, where reasons are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The account, where accounts are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// All of them.
    pub total: i64,
    /// Those of each day.
    pub counts: Vec<i64>,
}

/// What tells one series from another.
type SeriesKey = (What, String, String, String, AccountId);

impl Bridge {
    /// The numbers of a project.
    ///
    /// # Errors
    /// If these are too many days or numbers, or the database fails.
    pub async fn stats(
        &self,
        project: ProjectId,
        request: StatsRequest,
    ) -> Result<Stats, StatsError> {
        let now = self.clock.now();
        let read = self.db.snapshot(move |conn| -> Result<_, StatsError> {
            let time_zone = project::time_zone(conn, project)?;
            let labels = account::labels(conn, project)?.into_iter();
            let app_ids: HashMap<AccountId, String> =
                labels.map(|label| (label.id, label.app_id)).collect();
            let account = account(&request, &app_ids)?;
            let wanted = wanted(&request, account, time_zone.day(now))?;
            let found = stats::read(conn, project, &wanted, STATS_NUMBERS_MAX + 1)?;
            Ok((time_zone, wanted, found, app_ids))
        });
        let (time_zone, wanted, found, app_ids) = read.await?;
        let is_too_much = i64::try_from(found.len()).is_ok_and(|count| count > STATS_NUMBERS_MAX);
        if is_too_much {
            return Err(StatsError::TooMany);
        }
        show(time_zone, &wanted, found, &app_ids)
    }
}

fn account(
    request: &StatsRequest,
    app_ids: &HashMap<AccountId, String>,
) -> Result<Option<AccountId>, StatsError> {
    let Some(app_id) = &request.app_id else {
        return Ok(None);
    };
    let found = app_ids.iter().find(|(_, known)| *known == app_id);
    let unknown = || StatsError::UnknownAppId(app_id.clone());
    found.map(|(id, _)| Some(*id)).ok_or_else(unknown)
}

fn wanted(
    request: &StatsRequest,
    account: Option<AccountId>,
    today: Day,
) -> Result<Wanted, StatsError> {
    let to = request
        .to
        .unwrap_or_else(|| today.max(request.from.unwrap_or(today)));
    let from = request.from.unwrap_or_else(|| to.later(1 - DAYS));
    if from > to {
        return Err(StatsError::Backwards { from, to });
    }
    let days = from.days_to(to);
    if days > STATS_DAYS_MAX {
        return Err(StatsError::TooLong { from, to, days });
    }
    Ok(Wanted {
        from,
        to,
        account,
        by_channel: request.by_channel,
        by_reason: request.by_reason,
        by_account: request.by_account,
    })
}

fn show(
    time_zone: TimeZone,
    wanted: &Wanted,
    found: Vec<Counted>,
    app_ids: &HashMap<AccountId, String>,
) -> Result<Stats, StatsError> {
    let days: Vec<Day> = (wanted.from.0..=wanted.to.0).map(Day).collect();
    let mut rows = Rows {
        from: wanted.from,
        days: days.len(),
        series: always_there(wanted, days.len()),
    };
    for one in found {
        rows.add(one, wanted.account.is_none());
    }
    if rows.series.len() > STATS_SERIES_MAX {
        return Err(StatsError::TooMany);
    }
    let series = rows.series.into_iter();
    let series = series.map(|((metric, name, channel, reason, account), counts)| {
        let or_none = |text: String| Some(text).filter(|text| !text.is_empty());
        Series {
            metric,
            name: or_none(name),
            channel: or_none(channel),
            reason: or_none(reason),
            app_id: app_ids.get(&account).cloned(),
            total: counts.iter().sum(),
            counts,
        }
    });
    Ok(Stats {
        time_zone: time_zone.name(),
        from: wanted.from.to_string(),
        to: wanted.to.to_string(),
        days: days.iter().map(Day::to_string).collect(),
        series: series.collect(),
    })
}

/// The series that are shown whether or not there is anything in them: those that nothing is told apart in.
fn always_there(wanted: &Wanted, days: usize) -> BTreeMap<SeriesKey, Vec<i64>> {
    let mut series = BTreeMap::new();
    let mut add = |what: What, name: &str| {
        let none = String::new;
        let key = (what, name.to_owned(), none(), none(), AccountId(0));
        series.insert(key, vec![0; days]);
    };
    let Wanted {
        by_channel,
        by_reason,
        by_account,
        account,
        ..
    } = *wanted;
    if !by_account {
        for what in [
            What::Follows,
            What::Unfollows,
            What::NetFollows,
            What::Logins,
        ] {
            add(what, "");
        }
    }
    if account.is_none() {
        add(What::Accepted, "");
        add(What::Deliveries, DeliveryState::Queued.as_str());
    }
    if !by_channel && !by_reason && !by_account {
        let states = DeliveryState::ALL.iter();
        for state in states.filter(|state| **state != DeliveryState::Queued) {
            add(What::Deliveries, state.as_str());
        }
    }
    if !by_reason && !by_account {
        for result in RESULTS {
            add(What::Receipts, result);
        }
    }
    series
}

struct Rows {
    from: Day,
    days: usize,
    series: BTreeMap<SeriesKey, Vec<i64>>,
}

impl Rows {
    /// Adds a stored number. `with_queued`: those who wait are what was accepted and is in no other state, of the
    /// whole project.
    fn add(&mut self, counted: Counted, with_queued: bool) {
        let (key, count) = (counted.key, counted.count);
        let what = match key.metric {
            Metric::Events => What::Events,
            Metric::Accepted => What::Accepted,
            Metric::Deliveries => What::Deliveries,
            Metric::Receipts => What::Receipts,
            Metric::Logins => What::Logins,
            Metric::Calls => What::Calls,
        };
        let at = usize::try_from(key.day.saturating_sub(self.from.0)).unwrap_or(usize::MAX);
        let account = key.account_id;
        let derived = match (key.metric, key.name.as_str()) {
            (Metric::Events, FOLLOW) => vec![(What::Follows, 1), (What::NetFollows, 1)],
            (Metric::Events, UNFOLLOW) => vec![(What::Unfollows, 1), (What::NetFollows, -1)],
            _ => Vec::new(),
        };
        for (what, sign) in derived {
            let none = String::new;
            self.count((what, none(), none(), none(), account), at, sign * count);
        }
        let queued = match key.metric {
            Metric::Accepted => count,
            Metric::Deliveries => -count,
            _ => 0,
        };
        if queued != 0 && with_queued {
            let (name, none) = (DeliveryState::Queued.as_str().to_owned(), String::new);
            let key = (What::Deliveries, name, none(), none(), AccountId(0));
            self.count(key, at, queued);
        }
        self.count(
            (what, key.name, key.channel, key.reason, account),
            at,
            count,
        );
    }

    fn count(&mut self, key: SeriesKey, at: usize, count: i64) {
        let days = self.days;
        let counts = self.series.entry(key).or_insert_with(|| vec![0; days]);
        if let Some(one) = counts.get_mut(at) {
            *one += count;
        }
    }
}
