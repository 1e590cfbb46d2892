//! Looking events up.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{Event, FAILED, SETTLED, WAITING};
use crate::db::{Backend, Conn, schema::events, schema::identities};
use crate::ids::{AccountId, EventId, IdentityId};

/// Which events to list. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// `text`, `event.subscribe`, …
    pub kind: Option<String>,
    /// The person they concern, also before they are processed.
    pub openid: Option<String>,
    /// CreateTime from, seconds since 1970, inclusive.
    pub since: Option<i64>,
    /// CreateTime until, seconds since 1970, exclusive.
    pub until: Option<i64>,
    /// Only ids below this one.
    pub before: Option<EventId>,
}

type Query<'a> = events::BoxedQuery<'a, Backend>;

/// Events of the given accounts, newest first. Each account is asked by itself, because the index
/// holds an account's events in order, but not those of several; and those that wait by
/// themselves, because they are in another index.
pub fn list(
    conn: &mut Conn,
    accounts: &[AccountId],
    filter: &Filter,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    let mut found = Vec::new();
    for &account in accounts {
        found.extend(of_account(conn, account, filter, limit)?);
    }
    found.sort_by_key(|event: &Event| std::cmp::Reverse(event.id));
    found.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(found)
}

fn of_account(
    conn: &mut Conn,
    account: AccountId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    let Some(openid) = &filter.openid else {
        return waiting_or_not(conn, limit, || matching(account, filter));
    };
    let identity: Option<IdentityId> = identities::table
        .filter(identities::account_id.eq(account))
        .filter(identities::openid.eq(openid))
        .select(identities::id)
        .first(conn)
        .optional()?;
    let Some(identity) = identity else {
        return waiting_or_not(conn, limit, || {
            matching(account, filter).filter(events::openid.eq(openid))
        });
    };
    // Processed events have an index by identity; of the others there are few.
    let processed = matching(account, filter).filter(events::identity_id.eq(identity));
    let mut found = newest(conn, limit, processed)?;
    for state in [WAITING, FAILED] {
        let unprocessed = matching(account, filter)
            .filter(events::state.eq(state))
            .filter(events::openid.eq(openid))
            .filter(events::identity_id.is_null());
        found.extend(newest(conn, limit, unprocessed)?);
    }
    Ok(found)
}

fn waiting_or_not<'a>(
    conn: &mut Conn,
    limit: i64,
    query: impl Fn() -> Query<'a>,
) -> QueryResult<Vec<Event>> {
    let mut found = newest(conn, limit, query().filter(events::state.eq(WAITING)))?;
    found.extend(newest(conn, limit, query().filter(sql::<Bool>(SETTLED)))?);
    Ok(found)
}

fn newest(conn: &mut Conn, limit: i64, query: Query<'_>) -> QueryResult<Vec<Event>> {
    query
        .select(Event::as_select())
        .order(events::id.desc())
        .limit(limit)
        .load(conn)
}

fn matching<'a>(account: AccountId, filter: &'a Filter) -> Query<'a> {
    let mut query = events::table
        .filter(events::account_id.eq(account))
        .into_boxed();
    if let Some(kind) = &filter.kind {
        query = query.filter(events::kind.eq(kind));
    }
    if let Some(since) = filter.since {
        query = query.filter(events::create_time.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(events::create_time.lt(until));
    }
    if let Some(before) = filter.before {
        query = query.filter(events::id.lt(before));
    }
    query
}

/// One event, if it belongs to one of the given accounts.
pub fn by_id(conn: &mut Conn, accounts: &[AccountId], id: EventId) -> QueryResult<Option<Event>> {
    let event = || {
        events::table
            .filter(events::account_id.eq_any(accounts))
            .filter(events::id.eq(id))
            .select(Event::as_select())
    };
    let settled = event().filter(sql::<Bool>(SETTLED)).first(conn);
    match settled.optional()? {
        Some(event) => Ok(Some(event)),
        None => event()
            .filter(events::state.eq(WAITING))
            .first(conn)
            .optional(),
    }
}
