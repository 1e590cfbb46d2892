//! What refusals have told of templates and pages: who has switched a template's messages off, and
//! what the owner was told to be at fault. Both are empty for most accounts, so it is asked whether
//! there is anything before more is done.

use chrono::NaiveDateTime;
use diesel::dsl::exists;
use diesel::select;
use serde::Serialize;

use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::schema::{route_alerts, switched_off};
use crate::ids::{AccountId, IdentityId};

/// Somebody who has switched off the messages of a template inside WeChat.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = switched_off)]
pub struct SwitchedOff {
    /// Who.
    pub identity_id: IdentityId,
    /// The template.
    pub template_id: String,
    /// In which account.
    pub account_id: AccountId,
    /// When WeChat last refused one for it, UTC.
    pub since: NaiveDateTime,
}

/// A message of a template to somebody that WeChat refused or took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Addressed {
    /// Who.
    pub identity_id: IdentityId,
    /// The template.
    pub template_id: String,
}

#[derive(Serialize)]
struct Row<'a> {
    identity_id: IdentityId,
    template_id: &'a str,
    account_id: AccountId,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Remembers who has switched off what, of those who have not been erased meanwhile.
pub fn switch_off(
    conn: &mut Conn,
    account_id: AccountId,
    rows: &[Addressed],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    const SWITCH_OFF: Batch = Batch {
        columns: &[
            ("identity_id", Kind::BigInt),
            ("template_id", Kind::Text),
            ("account_id", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO switched_off (identity_id, template_id, account_id, since) \
              SELECT r.identity_id, r.template_id, r.account_id, r.now FROM {rows} \
              JOIN identities i ON i.id = r.identity_id WHERE true \
              ON CONFLICT (identity_id, template_id) DO UPDATE SET since = excluded.since",
    };
    let rows = rows.iter().map(|row| Row {
        identity_id: row.identity_id,
        template_id: &row.template_id,
        account_id,
        now,
    });
    SWITCH_OFF.execute(conn, &rows.collect::<Vec<_>>())
}

/// Forgets it of those who were sent a message of the template, which WeChat took.
pub fn switch_on(conn: &mut Conn, rows: &[Addressed]) -> QueryResult<usize> {
    const SWITCH_ON: Batch = Batch {
        columns: &[("identity_id", Kind::BigInt), ("template_id", Kind::Text)],
        sql: "DELETE FROM switched_off WHERE (identity_id, template_id) IN \
              (SELECT r.identity_id, r.template_id FROM {rows})",
    };
    SWITCH_ON.execute(conn, rows)
}

/// What these people have switched off.
pub fn switched_off_by(conn: &mut Conn, people: &[IdentityId]) -> QueryResult<Vec<SwitchedOff>> {
    const CHUNK: usize = 5_000;
    let mut found = Vec::new();
    for some in people.chunks(CHUNK) {
        found.extend(
            switched_off::table
                .filter(switched_off::identity_id.eq_any(some))
                .order((switched_off::identity_id, switched_off::template_id))
                .select(SwitchedOff::as_select())
                .load(conn)?,
        );
    }
    Ok(found)
}

/// Whether anybody has switched anything off in an account.
pub fn has_switched_off(conn: &mut Conn, account: AccountId) -> QueryResult<bool> {
    let of_account = switched_off::account_id.eq(account);
    select(exists(switched_off::table.filter(of_account))).get_result(conn)
}

/// A template or a page that WeChat refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The template_id, or the mini-program with its page.
    pub subject: String,
    /// WeChat's code.
    pub errcode: i64,
}

/// Of these those of which the owner was not told since `before`; they count as told now.
pub fn to_be_told(
    conn: &mut Conn,
    account: AccountId,
    refused: &[Refused],
    (before, now): (NaiveDateTime, NaiveDateTime),
) -> QueryResult<Vec<Refused>> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let subjects: Vec<&str> = refused.iter().map(|one| one.subject.as_str()).collect();
    let known: Vec<(String, i64)> = route_alerts::table
        .filter(route_alerts::account_id.eq(account))
        .filter(route_alerts::subject.eq_any(subjects))
        .filter(route_alerts::told_at.gt(before))
        .select((route_alerts::subject, route_alerts::errcode))
        .load(conn)?;
    let is_known = |one: &Refused| {
        let mut known = known.iter();
        known.any(|(subject, errcode)| *subject == one.subject && *errcode == one.errcode)
    };
    let new: Vec<Refused> = refused
        .iter()
        .filter(|one| !is_known(one))
        .cloned()
        .collect();
    store(conn, account, &new, now)?;
    Ok(new)
}

#[derive(Serialize)]
struct NewAlert<'a> {
    account_id: AccountId,
    subject: &'a str,
    errcode: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

fn store(
    conn: &mut Conn,
    account_id: AccountId,
    new: &[Refused],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    const STORE: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("subject", Kind::Text),
            ("errcode", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "INSERT INTO route_alerts (account_id, subject, errcode, told_at) \
              SELECT r.account_id, r.subject, r.errcode, r.now FROM {rows} WHERE true \
              ON CONFLICT (account_id, subject, errcode) DO UPDATE SET told_at = excluded.told_at",
    };
    let rows = new.iter().map(|one| NewAlert {
        account_id,
        subject: &one.subject,
        errcode: one.errcode,
        now,
    });
    STORE.execute(conn, &rows.collect::<Vec<_>>())
}

/// Whether the owner of an account was told of anything that has not worked since.
pub fn has_alerts(conn: &mut Conn, account: AccountId) -> QueryResult<bool> {
    let of_account = route_alerts::account_id.eq(account);
    select(exists(route_alerts::table.filter(of_account))).get_result(conn)
}

/// Forgets what works again.
pub fn works_again(conn: &mut Conn, account: AccountId, subjects: &[&str]) -> QueryResult<usize> {
    diesel::delete(
        route_alerts::table
            .filter(route_alerts::account_id.eq(account))
            .filter(route_alerts::subject.eq_any(subjects)),
    )
    .execute(conn)
}
