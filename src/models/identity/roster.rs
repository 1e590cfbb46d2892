//! What an account's follower list says of identities.

use std::collections::HashSet;

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Bool};
use serde::Serialize;

use super::Claimed;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::identities, statement};
use crate::ids::{AccountId, IdentityId, ImportId, ProjectId};

/// One openid on a page of the follower list.
#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    /// The project of the account.
    pub project_id: ProjectId,
    /// The account.
    pub account_id: AccountId,
    /// The follower.
    pub openid: &'a str,
    /// The walk that found it.
    pub import_id: ImportId,
    /// When the profile of somebody who is known is asked for; none: only where they are thought to
    /// be gone.
    #[serde(serialize_with = "maybe_timestamp")]
    pub refresh_at: Option<NaiveDateTime>,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// Stores followers that Queqiao did not know, to be profiled at once; returns how many there
/// were. One that is thought not to follow is asked about, since the list may be older than the
/// event. Of two walks over one account at the same time the later one leaves its mark, which
/// stands for the earlier one too. Rows must be sorted by openid: those who are known are locked by the
/// first statement, in one order with those who are new, as events lock them.
pub fn list_followers(conn: &mut Conn, rows: &[Listed<'_>]) -> QueryResult<usize> {
    const COLUMNS: &[(&str, Kind)] = &[
        ("project_id", Kind::BigInt),
        ("account_id", Kind::BigInt),
        ("openid", Kind::Text),
        ("import_id", Kind::BigInt),
        ("refresh_at", Kind::Timestamp),
        ("now", Kind::Timestamp),
    ];
    const INSERT: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO identities (project_id, account_id, openid, follow_state, followed_time, \
              unfollowed_time, profile_state, profile_attempts, profile_due_at, seen_import, \
              created_at, updated_at) \
              SELECT r.project_id, r.account_id, r.openid, 'following', 1, 0, 'pending', 0, r.now, \
              r.import_id, r.now, r.now FROM {rows} WHERE TRUE \
              ON CONFLICT (account_id, openid) \
              DO UPDATE SET updated_at = identities.updated_at WHERE FALSE",
    };
    const SEEN: Batch = Batch {
        columns: COLUMNS,
        // That WeChat lists them outweighs whatever it said of them before.
        sql: "UPDATE identities SET seen_import = r.import_id, \
              profile_attempts = CASE WHEN unionid IS NULL AND r.refresh_at IS NOT NULL \
              THEN 0 ELSE profile_attempts END, \
              profile_state = CASE WHEN unionid IS NULL AND r.refresh_at IS NOT NULL \
              AND profile_state IN ('unknown_openid', 'login_needed', 'not_following') \
              THEN 'pending' ELSE profile_state END, profile_due_at = CASE \
              WHEN follow_state <> 'following' THEN r.now \
              WHEN profile_due_at IS NULL OR profile_due_at > r.refresh_at \
              THEN COALESCE(r.refresh_at, profile_due_at) ELSE profile_due_at END \
              FROM {rows} WHERE identities.account_id = r.account_id \
              AND identities.openid = r.openid \
              AND (seen_import IS NULL OR seen_import < r.import_id)",
    };
    let created = INSERT.execute(conn, rows)?;
    SEEN.execute(conn, rows)?;
    Ok(created)
}

