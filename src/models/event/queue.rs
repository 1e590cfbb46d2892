//! Events as a queue: what waits to be processed, and how a batch of it is closed.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::dsl::{exists, select, sql};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::{FAILED, IS_WAITING, SETTLED, WAITING, counted};
use crate::clock::Day;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Backend, Conn, json, schema::events, statement, statement_of};
use crate::ids::{AccountId, EventId, IdentityId};
use crate::models::walk::fitting;

/// An event that waits to be processed.
#[derive(Debug, QueryableByName)]
pub struct Waiting {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: EventId,
    /// The account it was pushed to.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// WeChat's CreateTime as it counts ([`counted`]), seconds since 1970.
    #[diesel(sql_type = BigInt)]
    pub create_time: i64,
    /// When it came in, UTC.
    #[diesel(sql_type = Timestamp)]
    pub received_at: NaiveDateTime,
    /// `text`, `event.subscribe`, …
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The person it concerns.
    #[diesel(sql_type = Nullable<Text>)]
    pub openid: Option<String>,
    /// The decrypted body.
    #[diesel(sql_type = Binary)]
    pub body: Vec<u8>,
    /// Why it could not be parsed, if so.
    #[diesel(sql_type = Nullable<Text>)]
    pub problem: Option<String>,
    /// With which day it is counted already, if it was processed before.
    #[diesel(sql_type = Nullable<Integer>)]
    pub stats_day: Option<i32>,
}

/// One that was claimed; without its body, if that is long.
#[derive(Debug, QueryableByName)]
struct Claimed {
    #[diesel(embed)]
    event: Waiting,
    /// Bytes of the body.
    #[diesel(sql_type = Integer)]
    size: i32,
}

/// Bytes of bodies in one batch, unless its first event alone has more: all of them are in memory, and in
/// one transaction.
const BATCH: usize = 4 << 20;
/// A body up to which it is read with its event. There is none that is longer but in an attack.
const USUAL: i32 = 16 << 10;

/// An event whose effects are in the database.
#[derive(Serialize)]
pub struct Processed {
    /// Row id.
    pub id: EventId,
    /// The identity it concerned.
    pub identity_id: Option<IdentityId>,
    /// With which day it is counted, unless it is counted already.
    pub stats_day: Option<Day>,
}

/// Which waiting events to take.
#[derive(Clone, Debug)]
pub enum Which {
    /// The oldest, so many at the most, but for these.
    Oldest(i64, Vec<EventId>),
    /// This one.
    One(EventId),
}

/// Locks waiting events for the current transaction; replicas get different ones.
pub fn claim_waiting(conn: &mut Conn, which: &Which) -> QueryResult<Vec<Waiting>> {
    let (only, limit) = match which {
        Which::Oldest(limit, but) if but.is_empty() => ("", *limit),
        Which::Oldest(limit, _) => ("AND id {not_in_ids_4}", *limit),
        Which::One(_) => ("AND id = $4", 1),
    };
    let mut query = statement_of(
        conn,
        "SELECT id, account_id, create_time, received_at, kind, openid, octet_length(body) AS size, \
         CASE WHEN octet_length(body) <= $1 THEN body ELSE $2 END AS body, problem, stats_day FROM events \
         WHERE {waiting} {only} ORDER BY id LIMIT $3 {skip_locked}",
        &[("{waiting}", IS_WAITING), ("{only}", only)],
    )
    .into_boxed::<Backend>()
    .bind::<Integer, _>(USUAL)
    .bind::<Binary, _>(Vec::<u8>::new())
    .bind::<BigInt, _>(limit.max(0));
    match which {
        Which::Oldest(_, but) if but.is_empty() => {}
        Which::Oldest(_, but) => query = query.bind::<Text, _>(json(but)?),
        Which::One(id) => query = query.bind::<BigInt, _>(id),
    }
    let mut claimed: Vec<Claimed> = query.load(conn)?;
    let sizes = claimed.iter().map(|one| one.size);
    claimed.truncate(fitting(sizes, BATCH));
    read_long(conn, &mut claimed)?;
    let mut waiting: Vec<Waiting> = claimed.into_iter().map(|one| one.event).collect();
    for event in &mut waiting {
        event.create_time = counted(event.create_time, event.received_at);
    }
    Ok(waiting)
}

