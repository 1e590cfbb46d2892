//! What events say of identities: seen, followed, unfollowed, in any order and any number.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::ProfileState;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::ids::{AccountId, IdentityId, ProjectId};

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
pub fn sight(conn: &mut Conn, rows: &[Sighting]) -> QueryResult<usize> {
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
        sql: include_str!("sight.sql"),
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
}

/// The row ids of many openids.
pub fn ids_of(conn: &mut Conn, spots: &[Spot<'_>]) -> QueryResult<Vec<Found>> {
    const IDS: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("openid", Kind::Text)],
        sql: "SELECT i.account_id, i.openid, i.id FROM {rows} \
              JOIN identities i ON i.account_id = r.account_id AND i.openid = r.openid",
    };
    IDS.load(conn, spots)
}

#[derive(Serialize)]
struct Refused {
    id: IdentityId,
    not_after: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Marks identities as not following because WeChat refused a message to them (43004), unless
/// they followed again after `sent_at`, seconds since 1970.
pub fn mark_unfollowed(
    conn: &mut Conn,
    refusals: &[(IdentityId, i64)],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    const MARK: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("not_after", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE identities SET follow_state = 'not_following', \
              unfollowed_time = {greatest}(followed_time, unfollowed_time, 1), updated_at = r.now \
              FROM {rows} WHERE identities.id = r.id AND identities.followed_time <= r.not_after \
              AND identities.follow_state <> 'not_following'",
    };
    let rows: Vec<Refused> = refusals
        .iter()
        .map(|&(id, not_after)| Refused { id, not_after, now })
        .collect();
    MARK.execute(conn, &rows)
}
