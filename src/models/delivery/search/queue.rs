//! What is still to be sent: often little among much that was.

use std::collections::BTreeSet;

use diesel::sql_types::BigInt;

use super::{Filter, ROWS, filtered};
use crate::db::prelude::*;
use crate::db::{Conn, statement};
use crate::ids::ProjectId;
use crate::models::walk::{Row, Walked};

/// A page of the queued deliveries, if all of the installation are so few that they can be looked at at
/// once. If not, they are a good part of the newest deliveries, and are found among those.
pub(super) fn ids(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Option<Walked<i64>>> {
    // In the order of the index, so that it is what is read.
    let queued: Vec<Row> = statement(
        conn,
        "SELECT id FROM deliveries WHERE due_at IS NOT NULL \
         ORDER BY COALESCE(account_id, 0), priority, due_at LIMIT $1",
    )
    .bind::<BigInt, _>(ROWS)
    .load(conn)?;
    if i64::try_from(queued.len()).is_ok_and(|count| count == ROWS) {
        return Ok(None);
    }
    let ids: BTreeSet<i64> = queued.iter().map(|row| row.id).collect();
    let before = filter.before.map_or(i64::MAX, |before| before.0);
    let ids: Vec<i64> = ids.into_iter().rev().filter(|id| *id < before).collect();
    let found = filtered(conn, project, filter, ids)?;
    Ok(Some(Walked::cut(found, limit, |id| *id)))
}
