//! People: the identities of a project that share a unionid. Derived; the table `people`, kept by
//! triggers on `identities`, has what lists of them need.

use diesel::dsl::sql;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Bool;

use super::{FollowState, Identity};
use crate::db::{
    Conn,
    schema::{accounts, identities},
    text_enum,
};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::staff;
use crate::models::walk::{Row, Walk, Walked};

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
    /// Only people whose newest matching identity is below this one.
    pub before: Option<IdentityId>,
}

/// Identities that one page looks at, each with a look for the person's other ones.
const ROWS: i64 = 400;

diesel::alias!(identities as elsewhere: Elsewhere);

/// A page of people, each by its newest matching identity, newest first.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
) -> QueryResult<Walked<Identity>> {
    if filter.unionid.is_some() || filter.openid.is_some() || filter.staff_id.is_some() {
        return of_few(conn, project, filter, limit);
    }
    let ids = if filter.account_id.is_none() && filter.follow_state.is_none() {
        of_project(conn, project, filter, limit)?
    } else {
        of_accounts(conn, project, filter, limit)?
    };
    let rows = identities::table
        .filter(identities::id.eq_any(&ids.found))
        .select(Identity::as_select())
        .load(conn)?;
    Ok(ids.with(rows, |identity| identity.id.0))
}

/// People by unionid, and those without one by their only identity: each is in one index, in order.
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
            let before = before(filter, "newest_id");
            branches.push(format!(
                "SELECT * FROM (SELECT newest_id AS id FROM people WHERE project_id = {project} \
                 AND linked = {linked}{before} ORDER BY newest_id DESC LIMIT {rows}) {state}"
            ));
        }
    }
    if filter
        .link_state
        .is_none_or(|wanted| wanted == LinkState::NoUnionid)
    {
        let before = before(filter, "id");
        branches.push(format!(
            "SELECT * FROM (SELECT id FROM identities WHERE project_id = {project} \
             AND unionid IS NULL{before} ORDER BY id DESC LIMIT {rows}) alone"
        ));
    }
    let found: Vec<Row> = sql_query(format!(
        "SELECT id FROM ({}) people ORDER BY id DESC LIMIT {rows}",
        branches.join(" UNION ALL ")
    ))
    .load(conn)?;
    let found = found.iter().map(|row| row.id).collect();
    Ok(Walked::cut(found, limit, |id| *id))
}

fn before(filter: &PeopleFilter, column: &str) -> String {
    match filter.before {
        Some(before) => format!(" AND {column} < {before}"),
        None => String::new(),
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
    let mut walk = Walk::new(conn, "identities", ROWS, filter.before.map(|id| id.0));
    for account in of_project {
        for state in FollowState::ALL {
            let wanted = filter.account_id.is_none_or(|wanted| wanted == account)
                && filter.follow_state.is_none_or(|wanted| wanted == *state);
            if wanted {
                walk.branch(format!(
                    "account_id = {account} AND follow_state = '{state}'"
                ));
            }
        }
    }
    walk.only(newest_match(filter));
    let linked = "COALESCE((SELECT people.linked FROM people \
                  WHERE people.project_id = identities.project_id \
                  AND people.unionid = identities.unionid), FALSE)";
    match filter.link_state {
        Some(LinkState::NoUnionid) => walk.only("unionid IS NULL".to_owned()),
        Some(LinkState::Linked) => walk.only(linked.to_owned()),
        Some(LinkState::Single) => walk.only(format!("unionid IS NOT NULL AND NOT {linked}")),
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
        None => query.filter(sql::<Bool>(&newest_match(filter))),
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
    if let Some(before) = filter.before {
        query = query.filter(identities::id.lt(before));
    }
    Ok(Walked::cut(
        query.load(conn)?,
        limit,
        |identity: &Identity| identity.id.0,
    ))
}

/// Of several matching identities with one unionid, the newest stands for the person. Only the
/// account and the follow state tell identities of one person apart; both are words of our own.
fn newest_match(filter: &PeopleFilter) -> String {
    // A subquery for each row, which no planner turns into a join of whole tables.
    let mut newer = "(SELECT 1 FROM identities newer \
        WHERE newer.project_id = identities.project_id AND newer.unionid = identities.unionid \
        AND newer.id > identities.id"
        .to_owned();
    if let Some(account) = filter.account_id {
        newer += &format!(" AND newer.account_id = {account}");
    }
    if let Some(state) = filter.follow_state {
        newer += &format!(" AND newer.follow_state = '{state}'");
    }
    newer + " LIMIT 1) IS NULL"
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
