//! People: the identities of a project that share a unionid. Derived; the table `people`, kept by
//! triggers on `identities`, has what lists of them need.

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use diesel::dsl::{exists, max, not};

use super::identity::{FollowState, Identity};
use super::staff;
use super::walk::{Row, Walk, Walked};
use crate::db::prelude::*;
use crate::db::{
    Conn, Sql,
    schema::{accounts, identities},
    text_enum,
};
use crate::ids::{AccountId, IdentityId, ProjectId};

text_enum! {
    /// How far a person's openids are linked.
    pub enum LinkState {
        /// Identities in two or more accounts share the unionid.
        Linked = "linked",
        /// The unionid is known, in one account only.
        Single = "single",
        /// No unionid is known.
        NoUnionid = "no_unionid",
    }
}

/// Which people to list: those with an identity to which every given field applies.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// The unionid.
    pub unionid: Option<String>,
    /// An openid.
    pub openid: Option<String>,
    /// An identity in this account.
    pub account_id: Option<AccountId>,
    /// With this follow state.
    pub follow_state: Option<FollowState>,
    /// Linked this far.
    pub link_state: Option<LinkState>,
    /// Bound to this staff member.
    pub staff_id: Option<String>,
    /// Where the page before ended.
    pub place: Option<Place>,
}

/// Where a walk over people goes on. They change while it takes place, and nobody is to be skipped who was
/// there when it began: so it knows when that was. Somebody who changes meanwhile may be listed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Only people who are listed below this identity.
    pub before: IdentityId,
    /// The newest identity that there was when the walk began.
    pub newest: IdentityId,
    /// When the walk began, microseconds since 1970.
    pub began: i64,
}

/// A page of people.
#[derive(Clone, Debug)]
pub struct PeoplePage {
    /// Each by the identity that stands for the person, newest first.
    pub found: Vec<Identity>,
    /// Where the next page goes on; none if this is the last.
    pub next: Option<Place>,
}

/// Identities that one page looks at, each with a look for the person's other ones.
const ROWS: i64 = 400;
/// A change is dated before it can be seen. What was dated so long before a walk and came to be seen after
/// its first page counts as one of the walk's time.
const UNSEEN: TimeDelta = TimeDelta::minutes(1);

/// The identities once more, under another name.
mod other {
    use crate::db::schema::identities;

    diesel::alias!(identities as elsewhere: Elsewhere);
}

use other::elsewhere;

/// A page of people, newest first: each by the newest identity to which the filter applies, or, where no
/// account and no follow state tells their identities apart, by the oldest one. That one stays when more
/// of them are linked.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
    now: NaiveDateTime,
) -> QueryResult<PeoplePage> {
    if filter.unionid.is_some() || filter.openid.is_some() || filter.staff_id.is_some() {
        let found = of_few(conn, project, filter, limit)?;
        let next = next_page(conn, filter, found.next, now)?;
        return Ok(PeoplePage {
            found: found.found,
            next,
        });
    }
    let is_whole = filter.account_id.is_none() && filter.follow_state.is_none();
    let ids = match is_whole {
        true => of_project(conn, project, filter, limit)?,
        false => of_accounts(conn, project, filter, limit)?,
    };
    let next = next_page(conn, filter, ids.next, now)?;
    let rows = identities::table
        .filter(identities::id.eq_any(&ids.found))
        .select(Identity::as_select())
        .load(conn)?;
    let found = ids.with(rows, |identity| identity.id.0).found;
    Ok(PeoplePage { found, next })
}

/// Where the walk goes on below an identity.
fn next_page(
    conn: &mut Conn,
    filter: &PeopleFilter,
    next: Option<i64>,
    now: NaiveDateTime,
) -> QueryResult<Option<Place>> {
    let Some(before) = next.map(IdentityId) else {
        return Ok(None);
    };
    let begun = match filter.place {
        Some(place) => place,
        None => Place {
            before,
            newest: newest(conn)?,
            began: (now - UNSEEN).and_utc().timestamp_micros(),
        },
    };
    Ok(Some(Place { before, ..begun }))
}

