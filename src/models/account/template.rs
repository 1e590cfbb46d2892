//! The templates of each account as WeChat lists them, with what became of each.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::db::batch::{Batch, Kind as Column, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::templates, text_enum};
use crate::ids::{AccountId, TemplateRowId};

text_enum! {
    /// What a template is for.
    pub enum Kind {
        /// A template message of a service account.
        Template = "template",
        /// A subscription message: one for each consent.
        OneTime = "one_time",
        /// A subscription message whose consent stays.
        LongTerm = "long_term",
    }
}

/// A template as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = templates)]
pub struct Template {
    /// Row id.
    pub id: TemplateRowId,
    /// The account that has it.
    pub account_id: AccountId,
    /// WeChat's id of it.
    pub template_id: String,
    /// What it is for.
    pub kind: Kind,
    /// Its name.
    pub title: String,
    /// Lines such as `订单号:{{character_string1.DATA}}`.
    pub content: String,
    /// The keys in the content: JSON of `wechat::library::TemplateKey`.
    pub keys: String,
    /// When it was first listed, UTC.
    pub first_seen_at: NaiveDateTime,
    /// When it was last listed, UTC.
    pub last_seen_at: NaiveDateTime,
    /// Since when it is no longer listed, UTC.
    pub gone_at: Option<NaiveDateTime>,
    /// When it was last listed otherwise than before, UTC.
    pub changed_at: Option<NaiveDateTime>,
    /// Its name before that.
    pub previous_title: Option<String>,
    /// Its content before that.
    pub previous_content: Option<String>,
    /// Its name when it was first listed, once it has changed.
    pub first_title: Option<String>,
    /// The same of its content.
    pub first_content: Option<String>,
    /// The same of its keys.
    pub first_keys: Option<String>,
}

impl Template {
    /// How it is not what it was when it was first listed, in a word.
    pub fn drift(&self) -> Option<&'static str> {
        // Set together, when it first changed.
        let is_changed = self.changed_at.is_some()
            && (self.first_title.as_ref() != Some(&self.title)
                || self.first_content.as_ref() != Some(&self.content)
                || self.first_keys.as_ref() != Some(&self.keys));
        match self.gone_at {
            Some(_) => Some("gone"),
            None => is_changed.then_some("changed"),
        }
    }
}

/// A template to store, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The account that has it.
    pub account_id: AccountId,
    /// WeChat's id of it.
    pub template_id: String,
    /// What it is for.
    pub kind: Kind,
    /// Its name.
    pub title: String,
    /// Its content.
    pub content: String,
    /// The keys in the content, JSON.
    pub keys: String,
    /// Counts only for a template that is new.
    #[serde(serialize_with = "timestamp")]
    pub first_seen_at: NaiveDateTime,
    /// When it was last listed.
    #[serde(serialize_with = "timestamp")]
    pub last_seen_at: NaiveDateTime,
    /// Since when it is no longer listed.
    #[serde(serialize_with = "maybe_timestamp")]
    pub gone_at: Option<NaiveDateTime>,
    /// When it was last listed otherwise than before.
    #[serde(serialize_with = "maybe_timestamp")]
    pub changed_at: Option<NaiveDateTime>,
    /// Its name before that.
    pub previous_title: Option<String>,
    /// Its content before that.
    pub previous_content: Option<String>,
    /// Its name when it was first listed, once it has changed.
    pub first_title: Option<String>,
    /// The same of its content.
    pub first_content: Option<String>,
    /// The same of its keys.
    pub first_keys: Option<String>,
}

/// Adds or replaces templates; each may be named once.
pub fn store(conn: &mut Conn, rows: &[Row]) -> QueryResult<()> {
    const STORE: Batch = Batch {
        columns: &[
            ("account_id", Column::BigInt),
            ("template_id", Column::Text),
            ("kind", Column::Text),
            ("title", Column::Text),
            ("content", Column::Text),
            ("keys", Column::Text),
            ("first_seen_at", Column::Timestamp),
            ("last_seen_at", Column::Timestamp),
            ("gone_at", Column::Timestamp),
            ("changed_at", Column::Timestamp),
            ("previous_title", Column::Text),
            ("previous_content", Column::Text),
            ("first_title", Column::Text),
            ("first_content", Column::Text),
            ("first_keys", Column::Text),
        ],
        // Without WHERE, SQLite takes ON for the beginning of a join's condition.
        sql: "INSERT INTO templates (account_id, template_id, kind, title, content, keys, first_seen_at, \
              last_seen_at, gone_at, changed_at, previous_title, previous_content, \
              first_title, first_content, first_keys) \
              SELECT r.account_id, r.template_id, r.kind, r.title, r.content, r.keys, r.first_seen_at, \
              r.last_seen_at, r.gone_at, r.changed_at, r.previous_title, r.previous_content, \
              r.first_title, r.first_content, r.first_keys \
              FROM {rows} WHERE TRUE ON CONFLICT (account_id, template_id) DO UPDATE SET \
              kind = excluded.kind, title = excluded.title, content = excluded.content, \
              keys = excluded.keys, last_seen_at = excluded.last_seen_at, gone_at = excluded.gone_at, \
              changed_at = excluded.changed_at, previous_title = excluded.previous_title, \
              previous_content = excluded.previous_content, first_title = excluded.first_title, \
              first_content = excluded.first_content, first_keys = excluded.first_keys",
    };
    STORE.execute(conn, rows).map(drop)
}

/// Those of the given templates that WeChat lists as one-time ones of the account.
pub fn one_time(
    conn: &mut Conn,
    account: AccountId,
    template_ids: &[&str],
) -> QueryResult<Vec<String>> {
    if template_ids.is_empty() {
        return Ok(Vec::new());
    }
    templates::table
        .filter(templates::account_id.eq(account))
        .filter(templates::kind.eq(Kind::OneTime))
        .filter(templates::template_id.eq_any(template_ids))
        .select(templates::template_id)
        .load(conn)
}

/// The templates of the given accounts, oldest first.
pub fn of_accounts(conn: &mut Conn, accounts: &[AccountId]) -> QueryResult<Vec<Template>> {
    templates::table
        .filter(templates::account_id.eq_any(accounts))
        .order(templates::id)
        .select(Template::as_select())
        .load(conn)
}

/// A page of an account's templates, newest first, with ids below `before`.
pub fn page(
    conn: &mut Conn,
    account: AccountId,
    before: Option<TemplateRowId>,
    limit: i64,
) -> QueryResult<Vec<Template>> {
    let mut query = templates::table
        .filter(templates::account_id.eq(account))
        .order(templates::id.desc())
        .limit(limit)
        .select(Template::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(templates::id.lt(before));
    }
    query.load(conn)
}
