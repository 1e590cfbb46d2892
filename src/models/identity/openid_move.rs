//! What became of the openids of a migrated account: the identity that goes on for each.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{FollowState, Identity, ProfileState};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{
    Conn,
    schema::{identities, openid_moves},
};
use crate::ids::{AccountId, IdentityId, ProjectId};

/// What became of one openid.
#[derive(Clone, Debug, Serialize, Queryable, Selectable)]
#[diesel(table_name = openid_moves)]
pub struct OpenidMove {
    /// The identity in the old account.
    pub identity_id: IdentityId,
    /// The new account.
    pub to_account_id: AccountId,
    /// The identity that goes on for it; none: WeChat did not translate the openid.
    pub new_identity_id: Option<IdentityId>,
    /// Why not, or what was not moved with it.
    pub reason: Option<String>,
    /// When, UTC.
    #[serde(serialize_with = "timestamp")]
    pub moved_at: NaiveDateTime,
}

/// Notes what became of openids.
pub fn record(conn: &mut Conn, rows: &[OpenidMove]) -> QueryResult<usize> {
    const RECORD: Batch = Batch {
        columns: &[
            ("identity_id", Kind::BigInt),
            ("to_account_id", Kind::BigInt),
            ("new_identity_id", Kind::BigInt),
            ("reason", Kind::Text),
            ("moved_at", Kind::Timestamp),
        ],
        sql: "INSERT INTO openid_moves (identity_id, to_account_id, new_identity_id, reason, moved_at) \
              SELECT i.id, r.to_account_id, r.new_identity_id, r.reason, r.moved_at \
              FROM {rows} JOIN identities i ON i.id = r.identity_id WHERE TRUE \
              ON CONFLICT (identity_id) DO UPDATE SET to_account_id = excluded.to_account_id, \
              new_identity_id = COALESCE(excluded.new_identity_id, openid_moves.new_identity_id), \
              reason = excluded.reason, moved_at = excluded.moved_at",
    };
    RECORD.execute(conn, rows)
}

/// What became of identities, of those that were asked for.
pub fn of_identities(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<OpenidMove>> {
    openid_moves::table
        .filter(openid_moves::identity_id.eq_any(ids))
        .select(OpenidMove::as_select())
        .load(conn)
}

/// The reasons why openids of an account were not translated, with how many each holds for, the
/// commonest first.
pub fn reasons(
    conn: &mut Conn,
    from: AccountId,
    to: AccountId,
) -> QueryResult<Vec<(Option<String>, i64)>> {
    use diesel::dsl::count_star;
    let mut reasons: Vec<(Option<String>, i64)> = openid_moves::table
        .inner_join(identities::table.on(identities::id.eq(openid_moves::identity_id)))
        .filter(identities::account_id.eq(from))
        .filter(openid_moves::to_account_id.eq(to))
        .filter(openid_moves::reason.is_not_null())
        .group_by(openid_moves::reason)
        .select((openid_moves::reason, count_star()))
        .load(conn)?;
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(reasons)
}

/// An openid of the new account, with what was known of the person in the old one.
#[derive(Clone, Debug, Serialize)]
pub struct Successor<'a> {
    /// The project of both accounts.
    pub project_id: ProjectId,
    /// The new account.
    pub account_id: AccountId,
    /// The openid in it.
    pub openid: &'a str,
    unionid: Option<&'a str>,
    follow_state: FollowState,
    followed_time: i64,
    unfollowed_time: i64,
    subscribe_scene: Option<&'a str>,
    qr_scene: Option<&'a str>,
    language: Option<&'a str>,
    remark: Option<&'a str>,
    profile_state: ProfileState,
    #[serde(serialize_with = "maybe_timestamp")]
    due_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

impl<'a> Successor<'a> {
    /// The one that goes on for an identity of the old account.
    pub fn of(old: &'a Identity, account: AccountId, openid: &'a str, now: NaiveDateTime) -> Self {
        Self {
            project_id: old.project_id,
            account_id: account,
            openid,
            unionid: old.unionid.as_deref(),
            follow_state: old.follow_state,
            followed_time: old.followed_time,
            unfollowed_time: old.unfollowed_time,
            subscribe_scene: old.subscribe_scene.as_deref(),
            qr_scene: old.qr_scene.as_deref(),
            language: old.language.as_deref(),
            remark: old.remark.as_deref(),
            // Whoever said it of the old openid has said it of the new one, and nobody else.
            profile_state: match (&old.unionid, old.profile_state) {
                (Some(_), ProfileState::Unconfirmed) => ProfileState::Unconfirmed,
                (Some(_), _) => ProfileState::Complete,
                (None, _) => ProfileState::Pending,
            },
            // WeChat says what holds in the new account.
            due_at: Some(now),
            now,
        }
    }
}

/// Stores successors, unique and sorted by openid. Of one that is known already, the account's own
/// word on following stands, and only the times before it are filled in.
pub fn succeed(conn: &mut Conn, rows: &[Successor<'_>]) -> QueryResult<usize> {
    const SUCCEED: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("account_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("unionid", Kind::Text),
            ("follow_state", Kind::Text),
            ("followed_time", Kind::BigInt),
            ("unfollowed_time", Kind::BigInt),
            ("subscribe_scene", Kind::Text),
            ("qr_scene", Kind::Text),
            ("language", Kind::Text),
            ("remark", Kind::Text),
            ("profile_state", Kind::Text),
            ("due_at", Kind::Timestamp),
            ("now", Kind::Timestamp),
        ],
        sql: include_str!("openid_move/succeed.sql"),
    };
    SUCCEED.execute(conn, rows)
}

#[derive(Serialize)]
struct Pair {
    old: IdentityId,
    new: IdentityId,
}

/// Copies name, picture and the like, where the new identities have none.
pub fn copy_details(conn: &mut Conn, pairs: &[(IdentityId, IdentityId)]) -> QueryResult<usize> {
    const COPY: Batch = Batch {
        columns: &[("old", Kind::BigInt), ("new", Kind::BigInt)],
        sql: "INSERT INTO profile_details (identity_id, nickname, headimgurl, sex, country, \
              province, city, updated_at) \
              SELECT r.new, d.nickname, d.headimgurl, d.sex, d.country, d.province, d.city, \
              d.updated_at FROM {rows} JOIN profile_details d ON d.identity_id = r.old WHERE TRUE \
              ON CONFLICT (identity_id) DO NOTHING",
    };
    let rows: Vec<Pair> = pairs.iter().map(|&(old, new)| Pair { old, new }).collect();
    COPY.execute(conn, &rows)
}
