//! From the rows that transactions added to one number each; and the end of old numbers.

use diesel::dsl::{exists, select};
use diesel::sql_types::{BigInt, Integer, Text};

use super::{COLUMNS, Changes, Counted};
use crate::clock::Day;
use crate::db::batch::Batch;
use crate::db::prelude::*;
use crate::db::schema::{daily_stats, stats_changes};
use crate::db::{Conn, statement};

/// The name of the row of `sweeps` that whoever folds holds.
const SWEEP: &str = "stats";

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    #[diesel(column_name = position)]
    _position: i64,
}

/// Takes the right to change `daily_stats` until the end of the transaction. Returns whether nobody else has it.
pub fn hold(conn: &mut Conn) -> QueryResult<bool> {
    let held: Vec<Position> = statement(
        conn,
        "SELECT position FROM sweeps WHERE name = $1 {skip_locked}",
    )
    .bind::<Text, _>(SWEEP)
    .load(conn)?;
    Ok(!held.is_empty())
}

/// Whether there is anything to fold.
pub fn has_changes(conn: &mut Conn) -> QueryResult<bool> {
    select(exists(stats_changes::table.select(stats_changes::id))).get_result(conn)
}

/// Adds the oldest changes to their numbers, `limit` of them at the most. Returns how many those were. For whoever
/// [holds](hold) the numbers: two who add to the same rows could wait for each other.
pub fn fold(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
    const ADD: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO daily_stats \
              (day, project_id, metric, name, channel, reason, account_id, count) \
              SELECT r.day, r.project_id, r.metric, r.name, r.channel, r.reason, r.account_id, \
              r.count FROM {rows} WHERE TRUE \
              ON CONFLICT (day, project_id, metric, name, channel, reason, account_id) \
              DO UPDATE SET count = daily_stats.count + excluded.count",
    };
    let taken: Vec<Counted> = statement(
        conn,
        "DELETE FROM stats_changes WHERE id IN (SELECT id FROM stats_changes ORDER BY id LIMIT $1) \
         RETURNING day, project_id, metric, name, channel, reason, account_id, count",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let mut changes = Changes::default();
    let count = taken.len();
    for Counted { key, count } in taken {
        changes.add(key, count);
    }
    ADD.execute(conn, &changes.rows())?;
    Ok(count)
}

/// Whether there are numbers of days before this one.
pub fn has_older(conn: &mut Conn, day: Day) -> QueryResult<bool> {
    select(exists(
        daily_stats::table.filter(daily_stats::day.lt(day.0)),
    ))
    .get_result(conn)
}

/// Deletes numbers of days before this one, `limit` of them at the most. Returns how many those were. For whoever
/// [holds](hold) the numbers.
pub fn prune(conn: &mut Conn, day: Day, limit: i64) -> QueryResult<usize> {
    statement(
        conn,
        "DELETE FROM daily_stats WHERE (day, project_id, metric, name, channel, reason, account_id) IN ( \
             SELECT day, project_id, metric, name, channel, reason, account_id FROM daily_stats \
             WHERE day < $1 ORDER BY day LIMIT $2 \
         )",
    )
    .bind::<Integer, _>(day.0)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}
