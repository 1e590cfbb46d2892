//! How far a notification has come: how many of its deliveries are in each state, counted while
//! they change, so that asking costs the same at any size.
//!
//! The database counts, by triggers on `deliveries` (migration `progress`): whatever changes a state
//! is counted in its own transaction, and no statement can forget to.

use std::collections::HashMap;

use diesel::dsl::{count_star, sql};
use diesel::sql_types::BigInt;
use serde::Serialize;

use super::DeliveryState;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, schema::deliveries, schema::progress};
use crate::ids::NotificationId;

/// Deliveries from which on a notification has counts of its own: below, keeping them would cost
/// more than to count the deliveries when somebody asks.
const COUNTED_FROM: usize = 256;

/// So many in a state.
#[derive(Serialize)]
struct First {
    notification_id: NotificationId,
    state: DeliveryState,
    count: usize,
}

/// Begins to count for a notification, if it is large; in the transaction that stores it, with the
/// states of all its deliveries.
pub fn begin_counting(
    conn: &mut Conn,
    notification_id: NotificationId,
    states: impl ExactSizeIterator<Item = DeliveryState>,
) -> QueryResult<()> {
    const BEGIN: Batch = Batch {
        columns: &[
            ("notification_id", Kind::BigInt),
            ("state", Kind::Text),
            ("count", Kind::BigInt),
        ],
        sql: "INSERT INTO progress (notification_id, state, count) \
              SELECT r.notification_id, r.state, r.count FROM {rows}",
    };
    if states.len() < COUNTED_FROM {
        return Ok(());
    }
    let mut counts: HashMap<DeliveryState, usize> = HashMap::new();
    for state in states {
        *counts.entry(state).or_default() += 1;
    }
    // Each state has a row, also one that none is in: SQLite's trigger needs it.
    let rows = DeliveryState::ALL.iter().map(|state| First {
        notification_id,
        state: *state,
        count: counts.get(state).copied().unwrap_or_default(),
    });
    BEGIN.execute(conn, &rows.collect::<Vec<_>>()).map(drop)
}

/// How many deliveries of a notification are in each state; states that none is in are left out.
pub fn counts(
    conn: &mut Conn,
    notification: NotificationId,
) -> QueryResult<Vec<(DeliveryState, i64)>> {
    let mut counts: Vec<(DeliveryState, i64)> = progress::table
        .filter(progress::notification_id.eq(notification))
        .group_by(progress::state)
        .select((progress::state, sql::<BigInt>("CAST(SUM(count) AS BIGINT)")))
        .load(conn)?;
    if counts.is_empty() {
        return deliveries::table
            .filter(deliveries::notification_id.eq(notification))
            .group_by(deliveries::state)
            .select((deliveries::state, count_star()))
            .load(conn);
    }
    counts.retain(|(_, count)| *count != 0);
    Ok(counts)
}
