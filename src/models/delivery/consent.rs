//! Deliveries that wait for somebody to allow them.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::IdentityId;

#[derive(Serialize)]
struct Heard {
    identity: IdentityId,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// These identities said something of permissions: what waits for their persons is looked at again
/// at once, or when it is to be sent. Returns how much that is.
pub fn consented(
    conn: &mut Conn,
    identities: &[IdentityId],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    // A row that is being looked at is waited for: that look may have come before this word.
    const HEARD: Batch = Batch {
        columns: &[("identity", Kind::BigInt), ("now", Kind::Timestamp)],
        sql: "WITH heard AS (SELECT r.identity AS id, r.now AS at FROM {rows}), \
              known AS ( \
                  SELECT heard.id, heard.at FROM heard UNION \
                  SELECT o.id, heard.at FROM heard JOIN identities i ON i.id = heard.id \
                  JOIN identities o ON o.project_id = i.project_id AND o.unionid = i.unionid \
              ), held AS MATERIALIZED ( \
                  SELECT c.id AS held_id, known.at FROM known JOIN deliveries c \
                  ON c.identity_id = known.id AND c.reason = 'waiting_for_consent' \
                  AND c.state = 'queued' ORDER BY c.id {lock_c} \
              ) UPDATE deliveries SET due_at = {greatest}(begun_at, held.at) FROM held \
              WHERE deliveries.id = held.held_id \
              AND deliveries.reason = 'waiting_for_consent' AND deliveries.state = 'queued'",
    };
    let mut rows: Vec<Heard> = Vec::with_capacity(identities.len());
    for &identity in identities {
        rows.push(Heard { identity, now });
    }
    rows.sort_unstable_by_key(|row| row.identity);
    rows.dedup_by_key(|row| row.identity);
    HEARD.execute(conn, &rows)
}
