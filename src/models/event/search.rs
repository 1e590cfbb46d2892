//! Looking events up.

use diesel::prelude::*;

use super::Event;
use crate::db::{Conn, schema::events};
use crate::ids::{AccountId, EventId, IdentityId};

/// Which events to list. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// `text`, `event.subscribe`, …
    pub kind: Option<String>,
    /// The identity they concern.
    pub identity_id: Option<IdentityId>,
    /// The person they concern, also before they are processed.
    pub openid: Option<String>,
    /// CreateTime from, seconds since 1970, inclusive.
    pub since: Option<i64>,
    /// CreateTime until, seconds since 1970, exclusive.
    pub until: Option<i64>,
    /// Only ids below this one.
    pub before: Option<EventId>,
}

/// Events of the given accounts, newest first.
pub fn list(
    conn: &mut Conn,
    accounts: &[AccountId],
    filter: &Filter,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    let mut query = events::table
        .filter(events::account_id.eq_any(accounts))
        .order(events::id.desc())
        .limit(limit)
        .select(Event::as_select())
        .into_boxed();
    if let Some(kind) = &filter.kind {
        query = query.filter(events::kind.eq(kind));
    }
    if let Some(identity) = filter.identity_id {
        query = query.filter(events::identity_id.eq(identity));
    }
    if let Some(openid) = &filter.openid {
        query = query.filter(events::openid.eq(openid));
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
    query.load(conn)
}

/// One event, if it belongs to one of the given accounts.
pub fn by_id(conn: &mut Conn, accounts: &[AccountId], id: EventId) -> QueryResult<Option<Event>> {
    events::table
        .filter(events::account_id.eq_any(accounts))
        .filter(events::id.eq(id))
        .select(Event::as_select())
        .first(conn)
        .optional()
}