/// Reads the bodies that were too long to be read at first.
fn read_long(conn: &mut Conn, claimed: &mut [Claimed]) -> QueryResult<()> {
    let long = claimed.iter().filter(|one| one.size > USUAL);
    let long: Vec<EventId> = long.map(|one| one.event.id).collect();
    if long.is_empty() {
        return Ok(());
    }
    let bodies: Vec<(EventId, Vec<u8>)> = events::table
        .filter(events::id.eq_any(long))
        .filter(events::state.eq(WAITING))
        .select((events::id, events::body))
        .load(conn)?;
    let mut bodies: HashMap<EventId, Vec<u8>> = bodies.into_iter().collect();
    for one in claimed {
        if let Some(body) = bodies.remove(&one.event.id) {
            one.event.body = body;
        }
    }
    Ok(())
}

/// Marks events as processed.
pub fn finish(conn: &mut Conn, rows: &[Processed]) -> QueryResult<()> {
    const FINISH: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("stats_day", Kind::Integer),
        ],
        sql: "UPDATE events SET state = 1, identity_id = r.identity_id, \
              stats_day = COALESCE(events.stats_day, r.stats_day) FROM {rows} \
              WHERE events.id = r.id AND events.state = 0",
    };
    FINISH.execute(conn, rows).map(drop)
}

/// Puts a waiting event aside whose effects cannot be applied.
pub fn fail(conn: &mut Conn, id: EventId, problem: &str) -> QueryResult<()> {
    diesel::update(
        events::table
            .filter(events::id.eq(id))
            .filter(events::state.eq(WAITING)),
    )
    .set((events::state.eq(FAILED), events::problem.eq(problem)))
    .execute(conn)
    .map(drop)
}

/// What a push is read as, once it has been parsed again.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = events)]
#[diesel(treat_none_as_null = true)]
pub struct Reread {
    /// `text`, `event.subscribe`, …
    pub kind: String,
    /// The person it concerns.
    pub openid: Option<String>,
    /// WeChat's CreateTime; 0 where it cannot be read.
    pub create_time: i64,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
}

/// Gives an event that is counted the kind that it is read as now. Returns with which day it is counted, if it had the
/// former kind until now: then it is to be counted as the other kind.
pub fn change_kind(
    conn: &mut Conn,
    event: EventId,
    account: AccountId,
    (from, to): (&str, &str),
) -> QueryResult<Option<Day>> {
    #[derive(QueryableByName)]
    struct Changed {
        #[diesel(sql_type = Integer)]
        stats_day: i32,
    }
    let changed: Option<Changed> = statement(
        conn,
        "UPDATE events SET kind = $4 WHERE account_id = $1 AND id = $2 AND state <> 0 AND kind = $3 \
         AND kind <> $4 AND stats_day IS NOT NULL RETURNING stats_day",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(event)
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .get_result(conn)
    .optional()?;
    Ok(changed.map(|changed| Day(changed.stats_day)))
}

/// Lets an event be processed once more, as what it is read as now, if it was parsed again. Returns
/// whether it exists. One that failed and was not parsed again loses its problem: with one it would count
/// as a push that cannot be parsed.
pub fn requeue(
    conn: &mut Conn,
    account: AccountId,
    id: EventId,
    reread: Option<&Reread>,
) -> QueryResult<bool> {
    let event = events::table
        .filter(events::account_id.eq(account))
        .filter(events::id.eq(id));
    match reread {
        Some(reread) => diesel::update(event.filter(sql::<Bool>(SETTLED)))
            .set(reread)
            .execute(conn)?,
        None => diesel::update(event.filter(events::state.eq(FAILED)))
            .set(events::problem.eq(None::<String>))
            .execute(conn)?,
    };
    let settled = diesel::update(event.filter(sql::<Bool>(SETTLED)))
        .set(events::state.eq(WAITING))
        .execute(conn)?;
    if settled == 1 {
        return Ok(true);
    }
    select(exists(event.filter(events::state.eq(WAITING)))).get_result(conn)
}

/// Lets failed events be processed once more. Returns how many of them were still failed.
pub fn requeue_failed(conn: &mut Conn, ids: &[EventId]) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    statement(
        conn,
        "WITH failed AS MATERIALIZED ( \
             SELECT id FROM events WHERE id {in_ids_1} AND state = 2 ORDER BY id {lock} \
         ) UPDATE events SET state = 0, problem = NULL WHERE id IN (SELECT id FROM failed)",
    )
    .bind::<Text, _>(json(ids)?)
    .execute(conn)
}

/// How many events wait.
pub fn waiting_count(conn: &mut Conn) -> QueryResult<i64> {
    events::table
        .filter(events::state.eq(WAITING))
        .count()
        .get_result(conn)
}
