//! Permissions taken by sends: taken at once or not at all, given back, and corrected by WeChat.

use std::collections::HashMap;

use diesel::sql_types::{BigInt, Bool, Text};
use serde::Serialize;

use super::record::recount;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, Engine, json, statement};
use crate::ids::{CreditEntryId, CreditId, IdentityId};

/// A send that needs a permission.
#[derive(Clone, Debug, Serialize)]
pub struct CreditKey<'a> {
    /// Whom it is for.
    #[serde(rename = "wanted_identity")]
    pub identity_id: IdentityId,
    /// With which template.
    #[serde(rename = "wanted_template")]
    pub template_id: &'a str,
}

/// A permission to send one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whom the message is for.
    pub identity_id: IdentityId,
    /// With which template.
    pub template_id: String,
    /// What was taken, to settle or to give back; none where the permission is a long-term one.
    pub entry: Option<CreditEntryId>,
}

#[derive(QueryableByName)]
struct Allowed {
    #[diesel(sql_type = BigInt)]
    id: CreditId,
    #[diesel(sql_type = BigInt)]
    identity_id: IdentityId,
    #[diesel(sql_type = Text)]
    template_id: String,
    #[diesel(sql_type = Bool)]
    long_term: bool,
}

#[derive(Serialize)]
struct Use {
    credit: CreditId,
    now: i64,
}

#[derive(QueryableByName)]
struct Entered {
    #[diesel(sql_type = BigInt)]
    id: CreditEntryId,
    #[diesel(sql_type = BigInt)]
    credit_id: CreditId,
}

/// Takes a permission for each send, where there is one; what has none is not in the answer. The
/// sends must differ in identity or template. `now` in seconds since 1970. Two transactions cannot
/// take the same permission.
pub fn take(conn: &mut Conn, wanted: &[CreditKey<'_>], now: i64) -> QueryResult<Vec<Taken>> {
    const TAKE: Batch = Batch {
        columns: &[
            ("wanted_identity", Kind::BigInt),
            ("wanted_template", Kind::Text),
        ],
        sql: "WITH held AS MATERIALIZED ( \
                  SELECT c.id AS held_id FROM {rows} JOIN credits c \
                  ON c.identity_id = r.wanted_identity AND c.template_id = r.wanted_template \
                  ORDER BY c.identity_id, c.template_id {bytewise} {lock_c} \
              ) UPDATE credits \
              SET one_time_left = one_time_left - CASE WHEN long_term THEN 0 ELSE 1 END \
              WHERE id IN (SELECT held_id FROM held) \
              AND CASE WHEN long_term THEN {greatest}(event_time, api_time) > \
              {greatest}(rejected_time, withdrawn_time) ELSE one_time_left > 0 END \
              RETURNING id, identity_id, template_id, long_term",
    };
    // Dated after what made everything before it void or one: else it would be void itself, or be in that.
    const ENTER: Batch = Batch {
        columns: &[("credit", Kind::BigInt), ("now", Kind::BigInt)],
        sql: "INSERT INTO credit_entries (credit_id, kind, happened_time, mark) \
              SELECT c.id, 'taken', {greatest}(r.now, c.withdrawn_time + 1, c.refused_time + 1, \
              c.folded_time + 1), 0 \
              FROM {rows} JOIN credits c ON c.id = r.credit RETURNING id, credit_id",
    };
    let allowed: Vec<Allowed> = TAKE.load(conn, wanted)?;
    let one_time = allowed.iter().filter(|allowed| !allowed.long_term);
    let uses: Vec<Use> = one_time
        .map(|allowed| Use {
            credit: allowed.id,
            now,
        })
        .collect();
    let entered: Vec<Entered> = ENTER.load(conn, &uses)?;
    let entries: HashMap<CreditId, CreditEntryId> = entered
        .iter()
        .map(|entered| (entered.credit_id, entered.id))
        .collect();
    Ok(allowed
        .into_iter()
        .map(|allowed| Taken {
            entry: entries.get(&allowed.id).copied(),
            identity_id: allowed.identity_id,
            template_id: allowed.template_id,
        })
        .collect())
}

#[derive(QueryableByName)]
struct Touched {
    #[diesel(sql_type = BigInt)]
    credit: CreditId,
}

/// Gives permissions back whose sends WeChat refused for another reason than a missing permission.
/// One that was given back before stays so.
pub fn give_back(conn: &mut Conn, entries: &[CreditEntryId]) -> QueryResult<()> {
    #[derive(Serialize)]
    struct Given {
        entry: CreditEntryId,
    }
    const GIVE: Batch = Batch {
        columns: &[("entry", Kind::BigInt)],
        sql: "DELETE FROM credit_entries WHERE id IN (SELECT r.entry FROM {rows}) \
              AND kind = 'taken' RETURNING credit_id AS credit",
    };
    hold(conn, entries, &[])?;
    let rows: Vec<Given> = entries.iter().map(|&entry| Given { entry }).collect();
    let touched: Vec<Touched> = GIVE.load(conn, &rows)?;
    recount_held(conn, &touched)
}

/// Notes under which msgid WeChat took the message, so that its report is known as that of this
/// message.
pub fn settle(conn: &mut Conn, sent: &[(CreditEntryId, i64)]) -> QueryResult<()> {
    #[derive(Serialize)]
    struct Settled {
        entry: CreditEntryId,
        msgid: i64,
    }
    const SETTLE: Batch = Batch {
        columns: &[("entry", Kind::BigInt), ("msgid", Kind::BigInt)],
        sql: "UPDATE credit_entries SET mark = r.msgid FROM {rows} \
              WHERE id = r.entry AND kind = 'taken' RETURNING credit_id AS credit",
    };
    let rows: Vec<Settled> = sent
        .iter()
        .map(|&(entry, msgid)| Settled { entry, msgid })
        .collect();
    let entries: Vec<CreditEntryId> = sent.iter().map(|(entry, _)| *entry).collect();
    hold(conn, &entries, &[])?;
    let touched: Vec<Touched> = SETTLE.load(conn, &rows)?;
    recount_held(conn, &touched)
}

/// A send that WeChat refused with 43101.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal<'a> {
    /// Whom it was for.
    #[serde(rename = "refused_identity")]
    pub identity_id: IdentityId,
    /// With which template.
    #[serde(rename = "refused_template")]
    pub template_id: &'a str,
    /// When the send began, seconds since 1970: what was given after that WeChat did not yet know.
    pub at: i64,
}

