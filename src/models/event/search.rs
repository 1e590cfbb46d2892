//! Looking events up.
//!
//! Each page is one statement: an event that is processed while it runs is in the index of those that
//! wait or in that of the others, not in both and not in neither.

mod time;

use super::{Event, HAS_FAILED, IS_WAITING, SETTLED};
use crate::db::prelude::*;
use crate::db::{Conn, Sql, schema::identities};
use crate::ids::{AccountId, EventId, IdentityId};
use crate::models::walk::{Walk, Walked, Words, words};

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
    /// Only those whose effects could not be applied.
    pub failed: bool,
    /// The page before ended with this one.
    pub before: Option<EventId>,
}

/// Events that one page looks at.
const ROWS: i64 = 4_000;

/// Kinds that come in masses: all others are in an index by kind.
const FREQUENT: Words = words![
    "text",
    "event.subscribe",
    "event.scan",
    "event.view",
    "event.click",
    "event.location",
    "event.templatesendjobfinish",
    "event.subscribe_msg_popup_event",
    "event.subscribe_msg_sent_event",
];

/// A page of the events of the given accounts, newest first: by when they came in, and where a time is
/// asked for, by WeChat's. Each account is a branch of its own,
/// because the index holds an account's events in order, but not those of several; and so are those
/// that wait, because they are in another index.
pub fn list(
    conn: &mut Conn,
    accounts: &[AccountId],
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<Event>> {
    if accounts.is_empty() {
        return Ok(Walked::cut(Vec::new(), limit, |event: &Event| event.id.0));
    }
    let is_rare = filter.kind.as_deref().is_some_and(is_rare);
    let is_timed = filter.since.is_some() || filter.until.is_some();
    if is_timed && filter.openid.is_none() && !is_rare && !filter.failed {
        return time::list(conn, accounts, filter, limit);
    }
    let mut walk = Walk::new("events", ROWS, filter.before.map(|id| id.0));
    if filter.failed {
        // Few, and in an index of their own.
        walk.branch(of_them(HAS_FAILED, accounts));
        if let Some(openid) = filter.openid.as_deref() {
            walk.only(Sql::new("openid = ?").bind(openid));
        }
    } else {
        walk.branch(of_them(IS_WAITING, accounts));
        match &filter.openid {
            Some(openid) => of_person(conn, &mut walk, accounts, openid)?,
            None => of_accounts(&mut walk, accounts, filter.kind.as_deref()),
        }
    }
    if let Some(kind) = filter.kind.as_deref() {
        walk.only(Sql::new("kind = ?").bind(kind));
    }
    if let Some(since) = filter.since {
        walk.only(Sql::new("create_time >= ?").bind(since));
    }
    if let Some(until) = filter.until {
        walk.only(Sql::new("create_time < ?").bind(until));
    }
    walk.page(conn, limit, |event: &Event| event.id.0)
}

fn of_accounts(walk: &mut Walk, accounts: &[AccountId], kind: Option<&str>) {
    let rare = kind.filter(|kind| is_rare(kind));
    for account in accounts {
        let of_account = Sql::new("account_id = ? AND ").bind(account.0).and(SETTLED);
        walk.branch(match rare {
            Some(kind) => of_account.and(
                Sql::new(" AND kind NOT IN {frequent} AND kind = ?")
                    .bind(kind)
                    .put("{frequent}", FREQUENT.list),
            ),
            None => of_account,
        });
    }
}

fn is_rare(kind: &str) -> bool {
    !FREQUENT.all.contains(&kind)
}

/// The events of an index that are of these accounts. The other branches name an account or a person each: to say it
/// there too would be as many values as there are pairs of accounts.
fn of_them(index: &'static str, accounts: &[AccountId]) -> Sql {
    Sql::new(index).and(" AND ").and(of_any(accounts))
}

fn of_any(accounts: &[AccountId]) -> Sql {
    let accounts = accounts.iter().map(|account| account.0);
    Sql::new("account_id IN ").and(Sql::list(accounts))
}

/// Processed events have an index by identity, and those of which no identity was made by openid.
fn of_person(
    conn: &mut Conn,
    walk: &mut Walk,
    accounts: &[AccountId],
    openid: &str,
) -> QueryResult<()> {
    let identities: Vec<IdentityId> = identities::table
        .filter(identities::account_id.eq_any(accounts))
        .filter(identities::openid.eq(openid))
        .select(identities::id)
        .load(conn)?;
    for identity in identities {
        let of_identity = Sql::new("identity_id = ? AND ").bind(identity.0);
        walk.branch(of_identity.and(SETTLED));
    }
    for account in accounts {
        walk.branch(
            Sql::new(
                "account_id = ? AND {settled} AND identity_id IS NULL AND openid IS NOT NULL \
                 AND openid = ?",
            )
            .bind(account.0)
            .bind(openid)
            .put("{settled}", SETTLED),
        );
    }
    // An event that waits has no identity yet, and one that is replayed still has it.
    walk.only(Sql::new("openid = ?").bind(openid));
    Ok(())
}

/// One event, if it belongs to one of the given accounts. One statement, for the same reason as a list.
pub fn by_id(conn: &mut Conn, accounts: &[AccountId], id: EventId) -> QueryResult<Option<Event>> {
    if accounts.is_empty() {
        return Ok(None);
    }
    let found = Sql::new(
        "SELECT * FROM events WHERE id = ? AND {waiting} AND {of_any} \
         UNION ALL \
         SELECT * FROM events WHERE id = ? AND {settled} AND {of_any}",
    )
    .bind(id.0)
    .bind(id.0)
    .put("{waiting}", IS_WAITING)
    .put("{settled}", SETTLED)
    .put("{of_any}", of_any(accounts))
    .load(conn)?;
    Ok(found.into_iter().next())
}
