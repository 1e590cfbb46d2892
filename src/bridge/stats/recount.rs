//! Counting what is stored and not counted: what was there before there were numbers by day, and what an older process
//! stored that ran beside a newer one. In pieces, each found, marked and counted in one transaction: so it may be
//! stopped, repeated, and done while the service runs.

use std::collections::HashMap;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta};

use super::first_kept;
use crate::bridge::Bridge;
use crate::bridge::limits::AHEAD_DAYS_MAX;
use crate::bridge::routes::{self, Route};
use crate::clock::{Day, TimeZone};
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, DeliveryId, EventId, ProjectId};
use crate::models::delivery::receipt;
use crate::models::stats::{self, Changes, Key, Metric, Table, UncountedDelivery};
use crate::models::{account, project};

/// Rows that one transaction looks at.
const PIECE: i64 = 500;
/// Rows are stored in the order of their times but for this much: clocks of several processes differ, and zones do by
/// half a day.
const MARGIN: TimeDelta = TimeDelta::days(2);

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recounted {
    /// Events.
    pub events: usize,
    /// Deliveries.
    pub deliveries: usize,
    /// Receipts.
    pub receipts: usize,
}

/// Whose rows to count, of which days.
#[derive(Clone, Copy)]
struct Span {
    project: ProjectId,
    time_zone: TimeZone,
    from: Day,
    to: Day,
}

impl Span {
    fn day(&self, at: NaiveDateTime) -> Option<Day> {
        let day = self.time_zone.day(at);
        (self.from..=self.to).contains(&day).then_some(day)
    }

    /// The times in which rows of those days may have been stored. A delivery counts on the day on which it was to be
    /// sent, which may be long after that.
    fn times(&self, table: Table) -> (NaiveDateTime, NaiveDateTime) {
        let ahead = match table {
            Table::Deliveries => TimeDelta::days(AHEAD_DAYS_MAX),
            Table::Events(_) | Table::Receipts => TimeDelta::zero(),
        };
        let midnight = |day: Day| day.date().and_time(NaiveTime::MIN);
        let first = midnight(self.from).checked_sub_signed(MARGIN + ahead);
        let last = midnight(self.to.later(1)).checked_add_signed(MARGIN);
        (
            first.unwrap_or(NaiveDateTime::MIN),
            last.unwrap_or(NaiveDateTime::MAX),
        )
    }
}

impl Bridge {
    /// Counts what a project has of these days that is not counted, both days included. Days whose numbers are not
    /// kept are left out.
    ///
    /// # Errors
    /// If the database fails; what was counted stays counted.
    pub async fn recount(
        &self,
        project: ProjectId,
        (from, to): (Day, Day),
    ) -> Result<Recounted, DbError> {
        let from = from.max(first_kept(&self.config, &self.clock));
        let (time_zone, accounts) = self
            .db
            .snapshot(move |conn| -> QueryResult<_> {
                let labels = account::labels(conn, project)?;
                let accounts: Vec<AccountId> = labels.iter().map(|label| label.id).collect();
                Ok((project::time_zone(conn, project)?, accounts))
            })
            .await?;
        let span = Span {
            project,
            time_zone,
            from,
            to,
        };
        let mut done = Recounted::default();
        for &account in &accounts {
            let table = Table::Events(account);
            done.events += self.walk(span, table, &accounts).await?;
        }
        done.deliveries = self.walk(span, Table::Deliveries, &accounts).await?;
        done.receipts = self.walk(span, Table::Receipts, &accounts).await?;
        Ok(done)
    }