fn newest(conn: &mut Conn) -> QueryResult<IdentityId> {
    let newest = identities::table.select(max(identities::id));
    let newest: Option<IdentityId> = newest.first(conn)?;
    Ok(newest.unwrap_or(IdentityId(0)))
}

/// People by unionid, by their oldest identity, and those without one by their only: each is in one index,
/// in order.
fn of_project(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
) -> QueryResult<Walked<i64>> {
    let rows = limit.max(0) + 1;
    let mut branches = Vec::new();
    for (state, linked) in [(LinkState::Linked, "TRUE"), (LinkState::Single, "FALSE")] {
        if filter.link_state.is_none_or(|wanted| wanted == state) {
            let people = Sql::new(
                "SELECT * FROM (SELECT oldest_id AS id FROM people WHERE project_id = ? \
                 AND linked = {linked}{before} ORDER BY oldest_id DESC LIMIT ?) {state}",
            );
            branches.push(
                people
                    .bind(project.0)
                    .bind(rows)
                    .put("{before}", before(filter, " AND oldest_id < ?"))
                    .put("{linked}", linked)
                    .put("{state}", state.as_str()),
            );
        }
    }
    let is_alone = filter
        .link_state
        .is_none_or(|wanted| wanted == LinkState::NoUnionid);
    if is_alone {
        let alone = Sql::new(
            "SELECT * FROM (SELECT id FROM identities WHERE project_id = ? \
             AND unionid IS NULL{before} ORDER BY id DESC LIMIT ?) alone",
        );
        let alone = alone.bind(project.0).bind(rows);
        branches.push(alone.put("{before}", before(filter, " AND id < ?")));
    }
    if branches.is_empty() {
        return Ok(Walked::cut(Vec::new(), limit, |id| *id));
    }
    let found: Vec<Row> = Sql::new("SELECT id FROM ({branches}) people ORDER BY id DESC LIMIT ?")
        .bind(rows)
        .put("{branches}", Sql::joined(branches, " UNION ALL "))
        .load(conn)?;
    let found = found.iter().map(|row| row.id).collect();
    Ok(Walked::cut(found, limit, |id| *id))
}

fn before(filter: &PeopleFilter, below: &'static str) -> Sql {
    match filter.place {
        Some(place) => Sql::new(below).bind(place.before.0),
        None => Sql::default(),
    }
}

/// Through the index by account and follow state.
fn of_accounts(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
) -> QueryResult<Walked<i64>> {
    let of_project: Vec<AccountId> = accounts::table
        .filter(accounts::project_id.eq(project))
        .select(accounts::id)
        .load(conn)?;
    let before = filter.place.map(|place| place.before.0);
    let mut walk = Walk::new("identities", ROWS, before);
    for account in of_project {
        for state in FollowState::ALL {
            let wanted = filter.account_id.is_none_or(|wanted| wanted == account)
                && filter.follow_state.is_none_or(|wanted| wanted == *state);
            if wanted {
                let of_account = Sql::new("account_id = ? AND follow_state = ?").bind(account.0);
                walk.branch(of_account.bind(state.as_str()));
            }
        }
    }
    walk.only(newest_match(filter));
    let linked = "COALESCE((SELECT people.linked FROM people \
                  WHERE people.project_id = identities.project_id \
                  AND people.unionid = identities.unionid), FALSE)";
    match filter.link_state {
        Some(LinkState::NoUnionid) => walk.only("unionid IS NULL"),
        Some(LinkState::Linked) => walk.only(linked),
        Some(LinkState::Single) => {
            walk.only(Sql::new("unionid IS NOT NULL AND NOT ").and(linked));
        }
        None => {}
    }
    walk.ids(conn, limit)
}

