//! Events of a time, through the index by WeChat's time, which has those that wait and all others.

use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::{Event, Filter, ROWS, by_id, ids};
use crate::db::prelude::*;
use crate::db::{Backend, Conn, Engine, schema::accounts};
use crate::ids::AccountId;
use crate::models::walk::Walked;

/// The index, as an order.
const NEWEST_FIRST: &str = "ORDER BY create_time DESC, dedup_key DESC, account_id DESC";

/// Where an event stands in the index.
#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    create_time: i64,
    #[diesel(sql_type = BigInt)]
    dedup_key: i64,
    #[diesel(sql_type = BigInt)]
    account_id: i64,
}

impl Place {
    fn key(&self) -> String {
        format!(
            "({}, {}, {})",
            self.create_time, self.dedup_key, self.account_id
        )
    }
}

/// A page of the events from `since` to before `until`, by WeChat's time, newest first.
pub(super) fn list(
    conn: &mut Conn,
    of: &[AccountId],
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<Event>> {
    let mut range = vec!["TRUE".to_owned()];
    range.extend(filter.since.map(|since| format!("create_time >= {since}")));
    range.extend(filter.until.map(|until| format!("create_time < {until}")));
    if let Some(before) = filter.before {
        // The last one that was looked at may be of anybody. What is gone has nothing older behind it:
        // events are deleted from the oldest on.
        let all: Vec<AccountId> = accounts::table.select(accounts::id).load(conn)?;
        let Some(event) = by_id(conn, &all, before)? else {
            return Ok(Walked::cut(Vec::new(), limit, |event: &Event| event.id.0));
        };
        range.push(format!(
            "(create_time, dedup_key, account_id) < ({}, {}, {})",
            event.create_time, event.dedup_key, event.account_id
        ));
    }
    let range = range.join(" AND ");
    let floor: Vec<Place> = sql_query(format!(
        "SELECT id, create_time, dedup_key, account_id FROM events WHERE {range} {NEWEST_FIRST} \
         LIMIT 1 OFFSET {}",
        ROWS - 1
    ))
    .load(conn)?;
    let floor = floor.first();
    let down_to = match floor {
        Some(floor) => format!("(create_time, dedup_key, account_id) >= {}", floor.key()),
        None => "TRUE".to_owned(),
    };
    let kind = match (&filter.kind, conn.engine()) {
        (None, _) => "TRUE",
        (Some(_), Engine::Postgres) => "kind = $1",
        (Some(_), Engine::Sqlite) => "kind = ?1",
    };
    let mut query = sql_query(format!(
        "SELECT * FROM events WHERE {range} AND {down_to} AND account_id IN ({}) AND {kind} \
         {NEWEST_FIRST} LIMIT {}",
        ids(of),
        limit.max(0) + 1
    ))
    .into_boxed::<Backend>();
    if let Some(kind) = &filter.kind {
        query = query.bind::<Text, _>(kind);
    }
    let page = Walked::cut(query.load(conn)?, limit, |event: &Event| event.id.0);
    Ok(Walked {
        next: page.next.or(floor.map(|floor| floor.id)),
        ..page
    })
}
