//! How long the outbox is, for those who watch it.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text, Timestamp};

use crate::db::prelude::*;
use crate::db::{Conn, statement, text_enum};

/// How many rows are counted at the most: a look at the queue must not cost what the queue does.
pub const COUNTED: i64 = 100_000;

text_enum! {
    /// What a queued delivery waits for.
    pub enum QueueState {
        /// Nothing: it is to be sent now.
        Due = "due",
        /// The answer to its send.
        Sending = "sending",
        /// A time: `send_at`, the next try, or the end of a pause.
        Waiting = "waiting",
    }
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    state: QueueState,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many queued deliveries are in each state, all that there are. Of a queue longer than
/// [`COUNTED`], that many are counted.
pub fn queue_lengths(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<Vec<(QueueState, i64)>> {
    let found: Vec<Counted> = statement(
        conn,
        "SELECT state, COUNT(*) AS count FROM (SELECT CASE \
             WHEN leased_until > $1 THEN 'sending' \
             WHEN due_at <= $1 THEN 'due' ELSE 'waiting' END AS state \
             FROM deliveries WHERE due_at IS NOT NULL LIMIT $2) queued GROUP BY state",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(COUNTED)
    .load(conn)?;
    let count = |state: QueueState| {
        let counted = found.iter().find(|counted| counted.state == state);
        (state, counted.map_or(0, |counted| counted.count))
    };
    Ok(QueueState::ALL.iter().copied().map(count).collect())
}