/// People of whom there can only be few: a unionid, an openid or a staff member is named.
fn of_few(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
) -> QueryResult<Walked<Identity>> {
    let in_another_account = elsewhere
        .filter(
            elsewhere
                .field(identities::project_id)
                .eq(identities::project_id),
        )
        .filter(elsewhere.field(identities::unionid).eq(identities::unionid))
        .filter(
            elsewhere
                .field(identities::account_id)
                .ne(identities::account_id),
        );
    let mut query = identities::table
        .filter(identities::project_id.eq(project))
        .order(identities::id.desc())
        .limit(limit.max(0) + 1)
        .select(Identity::as_select())
        .into_boxed();
    if let Some(account) = filter.account_id {
        query = query.filter(identities::account_id.eq(account));
    } else if filter.openid.is_some() {
        // Openids are indexed by account.
        let accounts = accounts::table.filter(accounts::project_id.eq(project));
        query = query.filter(identities::account_id.eq_any(accounts.select(accounts::id)));
    }
    if let Some(state) = filter.follow_state {
        query = query.filter(identities::follow_state.eq(state));
    }
    query = match &filter.openid {
        Some(openid) => query.filter(identities::openid.eq(openid)),
        None => query.filter(newest_match(filter)),
    };
    if let Some(unionid) = &filter.unionid {
        query = query.filter(identities::unionid.eq(unionid));
    }
    query = match filter.link_state {
        Some(LinkState::NoUnionid) => query.filter(identities::unionid.is_null()),
        Some(LinkState::Linked) => query.filter(exists(in_another_account)),
        Some(LinkState::Single) => query
            .filter(identities::unionid.is_not_null())
            .filter(not(exists(in_another_account))),
        None => query,
    };
    if let Some(staff_id) = &filter.staff_id {
        let reached = staff::reach(conn, project, &[staff_id])?;
        let ids: Vec<IdentityId> = reached.iter().filter_map(|row| row.identity_id).collect();
        query = query.filter(identities::id.eq_any(ids));
    }
    if let Some(place) = filter.place {
        query = query.filter(identities::id.lt(place.before));
    }
    Ok(Walked::cut(
        query.load(conn)?,
        limit,
        |identity: &Identity| identity.id.0,
    ))
}

/// Of several matching identities with one unionid, the newest stands for the person. Only the
/// account and the follow state tell identities of one person apart.
fn newest_match(filter: &PeopleFilter) -> Sql {
    // A subquery for each row, which no planner turns into a join of whole tables.
    let mut newer = Sql::new(
        "(SELECT 1 FROM identities newer \
        WHERE newer.project_id = identities.project_id AND newer.unionid = identities.unionid \
        AND newer.id > identities.id",
    );
    if let Some(account) = filter.account_id {
        newer = newer.and(Sql::new(" AND newer.account_id = ?").bind(account.0));
    }
    if let Some(state) = filter.follow_state {
        newer = newer.and(Sql::new(" AND newer.follow_state = ?").bind(state.as_str()));
    }
    // What has come or changed since the walk began may have been no match when it passed there.
    if let Some(place) = filter.place
        && let Some(began) = DateTime::from_timestamp_micros(place.began)
    {
        let unchanged = Sql::new(" AND newer.id <= ? AND newer.updated_at <= ?");
        newer = newer.and(unchanged.bind(place.newest.0).bind(began.naive_utc()));
    }
    newer.and(" LIMIT 1) IS NULL")
}

/// All identities of a project with one of the given unionids.
pub fn with_unionids(
    conn: &mut Conn,
    project: ProjectId,
    unionids: &[String],
) -> QueryResult<Vec<Identity>> {
    identities::table
        .filter(identities::project_id.eq(project))
        .filter(identities::unionid.eq_any(unionids))
        .order(identities::id)
        .select(Identity::as_select())
        .load(conn)
}

/// All identities of the person whom an identity belongs to, itself among them.
pub fn members_of(conn: &mut Conn, identity: &Identity) -> QueryResult<Vec<Identity>> {
    match &identity.unionid {
        None => Ok(vec![identity.clone()]),
        Some(unionid) => with_unionids(conn, identity.project_id, std::slice::from_ref(unionid)),
    }
}