/// Those of these openids that are known without a unionid, and of whom no question is open that has its
/// own time: whom to ask about.
pub fn silent(
    conn: &mut Conn,
    account: AccountId,
    openids: &[String],
) -> QueryResult<HashSet<String>> {
    let found: Vec<String> = identities::table
        .filter(identities::account_id.eq(account))
        .filter(identities::openid.eq_any(openids))
        .filter(identities::unionid.is_null())
        .filter(identities::profile_doubts.eq(0))
        .select(identities::openid)
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// Those of an account without a unionid, but for those who are gone, with ids above `after` and in
/// their order.
pub fn unlinked(
    conn: &mut Conn,
    (project, account): (ProjectId, AccountId),
    after: IdentityId,
    limit: i64,
) -> QueryResult<Vec<IdentityId>> {
    identities::table
        .filter(identities::project_id.eq(project))
        .filter(identities::unionid.is_null())
        .filter(identities::account_id.eq(account))
        .filter(identities::follow_state.ne(super::FollowState::NotFollowing))
        .filter(identities::id.gt(after))
        .order(identities::id)
        .limit(limit)
        .select(identities::id)
        .load(conn)
}

/// When to ask for a profile.
#[derive(Debug, Serialize)]
pub struct Turn {
    /// Whose.
    pub id: IdentityId,
    /// When; none: never, as that of a mini-program's openid cannot be asked for.
    #[serde(serialize_with = "maybe_timestamp")]
    pub at: Option<NaiveDateTime>,
}

/// Plans profiles of an account whose settings have changed, so that what was said of its people before
/// counts no more. What is due sooner stays so.
pub fn plan(conn: &mut Conn, turns: &[Turn]) -> QueryResult<usize> {
    const PLAN: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("at", Kind::Timestamp)],
        sql: "UPDATE identities SET profile_attempts = 0, \
              profile_alone = profile_alone AND profile_state = 'unknown_openid', \
              profile_state = CASE WHEN r.at IS NULL THEN 'login_needed' \
              WHEN profile_state = 'not_bound_to_open_platform' THEN profile_state \
              ELSE 'pending' END, profile_due_at = CASE \
              WHEN profile_due_at IS NULL OR r.at IS NULL OR profile_due_at > r.at THEN r.at \
              ELSE profile_due_at END \
              FROM {rows} WHERE identities.id = r.id AND unionid IS NULL AND profile_doubts = 0 \
              AND (r.at IS NOT NULL OR profile_due_at IS NOT NULL)",
    };
    super::hold(conn, turns.iter().map(|turn| turn.id))?;
    PLAN.execute(conn, turns)
}

/// Somebody who may be gone.
#[derive(Debug, QueryableByName)]
struct Unlisted {
    #[diesel(embed)]
    claimed: Claimed,
    /// Whether WeChat told of them since they followed: a follow makes the profile due.
    #[diesel(sql_type = Bool)]
    is_told: bool,
}

/// The next followers, in order of row id after `after`, whom neither this whole walk nor a later one
/// found, except those who followed after `started`, seconds since 1970: whom to ask about.
pub fn unlisted(
    conn: &mut Conn,
    (project, account): (ProjectId, AccountId),
    import: ImportId,
    started: i64,
    after: IdentityId,
    limit: i64,
) -> QueryResult<Vec<Claimed>> {
    let rows: Vec<Unlisted> = statement(
        conn,
        "SELECT id, openid, followed_time, unfollowed_time, profile_attempts, profile_doubts, \
         profile_alone, profile_fetched_at IS NOT NULL AND (profile_due_at IS NULL \
         OR profile_state = 'not_bound_to_open_platform') AS is_told FROM identities \
         WHERE project_id = $1 AND id > $2 AND account_id = $3 \
         AND follow_state = 'following' AND followed_time < $4 \
         AND (seen_import IS NULL OR seen_import < $5) ORDER BY id LIMIT $6",
    )
    .bind::<BigInt, _>(project)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(started)
    .bind::<BigInt, _>(import)
    .bind::<BigInt, _>(limit.max(0))
    .load(conn)?;
    let claimed = rows.into_iter().map(|row| {
        // If WeChat has told of this follow before, it is not behind.
        match row.is_told && row.claimed.profile_doubts == 0 {
            true => row.claimed.beyond_doubt(),
            false => row.claimed,
        }
    });
    Ok(claimed.collect())
}

/// Marks those as gone whom WeChat neither lists nor knows, except those who followed after `started`.
/// Returns how many.
pub fn mark_gone(
    conn: &mut Conn,
    ids: &[IdentityId],
    started: i64,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    use identities as i;
    super::hold(conn, ids.iter().copied())?;
    diesel::update(
        i::table
            .filter(i::id.eq_any(ids))
            .filter(i::follow_state.eq(super::FollowState::Following))
            .filter(i::followed_time.lt(started)),
    )
    .set((
        i::follow_state.eq(super::FollowState::NotFollowing),
        i::unfollowed_time.eq(i::followed_time),
        i::updated_at.eq(now),
    ))
    .execute(conn)
}
