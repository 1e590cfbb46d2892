//! API keys: only their SHA-256 is stored, which is enough for 256 random bits.

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::api_keys};
use crate::ids::{ApiKeyId, ProjectId, UserId};

/// An API key as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// Row id.
    pub id: ApiKeyId,
    /// The one project it sees.
    pub project_id: ProjectId,
    /// A name for people.
    pub name: String,
    /// The first characters of the key, to tell keys apart in a list.
    pub prefix: String,
    /// Space-separated scopes.
    pub scopes: String,
    /// When it was made, UTC.
    pub created_at: NaiveDateTime,
    /// Since when it is refused, UTC.
    pub revoked_at: Option<NaiveDateTime>,
    /// Who made it; none: the command line.
    pub made_by_user_id: Option<UserId>,
    /// Their name at that time.
    pub made_by: Option<String>,
}

/// A key to add.
#[derive(Insertable)]
#[diesel(table_name = api_keys)]
pub struct NewApiKey<'a> {
    /// The one project it sees.
    pub project_id: ProjectId,
    /// A name for people.
    pub name: &'a str,
    /// The first characters of the key.
    pub prefix: &'a str,
    /// SHA-256 of the whole key.
    pub key_hash: &'a [u8],
    /// Space-separated scopes.
    pub scopes: &'a str,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Who makes it; none: the command line.
    pub made_by_user_id: Option<UserId>,
    /// Their name.
    pub made_by: Option<&'a str>,
}

/// Adds a key.
pub fn create(conn: &mut Conn, key: &NewApiKey<'_>) -> QueryResult<ApiKey> {
    on_engine!(conn, conn => diesel::insert_into(api_keys::table)
        .values(key)
        .returning(ApiKey::as_returning())
        .get_result(conn))
}

/// Those of these hashes that are of a key, revoked or not.
pub fn by_hashes(conn: &mut Conn, hashes: &[Vec<u8>]) -> QueryResult<Vec<(Vec<u8>, ApiKey)>> {
    api_keys::table
        .filter(api_keys::key_hash.eq_any(hashes))
        .select((api_keys::key_hash, ApiKey::as_select()))
        .load(conn)
}

/// The keys of a project, oldest first.
pub fn list(conn: &mut Conn, project: ProjectId) -> QueryResult<Vec<ApiKey>> {
    api_keys::table
        .filter(api_keys::project_id.eq(project))
        .order(api_keys::id)
        .select(ApiKey::as_select())
        .load(conn)
}

/// Revokes a key. Returns whether there was one to revoke.
pub fn revoke(conn: &mut Conn, id: ApiKeyId, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(
        api_keys::table
            .find(id)
            .filter(api_keys::revoked_at.is_null()),
    )
    .set(api_keys::revoked_at.eq(now))
    .execute(conn)
    .map(|rows| rows == 1)
}