/// Corrects the ledger by WeChat's word that no permission is left: no one-time permission given up
/// to then counts any more, later ones do. A long-term permission stays, since WeChat was seen to
/// refuse many for hours and then to take them again; the refusal is noted.
pub fn refuse(conn: &mut Conn, refusals: &[Refusal<'_>]) -> QueryResult<()> {
    const REFUSE: Batch = Batch {
        columns: &[
            ("refused_identity", Kind::BigInt),
            ("refused_template", Kind::Text),
            ("at", Kind::BigInt),
        ],
        sql: "WITH held AS MATERIALIZED ( \
                  SELECT c.id AS held_id, r.at AS refused_at FROM {rows} JOIN credits c \
                  ON c.identity_id = r.refused_identity AND c.template_id = r.refused_template \
                  ORDER BY c.identity_id, c.template_id {bytewise} {lock_c} \
              ) UPDATE credits SET refused_time = {greatest}(refused_time, refused_at) FROM held \
              WHERE id = held_id RETURNING id AS credit",
    };
    let touched: Vec<Touched> = REFUSE.load(conn, refusals)?;
    recount_held(conn, &touched)
}

/// Locks permissions, always in the same order (that of their persons and templates, in which
/// [`super::record`] makes them too), and before anything that belongs to them: so two transactions over
/// the same ones wait for each other and never crosswise. Whoever is going to touch them in several steps
/// holds all of them first. Whoever counts after this sees what another transaction has entered.
pub fn hold(
    conn: &mut Conn,
    entries: &[CreditEntryId],
    refusals: &[Refusal<'_>],
) -> QueryResult<()> {
    if conn.engine() == Engine::Sqlite || (entries.is_empty() && refusals.is_empty()) {
        return Ok(());
    }
    // An array, and a subquery for each refusal, which no planner turns into a join of the whole table.
    statement(
        conn,
        "SELECT id FROM credits WHERE id = ANY (ARRAY( \
             SELECT credit_id FROM credit_entries WHERE id {in_ids_1} \
             UNION ALL \
             SELECT (SELECT c.id FROM credits c \
                 WHERE c.identity_id = r.refused_identity AND c.template_id = r.refused_template) \
             FROM json_to_recordset($2::json) AS r(refused_identity bigint, refused_template text) \
         )) ORDER BY identity_id, template_id {bytewise} {lock}",
    )
    .bind::<Text, _>(json(entries)?)
    .bind::<Text, _>(json(refusals)?)
    .execute(conn)
    .map(drop)
}

/// Counts again what is left of permissions that are held.
fn recount_held(conn: &mut Conn, touched: &[Touched]) -> QueryResult<()> {
    let mut ids: Vec<CreditId> = touched.iter().map(|touched| touched.credit).collect();
    ids.sort_unstable();
    ids.dedup();
    recount(conn, &ids)
}
