//! The profile queue: which identities' profiles are due, and what came of fetching them.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::details::{self, Details, NewDetails};
use super::unionid_change::{self, Changed, Heard};
use super::{Identity, ProfileState};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::identities, statement};
use crate::ids::{AccountId, IdentityId, ProjectId};

/// An identity whose profile is to be fetched now.
#[derive(Clone, Debug, QueryableByName)]
pub struct Claimed {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: IdentityId,
    /// The openid to ask for.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// As it stood when claimed; WeChat's word on following counts only if it still stands so.
    #[diesel(sql_type = BigInt)]
    pub followed_time: i64,
    /// As it stood when claimed.
    #[diesel(sql_type = BigInt)]
    pub unfollowed_time: i64,
    /// Fetches that failed or brought no unionid so far.
    #[diesel(sql_type = Integer)]
    pub profile_attempts: i32,
    /// Answers in a row that contradicted a recent follow.
    #[diesel(sql_type = Integer)]
    pub profile_doubts: i32,
    /// Whether it is to be asked for without others, whose answer it would spoil.
    #[diesel(sql_type = Bool)]
    pub profile_alone: bool,
}

impl Claimed {
    /// The same, where an answer is not doubted whatever it says.
    pub fn beyond_doubt(self) -> Self {
        Self {
            profile_doubts: i32::MAX,
            ..self
        }
    }
}

/// An account with profiles that are due.
#[derive(Clone, Debug, QueryableByName)]
pub struct DueAccount {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// How many are due.
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Since when the oldest is due, UTC.
    #[diesel(sql_type = Timestamp)]
    pub oldest: NaiveDateTime,
}

/// The accounts that have profiles due, with how many (counted up to `cap` for each, so that a
/// long queue of one account does not hide the others).
pub fn due_accounts(conn: &mut Conn, now: NaiveDateTime, cap: i64) -> QueryResult<Vec<DueAccount>> {
    statement(
        conn,
        "SELECT account_id, waiting, oldest FROM ( \
             SELECT a.id AS account_id, \
                 (SELECT MIN(i.profile_due_at) FROM identities i \
                  WHERE i.account_id = a.id AND i.profile_due_at IS NOT NULL) AS oldest, \
                 (SELECT COUNT(*) FROM ( \
                     SELECT 1 FROM identities i WHERE i.account_id = a.id \
                     AND i.profile_due_at IS NOT NULL AND i.profile_due_at <= $1 LIMIT $2 \
                 ) counted) AS waiting FROM accounts a \
         ) due WHERE oldest <= $1",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(cap.max(0))
    .load(conn)
}

/// Leases the profiles of an account that have been due longest until `lease_until`.
pub fn claim_due(
    conn: &mut Conn,
    account: AccountId,
    now: NaiveDateTime,
    lease_until: NaiveDateTime,
    limit: i64,
) -> QueryResult<Vec<Claimed>> {
    // Materialized, so that no plan can run the locking part more than once.
    statement(
        conn,
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM identities WHERE account_id = $1 \
             AND profile_due_at IS NOT NULL AND profile_due_at <= $2 \
             ORDER BY profile_due_at LIMIT $3 {skip_locked} \
         ) UPDATE identities SET profile_due_at = $4 \
         WHERE id IN (SELECT id FROM due) RETURNING id, openid, followed_time, unfollowed_time, profile_attempts, \
         profile_doubts, profile_alone",
    )
    .bind::<BigInt, _>(account)
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit.max(0))
    .bind::<Timestamp, _>(lease_until)
    .load(conn)
}

/// Makes due what waits for a later time, leases of processes that are gone among it, at most `limit` of
/// it: the clock went back. Returns how many profiles those are.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    statement(
        conn,
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM identities WHERE account_id IN (SELECT id FROM accounts) \
             AND profile_due_at IS NOT NULL AND profile_due_at > $1 LIMIT $2 {skip_locked} \
         ) UPDATE identities SET profile_due_at = $1 WHERE id IN (SELECT id FROM planned)",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// What WeChat said of one identity.
#[derive(Clone, Debug, Serialize)]
pub struct Fetched {
    /// Row id.
    pub id: IdentityId,
    /// [`Claimed::followed_time`].
    pub was_followed: i64,
    /// [`Claimed::unfollowed_time`].
    pub was_unfollowed: i64,
    /// Whether WeChat says that the person follows.
    pub subscribe: bool,
    /// WeChat's `subscribe_time`; 0 none.
    pub subscribe_time: i64,
    /// The unionid, if WeChat gave one; a known one is never erased.
    pub unionid: Option<String>,
    /// WeChat's `subscribe_scene`.
    pub subscribe_scene: Option<String>,
    /// The QR scene, if any.
    pub qr_scene: Option<String>,
    /// WeChat's `language`.
    pub language: Option<String>,
    /// The account's remark; empty: there is none now, none: nothing was said of it.
    pub remark: Option<String>,
    /// Tag ids, a JSON array; empty and none as above.
    pub tag_ids: Option<String>,
    /// What is known now.
    pub profile_state: ProfileState,
    /// Why this is not the last word, if it is not.
    pub error: Option<&'static str>,
    /// When to ask again, if at all.
    #[serde(serialize_with = "maybe_timestamp")]
    pub due_at: Option<NaiveDateTime>,
    /// Fetches that failed or brought no unionid so far.
    pub attempts: i32,
    /// Answers in a row that contradicted a recent follow, this one among them; while there are any,
    /// what WeChat says of following does not count.
    pub doubts: i32,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
    /// Name, picture and the like, where WeChat tells them.
    #[serde(skip)]
    pub details: Details,
}

