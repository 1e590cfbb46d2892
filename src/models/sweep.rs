//! Marks that are moved: how far walks have come, and when this installation last wrote anything.

use diesel::sql_query;

use crate::db::prelude::RunQueryDsl as _;
use crate::db::{Conn, QueryResult};

/// Writes a row that nobody reads, to see whether one can be written.
pub fn mark_ready(conn: &mut Conn, seconds: i64) -> QueryResult<()> {
    sql_query(format!(
        "INSERT INTO sweeps (name, position) VALUES ('ready', {seconds}) \
         ON CONFLICT (name) DO UPDATE SET position = excluded.position"
    ))
    .execute(conn)
    .map(drop)
}
