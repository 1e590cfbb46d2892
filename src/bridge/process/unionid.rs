//! Unionids that events bring: few kinds have one, and it may be another than before.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, NaiveDateTime};

use crate::bridge::people::moved::{self, Moved};
use crate::bridge::people::one_staff;
use crate::bridge::webhooks::outbox::People;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::Scope;
use crate::models::event::Waiting;
use crate::models::identity::unionid_change::Heard as Row;
use crate::models::identity::{self, Spot};
use crate::models::storable;
use crate::wechat::message::Push;

/// What an event says of a person's unionid.
#[derive(Debug)]
pub(super) struct Heard {
    account_id: AccountId,
    openid: String,
    unionid: String,
    /// CreateTime.
    time: i64,
}

pub(super) fn heard(event: &Waiting, push: &Push) -> Option<Heard> {
    Some(Heard {
        account_id: event.account_id,
        openid: event.openid.clone()?,
        unionid: storable(push.unionid()?).into_owned(),
        time: event.create_time,
    })
}

/// The projects of those of whom events bring another unionid than the one that is known.
pub(super) fn projects(
    conn: &mut Conn,
    heard: &[Heard],
    accounts: &HashMap<AccountId, Scope>,
) -> QueryResult<Vec<ProjectId>> {
    let spots: Vec<Spot<'_>> = heard
        .iter()
        .map(|one| Spot {
            account_id: one.account_id,
            openid: &one.openid,
        })
        .collect();
    let known: HashSet<(AccountId, String, String)> =
        identity::unionids_of(conn, &spots)?.into_iter().collect();
    let is_known = |one: &&Heard| {
        let key = (one.account_id, one.openid.clone(), one.unionid.clone());
        known.contains(&key)
    };
    let news = heard.iter().filter(|one| !is_known(one));
    let scopes = news.filter_map(|one| accounts.get(&one.account_id));
    Ok(scopes.map(|scope| scope.project_id).collect())
}

/// What storing them entailed.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    pub(super) published: usize,
    pub(super) moved: Vec<Moved>,
}

/// Stores what is newer than the identity's profile.
pub(super) fn learn(
    conn: &mut Conn,
    heard: &[Heard],
    ids: &HashMap<(AccountId, &str), IdentityId>,
    now: NaiveDateTime,
) -> QueryResult<Learnt> {
    if heard.is_empty() {
        return Ok(Learnt::default());
    }
    let mut newest: BTreeMap<IdentityId, &Heard> = BTreeMap::new();
    for one in heard {
        let Some(id) = ids.get(&(one.account_id, one.openid.as_str())) else {
            continue;
        };
        let known = newest.entry(*id).or_insert(one);
        if one.time >= known.time {
            *known = one;
        }
    }
    let wanted: Vec<IdentityId> = newest.keys().copied().collect();
    let fetched: HashMap<_, _> = identity::fetched_at(conn, &wanted)?.into_iter().collect();
    let is_newer = |id: &IdentityId, time: i64| {
        let fetched = fetched.get(id).copied().flatten();
        let heard = DateTime::from_timestamp(time, 0).map(|time| time.naive_utc());
        fetched.is_none_or(|fetched| heard.is_some_and(|heard| heard >= fetched))
    };
    newest.retain(|id, one| is_newer(id, one.time));
    let rows: Vec<Row<'_>> = newest
        .iter()
        .map(|(id, one)| Row {
            id: *id,
            unionid: &one.unionid,
            now,
        })
        .collect();
    let kept: Vec<IdentityId> = newest.keys().copied().collect();
    let people = People::before(conn, &kept)?;
    let changed = identity::learn(conn, &rows)?;
    let published = people.after(conn, &kept, now)? + one_staff::keep_one(conn, &kept, now)?;
    let noted = moved::note(conn, &changed, now)?;
    Ok(Learnt {
        published: published + noted.published,
        moved: noted.accounts,
    })
}
