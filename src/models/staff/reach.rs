//! From staff ids to the identities through which each member can be reached.

use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;

use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::identity::{FollowState, ProfileState};

/// One staff member and, after the first row of each, one identity of that person.
#[derive(Clone, Debug, QueryableByName)]
pub struct ReachRow {
    /// The business's own id; empty for a person who is not staff.
    #[diesel(sql_type = Text)]
    pub staff_id: String,
    /// A name for people.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Whether there is a binding at all.
    #[diesel(sql_type = Bool)]
    pub bound: bool,
    /// An identity of the person: bound itself, or sharing the bound one's unionid.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub identity_id: Option<IdentityId>,
    /// Its account.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub account_id: Option<AccountId>,
    /// Its openid.
    #[diesel(sql_type = Nullable<Text>)]
    pub openid: Option<String>,
    /// The person's unionid.
    #[diesel(sql_type = Nullable<Text>)]
    pub unionid: Option<String>,
    /// Whether the identity follows its account.
    #[diesel(sql_type = Nullable<Text>)]
    pub follow_state: Option<FollowState>,
    /// CreateTime of its newest follow, as in [`Identity`](crate::models::identity::Identity).
    #[diesel(sql_type = Nullable<BigInt>)]
    pub followed_time: Option<i64>,
    /// What is known of its profile.
    #[diesel(sql_type = Nullable<Text>)]
    pub profile_state: Option<ProfileState>,
}

#[derive(Serialize)]
struct Asked<'a> {
    project_id: ProjectId,
    staff_id: &'a str,
}

/// Everything through which the given staff can be reached: for each one that exists, a row
/// without identity, then a row for each identity.
pub fn reach(
    conn: &mut Conn,
    project: ProjectId,
    staff_ids: &[&str],
) -> QueryResult<Vec<ReachRow>> {
    const REACH: Batch = Batch {
        columns: &[("project_id", Kind::BigInt), ("staff_id", Kind::Text)],
        sql: include_str!("reach.sql"),
    };
    let rows: Vec<Asked<'_>> = staff_ids
        .iter()
        .map(|&staff_id| Asked {
            project_id: project,
            staff_id,
        })
        .collect();
    REACH.load(conn, &rows)
}