    /// Walks over the rows of a table that may be of those days. Returns how many were counted.
    async fn walk(
        &self,
        span: Span,
        table: Table,
        accounts: &[AccountId],
    ) -> Result<usize, DbError> {
        let (first, last) = span.times(table);
        let mut after = self.last_before(table, first).await?;
        let mut counted = 0;
        loop {
            let page = self
                .db
                .read(move |conn| stats::rows_after(conn, table, after, PIECE));
            let page = page.await?;
            let (Some((_, begin)), Some(&(end, _))) = (page.first(), page.last()) else {
                return Ok(counted);
            };
            if *begin > last {
                return Ok(counted);
            }
            if page.iter().any(|(_, at)| (first..=last).contains(at)) {
                let accounts = accounts.to_vec();
                let ids = (after, end);
                let piece = self.db.write(move |conn| match table {
                    Table::Events(account) => events(conn, span, account, ids),
                    Table::Deliveries => deliveries(conn, span, ids),
                    Table::Receipts => receipts(conn, span, &accounts, ids),
                });
                counted += piece.await?;
            }
            after = end;
        }
    }

    /// An id behind which all rows of a table lie that were stored at a time or later: found by halves, as ids grow
    /// with time.
    async fn last_before(&self, table: Table, time: NaiveDateTime) -> Result<i64, DbError> {
        let found = self.db.snapshot(move |conn| -> QueryResult<_> {
            let mut is_before = |id: i64| -> QueryResult<bool> {
                let next = stats::rows_after(conn, table, id, 1)?;
                Ok(next.first().is_some_and(|(_, at)| *at < time))
            };
            let (mut low, mut high) = (0, 1);
            while is_before(high)? {
                low = high;
                high = high.saturating_mul(2);
            }
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                match is_before(middle)? {
                    true => low = middle,
                    false => high = middle,
                }
            }
            Ok(low)
        });
        found.await
    }
}

fn events(conn: &mut Conn, span: Span, account: AccountId, ids: (i64, i64)) -> QueryResult<usize> {
    let found = stats::uncounted_events(conn, account, ids)?;
    let mut changes = Changes::default();
    let mut marked: Vec<(EventId, Day)> = Vec::with_capacity(found.len());
    for event in &found {
        let Some(day) = span.day(event.received_at) else {
            continue;
        };
        let key = Key::new(span.project, day, Metric::Events).of_account(account);
        changes.add(key.named(&event.kind), 1);
        marked.push((event.id, day));
    }
    changes.write(conn)?;
    stats::count_events(conn, &marked)
}

fn deliveries(conn: &mut Conn, span: Span, ids: (i64, i64)) -> QueryResult<usize> {
    let found = stats::uncounted_deliveries(conn, span.project, ids)?;
    let mut parsed: HashMap<&str, Vec<Route>> = HashMap::new();
    let mut changes = Changes::default();
    let mut marked: Vec<(DeliveryId, Day, Option<&'static str>)> = Vec::with_capacity(found.len());
    for one in &found {
        let first = one.send_at.unwrap_or(one.created_at).max(one.created_at);
        let Some(day) = span.day(first) else {
            continue;
        };
        changes.add(Key::new(span.project, day, Metric::Accepted), 1);
        let routes = parsed
            .entry(&one.routes)
            .or_insert_with(|| routes::parse(&one.routes).unwrap_or_default());
        marked.push((one.id, day, channel(one, routes)));
    }
    changes.write(conn)?;
    // Their states are counted by this.
    stats::count_deliveries(conn, &marked)
}

fn channel(delivery: &UncountedDelivery, routes: &[Route]) -> Option<&'static str> {
    let route = usize::try_from(delivery.route?).ok()?;
    Some(routes.get(route)?.channel.as_str())
}

fn receipts(
    conn: &mut Conn,
    span: Span,
    accounts: &[AccountId],
    ids: (i64, i64),
) -> QueryResult<usize> {
    let found = stats::uncounted_receipts(conn, accounts, ids)?;
    let mut changes = Changes::default();
    let mut marked: Vec<(i64, Day)> = Vec::with_capacity(found.len());
    for one in &found {
        let Some(day) = span.day(one.created_at) else {
            continue;
        };
        let said = (one.account_id, one.delivered, one.reason.as_deref());
        changes.add(receipt::counted(span.project, day, said), 1);
        marked.push((one.id, day));
    }
    changes.write(conn)?;
    stats::count_receipts(conn, &marked)
}
