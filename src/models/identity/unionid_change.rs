//! Openids that came with another unionid than before, and what was bound by the old one.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{
    Conn,
    schema::{identities, unionid_changes},
    statement, statement_of,
};
use crate::ids::{AccountId, BindingId, IdentityId, ProjectId, StaffRowId};

/// The unionid with which an identity came now.
#[derive(Debug, Serialize)]
pub struct Heard<'a> {
    /// The identity.
    pub id: IdentityId,
    /// Its unionid, by WeChat's newest word.
    pub unionid: &'a str,
    /// Now.
    #[serde(serialize_with = "timestamp")]
    pub now: NaiveDateTime,
}

/// An identity whose unionid changed.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Changed {
    /// Its account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its project.
    #[diesel(sql_type = BigInt)]
    pub project_id: ProjectId,
}

/// Notes which of these identities had another unionid so far; to be called before the new one is
/// stored. Returns those. One that only the business has said so far is no unionid that WeChat
/// changes.
pub fn record(conn: &mut Conn, heard: &[Heard<'_>]) -> QueryResult<Vec<Changed>> {
    const RECORD: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("unionid", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO unionid_changes \
              (identity_id, old_unionid, new_unionid, project_id, account_id, changed_at) \
              SELECT i.id, i.unionid, r.unionid, i.project_id, i.account_id, r.now \
              FROM {rows} JOIN identities i ON i.id = r.id \
              WHERE i.unionid IS NOT NULL AND i.unionid <> r.unionid \
              AND i.profile_state <> 'unconfirmed' \
              ON CONFLICT (identity_id, old_unionid, new_unionid) \
              DO UPDATE SET changed_at = excluded.changed_at \
              RETURNING account_id, project_id",
    };
    RECORD.load(conn, heard)
}

/// An identity that had a unionid and has another one now.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Replacement {
    /// The unionid that it had.
    pub old_unionid: String,
    /// The identity.
    pub identity_id: IdentityId,
    /// Its account.
    pub account_id: AccountId,
    /// Its openid.
    pub openid: String,
    /// Its unionid now.
    pub new_unionid: Option<String>,
    /// When it changed, UTC.
    pub changed_at: NaiveDateTime,
}

/// What has become of unionids of a project: one for each identity that had one of them and has
/// another one now, the newest change first.
pub fn replacements(
    conn: &mut Conn,
    project: ProjectId,
    unionids: &[String],
) -> QueryResult<Vec<Replacement>> {
    use unionid_changes as c;
    let mut found: Vec<Replacement> = c::table
        .inner_join(identities::table)
        .filter(c::project_id.eq(project))
        .filter(c::old_unionid.eq_any(unionids))
        .filter(identities::unionid.ne(c::old_unionid.nullable()))
        .order((c::changed_at.desc(), c::identity_id))
        .select((
            c::old_unionid,
            c::identity_id,
            c::account_id,
            identities::openid,
            identities::unionid,
            c::changed_at,
        ))
        .load(conn)?;
    // One that went back and forth has more than one change from the same unionid.
    let mut seen = std::collections::HashSet::new();
    found.retain(|one| seen.insert((one.identity_id, one.old_unionid.clone())));
    Ok(found)
}

/// A binding by a unionid that was replaced.
#[derive(Clone, Debug, QueryableByName)]
pub struct Stale {
    /// The binding.
    #[diesel(sql_type = BigInt)]
    pub binding_id: BindingId,
    /// Its staff member.
    #[diesel(sql_type = BigInt)]
    pub staff_row_id: StaffRowId,
    /// The same, by the business's own id.
    #[diesel(sql_type = Text)]
    pub staff_id: String,
    /// The bound unionid.
    #[diesel(sql_type = Text)]
    pub unionid: String,
}

/// An identity that had the unionid of binding `b` and has another one now; `c` is the change.
const REPLACED: &str = "unionid_changes c JOIN identities i ON i.id = c.identity_id \
    WHERE c.project_id = b.project_id AND c.old_unionid = b.unionid AND i.unionid <> b.unionid";

/// Bindings that one page of a list looks at.
const ROWS: i64 = 300;

#[derive(QueryableByName)]
struct Horizon {
    #[diesel(sql_type = BigInt)]
    id: BindingId,
}

/// How far one page of a list looks that begins above `after`; none if that is to the end.
pub fn horizon(
    conn: &mut Conn,
    project: ProjectId,
    after: BindingId,
) -> QueryResult<Option<BindingId>> {
    let last: Option<Horizon> = statement(
        conn,
        "SELECT id FROM bindings {by_index bindings_by_project} \
         WHERE project_id = $1 AND unionid IS NOT NULL AND id > $2 \
         ORDER BY id LIMIT 1 OFFSET $3",
    )
    .bind::<BigInt, _>(project)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(ROWS - 1)
    .get_result(conn)
    .optional()?;
    Ok(last.map(|last| last.id))
}

/// Up to `limit` bindings of a project, with ids above `after` and in their order, by a unionid that
/// was replaced for somebody in this account; up to `until`, if that is given.
pub fn stale_bindings(
    conn: &mut Conn,
    project: ProjectId,
    account: AccountId,
    after: BindingId,
    until: Option<BindingId>,
    limit: i64,
) -> QueryResult<Vec<Stale>> {
    // From the first that there is, so that those bound by an identity are not read on the way.
    statement_of(
        conn,
        "SELECT b.id AS binding_id, b.staff_row_id, s.staff_id, b.unionid \
         FROM bindings b {by_index bindings_by_project} JOIN staff s ON s.id = b.staff_row_id \
         WHERE b.project_id = $1 AND b.unionid IS NOT NULL AND b.id <= $2 \
         AND b.id >= (SELECT MIN(f.id) FROM bindings f {by_index bindings_by_project} \
             WHERE f.project_id = $1 AND f.unionid IS NOT NULL AND f.id > $3) \
         AND (SELECT 1 FROM {replaced} AND c.account_id = $4 LIMIT 1) IS NOT NULL \
         ORDER BY b.id LIMIT $5",
        &[("{replaced}", REPLACED)],
    )
    .bind::<BigInt, _>(project)
    .bind::<BigInt, _>(until.map_or(i64::MAX, |until| until.0))
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit.max(0))
    .load(conn)
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    account_id: AccountId,
    #[diesel(sql_type = BigInt)]
    staff: i64,
}

/// Bindings among which staff are counted.
const COUNTED_ROWS: i64 = 10_000;

/// How many staff members of a project are bound by a unionid that was replaced, by the account in
/// which it was; counted among the first ten thousand bindings by a unionid, so that a large project
/// does not wait for it each time its accounts are listed.
pub fn staff_by_account(
    conn: &mut Conn,
    project: ProjectId,
) -> QueryResult<HashMap<AccountId, i64>> {
    let rows: Vec<Counted> = statement_of(
        conn,
        "SELECT c.account_id, COUNT(DISTINCT b.staff_row_id) AS staff FROM ( \
             SELECT project_id, unionid, staff_row_id FROM bindings \
             WHERE project_id = $1 AND unionid IS NOT NULL ORDER BY id LIMIT $2 \
         ) b, {replaced} GROUP BY c.account_id",
        &[("{replaced}", REPLACED)],
    )
    .bind::<BigInt, _>(project)
    .bind::<BigInt, _>(COUNTED_ROWS)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account_id, row.staff))
        .collect())
}