/// Stores fetched profiles. Returns those that came with another unionid than before.
pub fn apply(conn: &mut Conn, rows: &[Fetched]) -> QueryResult<Vec<Changed>> {
    const APPLY: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("was_followed", Kind::BigInt),
            ("was_unfollowed", Kind::BigInt),
            ("subscribe", Kind::Bool),
            ("subscribe_time", Kind::BigInt),
            ("unionid", Kind::Text),
            ("subscribe_scene", Kind::Text),
            ("qr_scene", Kind::Text),
            ("language", Kind::Text),
            ("remark", Kind::Text),
            ("tag_ids", Kind::Text),
            ("profile_state", Kind::Text),
            ("error", Kind::Text),
            ("due_at", Kind::Timestamp),
            ("attempts", Kind::Integer),
            ("doubts", Kind::Integer),
            ("now", Kind::Timestamp),
        ],
        sql: include_str!("profile.sql"),
    };
    let heard: Vec<Heard<'_>> = rows
        .iter()
        .filter_map(|row| {
            Some(Heard {
                id: row.id,
                unionid: row.unionid.as_deref()?,
                now: row.now,
            })
        })
        .collect();
    super::hold(conn, rows.iter().map(|row| row.id))?;
    let changed = unionid_change::record(conn, &heard)?;
    APPLY.execute(conn, rows)?;
    let details: Vec<NewDetails<'_>> = rows
        .iter()
        .filter(|row| !row.details.is_empty())
        .map(|row| NewDetails {
            id: row.id,
            details: &row.details,
            now: row.now,
        })
        .collect();
    details::keep(conn, &details)?;
    Ok(changed)
}

/// A fetch that failed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delay {
    /// Row id.
    pub id: IdentityId,
    /// [`Claimed::followed_time`].
    pub was_followed: i64,
    /// [`Claimed::unfollowed_time`].
    pub was_unfollowed: i64,
    /// Whether WeChat said that it does not know them. Otherwise nothing was said of them: what is
    /// known stays so.
    pub is_unknown: bool,
    /// Fetches that failed so far, this one among them.
    pub attempts: i32,
    /// Answers in a row that contradicted a recent follow; none: as many as before.
    pub doubts: Option<i32>,
    /// When it is tried again; never, if none.
    #[serde(serialize_with = "maybe_timestamp")]
    pub due_at: Option<NaiveDateTime>,
    /// Whether it is to be asked for without others from now on.
    pub alone: bool,
}

#[derive(Serialize)]
struct Delayed<'a> {
    #[serde(flatten)]
    delay: &'a Delay,
    error: &'a str,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Notes that fetches failed for the same reason, unless something was heard of the person since the
/// question was put: then an event has said what is due.
pub fn delay(
    conn: &mut Conn,
    delays: &[Delay],
    error: &str,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    const DELAY: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("was_followed", Kind::BigInt),
            ("was_unfollowed", Kind::BigInt),
            ("is_unknown", Kind::Bool),
            ("error", Kind::Text),
            ("attempts", Kind::Integer),
            ("doubts", Kind::Integer),
            ("due_at", Kind::Timestamp),
            ("alone", Kind::Bool),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE identities SET profile_error = r.error, profile_attempts = r.attempts, \
              profile_state = CASE WHEN unionid IS NULL AND r.is_unknown THEN 'unknown_openid' \
              ELSE profile_state END, \
              profile_doubts = COALESCE(r.doubts, profile_doubts), \
              profile_alone = profile_alone OR r.alone, profile_due_at = r.due_at, \
              updated_at = r.now FROM {rows} WHERE identities.id = r.id \
              AND identities.followed_time = r.was_followed \
              AND identities.unfollowed_time = r.was_unfollowed",
    };
    let rows: Vec<Delayed<'_>> = delays
        .iter()
        .map(|delay| Delayed { delay, error, now })
        .collect();
    super::hold(conn, delays.iter().map(|delay| delay.id))?;
    DELAY.execute(conn, &rows)
}

