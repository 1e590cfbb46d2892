//! People: the identities of a project that share a unionid. Derived, never stored.

use diesel::dsl::sql;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::{FollowState, Identity};
use crate::db::{
    Conn,
    schema::{accounts, identities},
    text_enum,
};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::staff;

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

diesel::alias!(identities as elsewhere: Elsewhere);

/// A page of people, each by its newest matching identity, newest first.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    filter: &PeopleFilter,
    limit: i64,
) -> QueryResult<Vec<Identity>> {
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
        .limit(limit)
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
    query.load(conn)
}

/// Of several matching identities with one unionid, the newest stands for the person. Only the
/// account and the follow state tell identities of one person apart; both are words of our own.
fn newest_match(filter: &PeopleFilter) -> String {
    let mut newer = "NOT EXISTS (SELECT 1 FROM identities newer \
        WHERE newer.project_id = identities.project_id AND newer.unionid = identities.unionid \
        AND newer.id > identities.id"
        .to_owned();
    if let Some(account) = filter.account_id {
        newer += &format!(" AND newer.account_id = {account}");
    }
    if let Some(state) = filter.follow_state {
        newer += &format!(" AND newer.follow_state = '{state}'");
    }
    newer + ")"
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
