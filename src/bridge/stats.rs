//! Numbers by day: the step that keeps them short, what is shown of them, and the count of what was there before them.
//! What they are, and how they are kept right, is in [`models::stats`](crate::models::stats).

pub mod calls;
pub mod recount;
pub mod series;

use std::sync::Arc;

use super::{Bridge, Step};
use crate::clock::{Clock, Day, TimeZone};
use crate::config::Config;
use crate::db::{Db, DbError, QueryResult};
use crate::models::{account, stats};
use calls::Calls;

/// Rows that one transaction folds.
const FOLDED: i64 = 5_000;
/// Rows that one transaction deletes.
const PRUNED: i64 = 2_000;

/// Keeps the numbers by day: writes down the calls of this process, folds what transactions added, and deletes what
/// was kept long enough.
pub struct StatsKeeper {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    calls: Arc<Calls>,
}

impl StatsKeeper {
    pub(super) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, calls })
    }

    /// One round of all that.
    ///
    /// # Errors
    /// If the database fails; it is done later, and no call is forgotten.
    pub async fn step(&self) -> Result<Step, DbError> {
        self.write_calls().await?;
        let before = first_kept(&self.config, &self.clock);
        // Looked at first, because a write transaction is one of many and this is mostly idle.
        let look = self.db.snapshot(move |conn| -> QueryResult<_> {
            Ok(stats::has_changes(conn)? || stats::has_older(conn, before)?)
        });
        if !look.await? {
            return Ok(Step::Idle);
        }
        let kept = self.db.write(move |conn| -> QueryResult<_> {
            if !stats::hold(conn)? {
                return Ok((0, 0));
            }
            Ok((
                stats::fold(conn, FOLDED)?,
                stats::prune(conn, before, PRUNED)?,
            ))
        });
        let (folded, pruned) = kept.await?;
        let is_full = |count: usize, most: i64| i64::try_from(count).is_ok_and(|it| it >= most);
        Ok(match is_full(folded, FOLDED) || is_full(pruned, PRUNED) {
            true => Step::Worked,
            false => Step::Idle,
        })
    }

    /// What is still to be done when the process ends.
    pub(super) async fn finish(&self) {
        if let Err(error) = self.write_calls().await {
            tracing::warn!(%error, "the last calls to WeChat are missing in the numbers by day");
        }
    }

    async fn write_calls(&self) -> Result<(), DbError> {
        let made = self.calls.take();
        if made.is_empty() {
            return Ok(());
        }
        let rows = made.clone();
        let written = self.db.write(move |conn| -> QueryResult<_> {
            let scopes = account::scopes(conn)?;
            let zone = |id| scopes.get(&id).map(|scope| scope.time_zone);
            calls::changes(&rows, zone).write(conn)
        });
        written.await.inspect_err(|_| self.calls.put_back(made))
    }
}

/// The first day whose numbers are kept, wherever that day is.
fn first_kept(config: &Config, clock: &Clock) -> Day {
    let days = i32::try_from(config.stats.keep_days).unwrap_or(i32::MAX);
    // In a time zone before Greenwich it is a day earlier.
    let today = TimeZone::named("UTC").unwrap_or_default().day(clock.now());
    today.later(-1).later(days.saturating_neg())
}