/// Makes the profiles of these due, each once, because of news that only WeChat can confirm. Only
/// those of official accounts: nothing can be asked for in a mini-program. Where an answer is in
/// doubt, it has its next time already: asked for sooner, all the answers would come from the same
/// few seconds in which WeChat is behind.
pub fn ask_about(conn: &mut Conn, ids: &[IdentityId], now: NaiveDateTime) -> QueryResult<usize> {
    #[derive(Serialize)]
    struct Row {
        id: IdentityId,
        #[serde(serialize_with = "timestamp")]
        now: NaiveDateTime,
    }
    const ASK: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("now", Kind::Timestamp)],
        sql: "UPDATE identities SET profile_due_at = r.now, profile_attempts = 0, \
              profile_state = CASE WHEN profile_state IN ('not_following', 'unknown_openid') \
              THEN 'pending' ELSE profile_state END, updated_at = r.now FROM {rows} \
              WHERE identities.id = r.id AND profile_doubts = 0 \
              AND (profile_due_at IS NULL OR profile_due_at > r.now) \
              AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = identities.account_id \
                  AND a.kind = 'official_account')",
    };
    let rows: Vec<Row> = ids.iter().map(|&id| Row { id, now }).collect();
    ASK.execute(conn, &rows)
}

/// Makes the profiles of these due whose account was not bound to an Open Platform account, if they were
/// asked for a day ago or longer: it may be bound now, and somebody who does something is there.
pub fn ask_unbound(conn: &mut Conn, ids: &[IdentityId], now: NaiveDateTime) -> QueryResult<usize> {
    #[derive(Serialize)]
    struct Row {
        id: IdentityId,
        #[serde(serialize_with = "timestamp")]
        now: NaiveDateTime,
        #[serde(serialize_with = "timestamp")]
        stale: NaiveDateTime,
    }
    const ASK: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("now", Kind::Timestamp),
            ("stale", Kind::Timestamp),
        ],
        sql: "UPDATE identities SET profile_due_at = r.now FROM {rows} \
              WHERE identities.id = r.id AND profile_state = 'not_bound_to_open_platform' \
              AND profile_due_at > r.now AND profile_fetched_at <= r.stale",
    };
    let stale = now - TimeDelta::days(1);
    let rows: Vec<Row> = ids.iter().map(|&id| Row { id, now, stale }).collect();
    ASK.execute(conn, &rows)
}

/// A mini-program login: WeChat's word on one openid.
#[derive(Insertable)]
#[diesel(table_name = identities)]
pub struct Login<'a> {
    /// The project of the account.
    pub project_id: ProjectId,
    /// The mini-program.
    pub account_id: AccountId,
    /// The person's openid in it.
    pub openid: &'a str,
    /// The unionid, unless the mini-program is not bound to an Open Platform account.
    pub unionid: Option<&'a str>,
    /// Nobody follows a mini-program.
    pub follow_state: super::FollowState,
    /// 0.
    pub followed_time: i64,
    /// 0.
    pub unfollowed_time: i64,
    /// Complete, or not bound.
    pub profile_state: ProfileState,
    /// 0.
    pub profile_attempts: i32,
    /// Now.
    pub profile_fetched_at: NaiveDateTime,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Stores unionids that came in another way than with a profile, in the order of ids. Returns those
/// that had another one. One that the business had brought before is WeChat's word from now on.
pub fn learn(conn: &mut Conn, heard: &[Heard<'_>]) -> QueryResult<Vec<Changed>> {
    const LEARN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("unionid", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE identities SET unionid = r.unionid, profile_state = 'complete', \
              updated_at = r.now FROM {rows} WHERE identities.id = r.id \
              AND (identities.unionid IS NULL OR identities.unionid <> r.unionid \
                  OR identities.profile_state = 'unconfirmed')",
    };
    let changed = unionid_change::record(conn, heard)?;
    LEARN.execute(conn, heard)?;
    Ok(changed)
}

/// When the profiles of identities were last fetched, UTC, if ever.
pub fn fetched_at(
    conn: &mut Conn,
    ids: &[IdentityId],
) -> QueryResult<Vec<(IdentityId, Option<NaiveDateTime>)>> {
    identities::table
        .filter(identities::id.eq_any(ids))
        .select((identities::id, identities::profile_fetched_at))
        .load(conn)
}

/// Stores a login: a new identity, or a known one with its unionid. A known unionid is never
/// erased by an answer without one; one that only the business told stays `unconfirmed` then.
pub fn log_in(conn: &mut Conn, login: &Login<'_>) -> QueryResult<Identity> {
    use identities as i;
    let unionid = sql::<Nullable<Text>>("COALESCE(excluded.unionid, identities.unionid)");
    let state = sql::<Text>(
        "CASE WHEN COALESCE(excluded.unionid, identities.unionid) IS NULL \
         THEN excluded.profile_state \
         WHEN excluded.unionid IS NULL AND identities.profile_state = 'unconfirmed' \
         THEN 'unconfirmed' ELSE 'complete' END",
    );
    on_engine!(conn, conn => diesel::insert_into(i::table)
        .values(login)
        .on_conflict((i::account_id, i::openid))
        .do_update()
        .set((
            i::unionid.eq(unionid),
            i::profile_state.eq(state),
            i::profile_fetched_at.eq(login.profile_fetched_at),
            i::updated_at.eq(login.updated_at),
        ))
        .returning(Identity::as_returning())
        .get_result(conn))
}
