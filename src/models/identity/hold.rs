//! Locks on several identities. Whoever changes more than one takes them in one order, that of their account
//! and the bytes of their openid, in which events store them: so two transactions over the same ones wait
//! for each other and never crosswise.

use diesel::sql_types::Text;

use crate::db::prelude::*;
use crate::db::{Conn, Engine, json, statement_of};
use crate::ids::IdentityId;

/// Waits until nobody changes these identities, and lets nobody do so until the transaction ends. What is
/// to refer to them may be stored meanwhile. SQLite has one writer anyhow.
pub fn hold(conn: &mut Conn, ids: impl IntoIterator<Item = IdentityId>) -> QueryResult<()> {
    lock(conn, ids, "FOR NO KEY UPDATE")
}

/// The same for those that are to be removed: nothing is to refer to them any more.
pub fn hold_to_remove(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = IdentityId>,
) -> QueryResult<()> {
    lock(conn, ids, "FOR UPDATE")
}

fn lock(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = IdentityId>,
    words: &'static str,
) -> QueryResult<()> {
    if conn.engine() == Engine::Sqlite {
        return Ok(());
    }
    let ids: Vec<IdentityId> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(());
    }
    statement_of(
        conn,
        "SELECT id FROM identities WHERE id {in_ids_1} \
         ORDER BY account_id, openid {bytewise} {words}",
        &[("{words}", words)],
    )
    .bind::<Text, _>(json(&ids)?)
    .execute(conn)
    .map(drop)
}
