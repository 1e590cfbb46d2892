//! Openids that were erased, known again by a keyed hash.

use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;

use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, schema::erased};
use crate::ids::{AccountId, ErasureId, IdentityId};

/// An openid with its hash.
#[derive(Clone, Debug, Serialize)]
pub struct Hashed<'a> {
    /// The account.
    pub account_id: AccountId,
    /// The openid.
    pub openid: &'a str,
    /// What is stored of it.
    pub hash: String,
}

/// What is known of an openid that was erased.
#[derive(Clone, Debug, QueryableByName)]
pub struct Remembered {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// When it was last erased, seconds since 1970.
    #[diesel(sql_type = BigInt)]
    pub erased_time: i64,
    /// The identity that it had then.
    #[diesel(sql_type = Nullable<BigInt>)]
    erased_identity: Option<i64>,
    /// The one that it has now.
    #[diesel(sql_type = Nullable<BigInt>)]
    identity: Option<i64>,
}

impl Remembered {
    /// Whether the person has come back since: as somebody new.
    pub fn is_back(&self) -> bool {
        self.identity > self.erased_identity
    }
}

/// Whether anybody was ever erased.
pub fn any_remembered(conn: &mut Conn) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(erased::table.select(erased::id))).get_result(conn)
}

/// Those of the openids that were erased.
pub fn remembered(conn: &mut Conn, openids: &[Hashed<'_>]) -> QueryResult<Vec<Remembered>> {
    const REMEMBERED: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("hash", Kind::Text),
        ],
        sql: "SELECT r.account_id, r.openid, MAX(e.erased_time) AS erased_time, \
              MAX(e.identity_id) AS erased_identity, MAX(i.id) AS identity FROM {rows} \
              JOIN erased e ON e.account_id = r.account_id AND e.openid_hash = r.hash \
              LEFT JOIN identities i ON i.account_id = r.account_id AND i.openid = r.openid \
              GROUP BY r.account_id, r.openid",
    };
    REMEMBERED.load(conn, openids)
}

/// Remembers an openid as one that an erasure took at that time.
pub fn remember(
    conn: &mut Conn,
    erasure: ErasureId,
    openid: &Hashed<'_>,
    identity: Option<IdentityId>,
    erased_time: i64,
) -> QueryResult<()> {
    diesel::insert_into(erased::table)
        .values((
            erased::erasure_id.eq(erasure),
            erased::account_id.eq(openid.account_id),
            erased::openid_hash.eq(&openid.hash),
            erased::identity_id.eq(identity),
            erased::erased_time.eq(erased_time),
        ))
        .execute(conn)
        .map(drop)
}

/// An openid that is remembered was erased once more, later.
pub fn confirm(conn: &mut Conn, openid: &Hashed<'_>, erased_time: i64) -> QueryResult<()> {
    diesel::update(
        erased::table
            .filter(erased::account_id.eq(openid.account_id))
            .filter(erased::openid_hash.eq(&openid.hash))
            .filter(erased::erased_time.lt(erased_time)),
    )
    .set(erased::erased_time.eq(erased_time))
    .execute(conn)
    .map(drop)
}
