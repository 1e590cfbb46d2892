//! What events say of identities: seen, followed, unfollowed, in any order and any number.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Bool, Text};
use serde::Serialize;

use super::{FollowState, ProfileState};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{
    Conn,
    schema::{accounts, identities},
};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::AccountKind;

/// What a batch of events says of one openid, taken together.
#[derive(Clone, Debug, Serialize)]
pub struct Sighting {
    /// The project of the account.
    pub project_id: ProjectId,
    /// The account.
    pub account_id: AccountId,
    /// The openid.
    pub openid: String,
    /// CreateTime of the newest follow among them; 0 none.
    pub followed_time: i64,
    /// CreateTime of the newest unfollow among them; 0 none.
    pub unfollowed_time: i64,
    /// The QR scene of the newest follow.
    pub qr_scene: Option<String>,
    /// The profile state of an identity that is new, or new as a follower.
    pub profile_state: ProfileState,
    /// When to fetch its profile; none for mini-programs, where it cannot be fetched.
    #[serde(serialize_with = "maybe_timestamp")]
    pub profile_due_at: Option<NaiveDateTime>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Stores what was seen: new identities, and news about known ones. Rows must be unique by
/// account and openid, and sorted by them, so that two replicas cannot deadlock.
pub fn record_sightings(conn: &mut Conn, rows: &[Sighting]) -> QueryResult<usize> {
    const SIGHT: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("account_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("followed_time", Kind::BigInt),
            ("unfollowed_time", Kind::BigInt),
            ("qr_scene", Kind::Text),
            ("profile_state", Kind::Text),
            ("profile_due_at", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: include_str!("record_sightings.sql"),
    };
    SIGHT.execute(conn, rows)
}

/// Where an openid stands.
#[derive(Debug, Serialize)]
pub struct Spot<'a> {
    /// The account.
    pub account_id: AccountId,
    /// The openid.
    pub openid: &'a str,
}

/// The row id of an openid in an account.
#[derive(Debug, QueryableByName)]
pub struct Found {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// The identity.
    #[diesel(sql_type = BigInt)]
    pub id: IdentityId,
    /// Whether they are thought not to follow, or WeChat did not know them.
    #[diesel(sql_type = Bool)]
    pub is_gone: bool,
    /// Whether WeChat told no unionid, as the account was not bound to an Open Platform account.
    #[diesel(sql_type = Bool)]
    pub is_unbound: bool,
    /// CreateTime of the newest unfollow.
    #[diesel(sql_type = BigInt)]
    pub unfollowed_time: i64,
}

/// The row ids of many openids.
pub fn ids_of(conn: &mut Conn, spots: &[Spot<'_>]) -> QueryResult<Vec<Found>> {
    const IDS: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("openid", Kind::Text)],
        sql: "SELECT i.account_id, i.openid, i.id, i.unfollowed_time, \
              i.follow_state = 'not_following' OR i.profile_state = 'unknown_openid' AS is_gone, \
              i.profile_state = 'not_bound_to_open_platform' AS is_unbound FROM {rows} \
              JOIN identities i ON i.account_id = r.account_id AND i.openid = r.openid",
    };
    IDS.load(conn, spots)
}

/// Account, openid and unionid of many openids, as far as the unionids are known.
pub fn unionids_of(
    conn: &mut Conn,
    spots: &[Spot<'_>],
) -> QueryResult<Vec<(AccountId, String, String)>> {
    #[derive(QueryableByName)]
    struct Known {
        #[diesel(sql_type = BigInt)]
        account_id: AccountId,
        #[diesel(sql_type = Text)]
        openid: String,
        #[diesel(sql_type = Text)]
        unionid: String,
    }
    const UNIONIDS: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("openid", Kind::Text)],
        sql: "SELECT i.account_id, i.openid, i.unionid FROM {rows} JOIN identities i \
              ON i.account_id = r.account_id AND i.openid = r.openid WHERE i.unionid IS NOT NULL",
    };
    let known: Vec<Known> = UNIONIDS.load(conn, spots)?;
    Ok(known
        .into_iter()
        .map(|one| (one.account_id, one.openid, one.unionid))
        .collect())
}

/// Somebody of whom it is not known that they do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct Thought {
    /// Row id.
    pub id: IdentityId,
    /// CreateTime of the newest follow.
    pub followed_time: i64,
    /// Answers in a row that contradicted a recent follow.
    pub profile_doubts: i32,
}

/// Those of official accounts of whom it is not known that they do not follow.
pub fn thought_to_follow(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<Thought>> {
    identities::table
        .inner_join(accounts::table)
        .filter(identities::id.eq_any(ids))
        .filter(identities::follow_state.ne(FollowState::NotFollowing))
        .filter(accounts::kind.eq(AccountKind::OfficialAccount))
        .select((
            identities::id,
            identities::followed_time,
            identities::profile_doubts,
        ))
        .load(conn)
}
