//! Openids of a mini-program that the business brings in. Nobody can ask WeChat about one, so it
//! stays `unconfirmed` until WeChat itself tells of it, by an event or a login.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{Found, Identity, Spot};
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::identities};
use crate::ids::{AccountId, IdentityId, ProjectId};

/// An openid that is brought in.
#[derive(Debug, Serialize)]
pub struct Adopted<'a> {
    /// The project of the account.
    pub project_id: ProjectId,
    /// The mini-program.
    pub account_id: AccountId,
    /// The person's id in it.
    pub openid: &'a str,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Stores those that are not known, and returns them; the others are left as they are, and locked.
/// Rows must be unique by openid and sorted by it, as those of events are, so that two transactions
/// cannot deadlock.
pub fn adopt(conn: &mut Conn, rows: &[Adopted<'_>]) -> QueryResult<Vec<Found>> {
    const ADOPT: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("account_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO identities (project_id, account_id, openid, follow_state, followed_time, \
              unfollowed_time, profile_state, profile_attempts, created_at, updated_at) \
              SELECT r.project_id, r.account_id, r.openid, 'unknown', 0, 0, 'unconfirmed', 0, \
              r.now, r.now FROM {rows} WHERE TRUE ON CONFLICT (account_id, openid) \
              DO UPDATE SET updated_at = identities.updated_at WHERE FALSE \
              RETURNING account_id, openid, id, unfollowed_time, FALSE AS is_gone, \
              FALSE AS is_unbound",
    };
    ADOPT.load(conn, rows)
}

/// The identities of these openids in an account.
pub fn by_openids(
    conn: &mut Conn,
    account: AccountId,
    openids: &[&str],
) -> QueryResult<Vec<Identity>> {
    identities::table
        .filter(identities::account_id.eq(account))
        .filter(identities::openid.eq_any(openids))
        .select(Identity::as_select())
        .load(conn)
}

/// A unionid of which only the business says whose it is.
#[derive(Debug, Serialize)]
pub struct Claim<'a> {
    /// Whose.
    pub id: IdentityId,
    /// The unionid.
    pub unionid: &'a str,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Stores unionids that the business brought. What WeChat told is not to be among them.
pub fn claim(conn: &mut Conn, rows: &[Claim<'_>]) -> QueryResult<usize> {
    const CLAIM: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("unionid", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE identities SET unionid = r.unionid, profile_state = 'unconfirmed', \
              updated_at = r.now FROM {rows} WHERE identities.id = r.id",
    };
    CLAIM.execute(conn, rows)
}

/// Removes identities that [`adopt`] has stored in this transaction.
pub fn take_back(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    diesel::delete(identities::table.filter(identities::id.eq_any(ids))).execute(conn)
}

/// Notes that WeChat itself told of these openids. A unionid that came with one is still only the
/// business's word.
pub fn confirm(conn: &mut Conn, spots: &[Spot<'_>]) -> QueryResult<usize> {
    const CONFIRM: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("openid", Kind::Text)],
        sql: "UPDATE identities SET profile_state = 'login_needed' FROM {rows} \
              WHERE identities.account_id = r.account_id AND identities.openid = r.openid \
              AND identities.profile_state = 'unconfirmed' AND identities.unionid IS NULL",
    };
    CONFIRM.execute(conn, spots)
}
