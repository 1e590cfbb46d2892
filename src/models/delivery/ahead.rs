//! What was planned by a clock that was ahead: it would wait for as long as the clock went back.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::max;
use diesel::sql_types::{BigInt, Nullable, Timestamp};

use crate::db::prelude::*;
use crate::db::schema::{account_pauses, attempts, deliveries, webhook_messages};
use crate::db::{Conn, statement};

/// Whether the newest of what is stored all the time is dated later than that: of deliveries, tries,
/// events, events for endpoints and pauses.
pub fn is_ahead(conn: &mut Conn, latest: NaiveDateTime) -> QueryResult<bool> {
    let delivery: Option<NaiveDateTime> = deliveries::table
        .order(deliveries::id.desc())
        .select(deliveries::created_at)
        .first(conn)
        .optional()?;
    let attempt: Option<NaiveDateTime> = attempts::table
        .order(attempts::id.desc())
        .select(attempts::finished_at)
        .first(conn)
        .optional()?;
    let event = newest_event(conn)?;
    let told: Option<NaiveDateTime> = webhook_messages::table
        .order(webhook_messages::id.desc())
        .select(webhook_messages::created_at)
        .first(conn)
        .optional()?;
    let pause: Option<NaiveDateTime> = account_pauses::table
        .select(max(account_pauses::set_at))
        .first(conn)?;
    let newest = [delivery, attempt, event, told, pause].into_iter().max();
    Ok(newest.flatten().is_some_and(|newest| newest > latest))
}

/// When the newest event came. Events have no index over their ids alone: those that wait have one, and
/// those that were processed one for each account.
fn newest_event(conn: &mut Conn) -> QueryResult<Option<NaiveDateTime>> {
    #[derive(QueryableByName)]
    struct Newest {
        #[diesel(sql_type = Nullable<Timestamp>)]
        newest: Option<NaiveDateTime>,
    }
    let found: Newest = statement(
        conn,
        "SELECT MAX(received_at) AS newest FROM ( \
             SELECT (SELECT e.received_at FROM events e WHERE e.account_id = a.id \
                 AND e.state <> 0 ORDER BY e.id DESC LIMIT 1) AS received_at FROM accounts a \
             UNION ALL \
             SELECT (SELECT e.received_at FROM events e WHERE e.state = 0 \
                 ORDER BY e.id DESC LIMIT 1) \
         ) newest_of_each",
    )
    .get_result(conn)?;
    Ok(found.newest)
}

/// Makes due what is planned for later, but for what waits for its `send_at`: at most `limit` of it.
/// What really has to wait is found to when it is claimed; how long it has waited, or was tried for, counts
/// from now where it began later. Returns how many those are.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    statement(
        conn,
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM deliveries WHERE due_at IS NOT NULL AND due_at > $1 \
             AND state = 'queued' AND NOT EXISTS ( \
                 SELECT 1 FROM notifications n WHERE n.id = deliveries.notification_id \
                 AND n.send_at > $1) LIMIT $2 {skip_locked} \
         ) UPDATE deliveries SET due_at = $1, \
         begun_at = CASE WHEN begun_at > $1 THEN $1 ELSE begun_at END \
         WHERE id IN (SELECT id FROM planned)",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// Ends leases a `lease` from now, at most `limit` of them: one that lasts longer is of a process that is
/// gone, or of one that needs no longer than that. Returns how many those are.
pub fn shorten_leases(
    conn: &mut Conn,
    now: NaiveDateTime,
    lease: TimeDelta,
    limit: i64,
) -> QueryResult<usize> {
    statement(
        conn,
        "WITH leased AS MATERIALIZED ( \
             SELECT id FROM deliveries WHERE due_at IS NOT NULL AND leased_until > $1 \
             LIMIT $2 {skip_locked} \
         ) UPDATE deliveries SET leased_until = $1 WHERE id IN (SELECT id FROM leased)",
    )
    .bind::<Timestamp, _>(now + lease)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// Forgets the pauses that were set later than that: how long they still hold is not known, and the
/// next try says whether they do.
pub fn forget_pauses(conn: &mut Conn, latest: NaiveDateTime) -> QueryResult<usize> {
    let ahead = account_pauses::table.filter(account_pauses::set_at.gt(latest));
    if let Conn::Postgres(conn) = conn {
        // In the order of all who hold several.
        ahead
            .order((account_pauses::account_id, account_pauses::call))
            .select(account_pauses::call)
            .for_update()
            .load::<String>(conn)?;
    }
    diesel::delete(ahead).execute(conn)
}
