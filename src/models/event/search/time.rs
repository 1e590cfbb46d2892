//! Events of a time, through the index by WeChat's time, which has those that wait and all others.

use diesel::sql_types::BigInt;

use super::{Event, Filter, ROWS, by_id, of_any};
use crate::db::prelude::*;
use crate::db::{Conn, Sql, schema::accounts};
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

/// A page of the events from `since` to before `until`, by WeChat's time, newest first.
pub(super) fn list(
    conn: &mut Conn,
    of: &[AccountId],
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<Event>> {
    let mut range = vec![Sql::new("TRUE")];
    let since = filter
        .since
        .map(|since| Sql::new("create_time >= ?").bind(since));
    let until = filter
        .until
        .map(|until| Sql::new("create_time < ?").bind(until));
    range.extend(since.into_iter().chain(until));
    if let Some(before) = filter.before {
        // The last one that was looked at may be of anybody. What is gone has nothing older behind it:
        // events are deleted from the oldest on.
        let all: Vec<AccountId> = accounts::table.select(accounts::id).load(conn)?;
        let Some(event) = by_id(conn, &all, before)? else {
            return Ok(Walked::cut(Vec::new(), limit, |event: &Event| event.id.0));
        };
        range.push(
            Sql::new("(create_time, dedup_key, account_id) < (?, ?, ?)")
                .bind(event.create_time)
                .bind(event.dedup_key)
                .bind(event.account_id.0),
        );
    }
    let range = Sql::joined(range, " AND ");
    let floor: Vec<Place> = Sql::new(
        "SELECT id, create_time, dedup_key, account_id FROM events WHERE {range} {newest_first} \
         LIMIT 1 OFFSET ?",
    )
    .bind(ROWS - 1)
    .put("{range}", range.clone())
    .put("{newest_first}", NEWEST_FIRST)
    .load(conn)?;
    let floor = floor.first();
    let down_to = floor.map_or_else(
        || Sql::new("TRUE"),
        |floor| {
            Sql::new("(create_time, dedup_key, account_id) >= (?, ?, ?)")
                .bind(floor.create_time)
                .bind(floor.dedup_key)
                .bind(floor.account_id)
        },
    );
    let kind = filter
        .kind
        .as_deref()
        .map_or_else(|| Sql::new("TRUE"), |kind| Sql::new("kind = ?").bind(kind));
    let found = Sql::new(
        "SELECT * FROM events WHERE {range} AND {down_to} AND {of_any} AND {kind} {newest_first} LIMIT ?",
    )
    .bind(limit.max(0) + 1)
    .put("{range}", range)
    .put("{down_to}", down_to)
    .put("{of_any}", of_any(of))
    .put("{kind}", kind)
    .put("{newest_first}", NEWEST_FIRST)
    .load(conn)?;
    let page = Walked::cut(found, limit, |event: &Event| event.id.0);
    Ok(Walked {
        next: page.next.or(floor.map(|floor| floor.id)),
        ..page
    })
}
