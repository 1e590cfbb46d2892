//! Who is signed in: only the SHA-256 of the token in their cookie is stored, which is enough for 256 random bits.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::User;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::schema::{user_sessions, users};
use crate::db::{Conn, on_engine};
use crate::ids::{SessionId, UserId};

/// One time that somebody signed in.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = user_sessions)]
pub struct Session {
    /// Row id.
    pub id: SessionId,
    /// Who.
    pub user_id: UserId,
    /// Since when, UTC.
    pub created_at: NaiveDateTime,
    /// When they last asked for something, to about a minute, UTC.
    pub seen_at: NaiveDateTime,
    /// When it ends in any case, UTC.
    pub expires_at: NaiveDateTime,
    /// From where they signed in.
    pub address: String,
    /// With which browser.
    pub user_agent: String,
}

/// A session to add.
#[derive(Insertable)]
#[diesel(table_name = user_sessions)]
pub struct NewSession<'a> {
    /// SHA-256 of the token.
    pub token_hash: &'a [u8],
    /// Who signed in.
    pub user_id: UserId,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub seen_at: NaiveDateTime,
    /// When it ends in any case.
    pub expires_at: NaiveDateTime,
    /// From where.
    pub address: &'a str,
    /// With which browser.
    pub user_agent: &'a str,
}

/// Adds a session.
pub fn create_session(conn: &mut Conn, session: &NewSession<'_>) -> QueryResult<Session> {
    on_engine!(conn, conn => diesel::insert_into(user_sessions::table)
        .values(session)
        .returning(Session::as_returning())
        .get_result(conn))
}

/// Those of these hashes that are of a session, with whose it is.
pub fn by_hashes(
    conn: &mut Conn,
    hashes: &[Vec<u8>],
) -> QueryResult<Vec<(Vec<u8>, Session, User)>> {
    user_sessions::table
        .inner_join(users::table)
        .filter(user_sessions::token_hash.eq_any(hashes))
        .select((
            user_sessions::token_hash,
            Session::as_select(),
            User::as_select(),
        ))
        .load(conn)
}

/// The sessions of somebody, newest first.
pub fn sessions_of(conn: &mut Conn, user: UserId) -> QueryResult<Vec<Session>> {
    user_sessions::table
        .filter(user_sessions::user_id.eq(user))
        .order(user_sessions::id.desc())
        .select(Session::as_select())
        .load(conn)
}

/// A session that was used.
#[derive(Clone, Copy, Debug, Serialize)]
struct Touched {
    id: SessionId,
    #[serde(serialize_with = "timestamp")]
    seen_at: NaiveDateTime,
}

/// Writes when sessions were last used, where that is later than what is written.
pub fn touch(conn: &mut Conn, seen: &[(SessionId, NaiveDateTime)]) -> QueryResult<()> {
    const TOUCH: Batch = Batch {
        columns: &[("id", Kind::BigInt), ("seen_at", Kind::Timestamp)],
        sql: "UPDATE user_sessions SET seen_at = r.seen_at FROM {rows} \
              WHERE user_sessions.id = r.id AND user_sessions.seen_at < r.seen_at",
    };
    let touched = |&(id, seen_at): &(SessionId, NaiveDateTime)| Touched { id, seen_at };
    let rows: Vec<Touched> = seen.iter().map(touched).collect();
    TOUCH.execute(conn, &rows).map(drop)
}

/// Ends a session.
pub fn delete_session(conn: &mut Conn, id: SessionId) -> QueryResult<()> {
    diesel::delete(user_sessions::table.find(id))
        .execute(conn)
        .map(drop)
}

/// Ends the sessions of somebody, except the given one. Returns how many there were.
pub fn delete_sessions(
    conn: &mut Conn,
    user: UserId,
    except: Option<SessionId>,
) -> QueryResult<usize> {
    diesel::delete(
        user_sessions::table
            .filter(user_sessions::user_id.eq(user))
            .filter(user_sessions::id.ne(except.unwrap_or(SessionId(0)))),
    )
    .execute(conn)
}

/// Deletes the sessions of somebody that came before the newest `keep` of them.
pub fn delete_oldest(conn: &mut Conn, user: UserId, keep: i64) -> QueryResult<()> {
    let oldest_kept: Option<SessionId> = user_sessions::table
        .filter(user_sessions::user_id.eq(user))
        .order(user_sessions::id.desc())
        .offset(keep - 1)
        .select(user_sessions::id)
        .first(conn)
        .optional()?;
    let Some(oldest_kept) = oldest_kept else {
        return Ok(());
    };
    diesel::delete(
        user_sessions::table
            .filter(user_sessions::user_id.eq(user))
            .filter(user_sessions::id.lt(oldest_kept)),
    )
    .execute(conn)
    .map(drop)
}

/// Deletes sessions that ended by their time, the oldest `limit` of them.
pub fn delete_ended(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<()> {
    let ended: Vec<SessionId> = user_sessions::table
        .filter(user_sessions::expires_at.lt(now))
        .order(user_sessions::expires_at)
        .limit(limit)
        .select(user_sessions::id)
        .load(conn)?;
    diesel::delete(user_sessions::table.filter(user_sessions::id.eq_any(ended)))
        .execute(conn)
        .map(drop)
}
