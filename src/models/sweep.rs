//! Marks that are moved: how far walks have come, and when this installation last wrote anything.

use diesel::sql_types::BigInt;

use crate::db::prelude::RunQueryDsl as _;
use crate::db::{Conn, QueryResult, statement};

/// Writes a row that nobody reads, to see whether one can be written.
pub fn mark_ready(conn: &mut Conn, seconds: i64) -> QueryResult<()> {
    statement(
        conn,
        "INSERT INTO sweeps (name, position) VALUES ('ready', $1) \
         ON CONFLICT (name) DO UPDATE SET position = excluded.position",
    )
    .bind::<BigInt, _>(seconds)
    .execute(conn)
    .map(drop)
}
