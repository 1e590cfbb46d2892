//! People who sign in.

mod role;
mod session;

use std::fmt;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::users};
use crate::ids::UserId;

pub use role::{Membership, Role, memberships, of_owner, set_roles};
pub use session::{
    NewSession, Session, by_hashes, create_session, delete_ended, delete_oldest, delete_session,
    delete_sessions, sessions_of, touch,
};

/// Somebody who signs in.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    /// Row id.
    pub id: UserId,
    /// What they sign in with; two that differ only by case are one.
    pub name: String,
    /// How they are called.
    pub display_name: Option<String>,
    /// The Argon2id hash of their password; none: they cannot sign in with one.
    pub password_hash: Option<String>,
    /// The identity provider that knows them.
    pub oidc_issuer: Option<String>,
    /// Their number there.
    pub oidc_subject: Option<String>,
    /// Whether they are an owner of all projects.
    pub is_owner: bool,
    /// Since when they cannot sign in, UTC.
    pub disabled_at: Option<NaiveDateTime>,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// When somebody last changed what is said of them, UTC.
    pub updated_at: NaiveDateTime,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({}, {:?})", self.id, self.name)
    }
}

/// Somebody to add.
#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    /// What they sign in with.
    pub name: &'a str,
    /// The same in lower case.
    pub name_key: &'a str,
    /// How they are called.
    pub display_name: Option<&'a str>,
    /// The hash of their password.
    pub password_hash: Option<&'a str>,
    /// The identity provider that knows them.
    pub oidc_issuer: Option<&'a str>,
    /// Their number there.
    pub oidc_subject: Option<&'a str>,
    /// Whether they are an owner of all projects.
    pub is_owner: bool,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// What is said of somebody.
#[derive(AsChangeset, Clone, Debug)]
#[diesel(table_name = users, treat_none_as_null = true)]
pub struct UserSettings {
    /// How they are called.
    pub display_name: Option<String>,
    /// Whether they are an owner of all projects.
    pub is_owner: bool,
    /// Since when they cannot sign in.
    pub disabled_at: Option<NaiveDateTime>,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// The key by which a name is found: names that differ only by case are one.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// Adds somebody; none if the name, or the number at the identity provider, is somebody's.
pub fn create(conn: &mut Conn, user: &NewUser<'_>) -> QueryResult<Option<User>> {
    on_engine!(conn, conn => diesel::insert_into(users::table)
        .values(user)
        .on_conflict_do_nothing()
        .returning(User::as_returning())
        .get_result(conn))
    .optional()
}

/// The user with that number.
pub fn by_id(conn: &mut Conn, id: UserId) -> QueryResult<Option<User>> {
    users::table
        .find(id)
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// The user with that number, whom nobody else changes before the transaction is over.
pub fn hold(conn: &mut Conn, id: UserId) -> QueryResult<Option<User>> {
    if let Conn::Postgres(conn) = conn {
        users::table
            .find(id)
            .select(users::id)
            .for_no_key_update()
            .load::<UserId>(conn)?;
    }
    by_id(conn, id)
}

/// The user of that name, however its letters are written.
pub fn by_name(conn: &mut Conn, name: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::name_key.eq(name_key(name)))
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// The user whom the identity provider knows by that number.
pub fn by_subject(conn: &mut Conn, issuer: &str, subject: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::oidc_issuer.eq(issuer))
        .filter(users::oidc_subject.eq(subject))
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// A page of the users, newest first, with ids below `before`.
pub fn list(conn: &mut Conn, before: Option<UserId>, limit: i64) -> QueryResult<Vec<User>> {
    users::table
        .filter(users::id.lt(before.unwrap_or(UserId(i64::MAX))))
        .order(users::id.desc())
        .limit(limit)
        .select(User::as_select())
        .load(conn)
}

/// Which of these users there still are, and which of them are disabled.
pub fn are_there(conn: &mut Conn, ids: &[UserId]) -> QueryResult<Vec<(UserId, bool)>> {
    users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::disabled_at.is_not_null()))
        .load(conn)
}

/// How many users there are.
pub fn count(conn: &mut Conn) -> QueryResult<i64> {
    users::table.count().get_result(conn)
}

/// Whether there is anybody.
pub fn any(conn: &mut Conn) -> QueryResult<bool> {
    let found = users::table
        .select(users::id)
        .limit(1)
        .load::<UserId>(conn)?;
    Ok(!found.is_empty())
}

/// The owners who can sign in, in the order of their numbers; nobody else changes them before the transaction is over.
pub fn hold_owners(conn: &mut Conn) -> QueryResult<Vec<UserId>> {
    let is_recognised = users::password_hash
        .is_not_null()
        .or(users::oidc_subject.is_not_null());
    let owners = users::table
        .filter(users::is_owner)
        .filter(users::disabled_at.is_null())
        .filter(is_recognised)
        .order(users::id)
        .select(users::id);
    match conn {
        Conn::Sqlite(conn) => owners.load(conn),
        Conn::Postgres(conn) => owners.for_update().load(conn),
    }
}

/// Writes what is said of somebody.
pub fn change(conn: &mut Conn, id: UserId, settings: &UserSettings) -> QueryResult<()> {
    diesel::update(users::table.find(id))
        .set(settings)
        .execute(conn)
        .map(drop)
}

/// Gives somebody a password, or takes it away. Returns whether there is such a user.
pub fn set_password(
    conn: &mut Conn,
    id: UserId,
    hash: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(hash), users::updated_at.eq(now)))
        .execute(conn)
        .map(|rows| rows == 1)
}

/// Deletes somebody, with their roles and sessions.
pub fn delete(conn: &mut Conn, id: UserId) -> QueryResult<()> {
    diesel::delete(users::table.find(id))
        .execute(conn)
        .map(drop)
}
