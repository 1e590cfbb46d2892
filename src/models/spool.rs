//! The spool: an SQLite file of one machine that keeps callbacks while the database takes none, with
//! the accounts that open them. It has tables of its own and no migrations: what is in it is an AppID,
//! an event as it would have been stored, and the settings of accounts as JSON, their secrets sealed.

use chrono::NaiveDateTime;
use diesel::connection::{DefaultLoadingMode, SimpleConnection as _};
use diesel::dsl::{exists, select};
use diesel::sql_types::{BigInt, Nullable, Timestamp};
use diesel::{SqliteConnection, sql_query};

use super::account::Account;
use super::event::{NewEvent, WAITING};
use crate::db::Conn;
use crate::db::prelude::*;
use crate::ids::AccountId;

/// One event is kept once, as in the table of events.
const TABLES: &str = "\
    CREATE TABLE IF NOT EXISTS spooled ( \
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, app_id TEXT NOT NULL, \
        create_time BIGINT NOT NULL, received_at TIMESTAMP NOT NULL, dedup_key BIGINT NOT NULL, \
        kind TEXT NOT NULL, openid TEXT, body BLOB NOT NULL, problem TEXT, refusal TEXT, \
        UNIQUE (create_time, dedup_key, app_id)); \
    CREATE TABLE IF NOT EXISTS known_accounts ( \
        app_id TEXT PRIMARY KEY NOT NULL, settings TEXT NOT NULL);";

mod tables {
    #![allow(missing_docs, reason = "they are described where they are used")]

    diesel::table! {
        /// Events that wait for the database.
        spooled (id) {
            id -> BigInt,
            app_id -> Text,
            create_time -> BigInt,
            received_at -> Timestamp,
            dedup_key -> BigInt,
            kind -> Text,
            openid -> Nullable<Text>,
            body -> Binary,
            problem -> Nullable<Text>,
            refusal -> Nullable<Text>,
        }
    }

    diesel::table! {
        /// The accounts as they were last read.
        known_accounts (app_id) {
            app_id -> Text,
            settings -> Text,
        }
    }
}
use tables::{known_accounts, spooled};

/// An event that the database is to take later.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = spooled)]
pub struct Spooled {
    /// WeChat's id of the account it was pushed to: row ids mean nothing outside their database.
    pub app_id: String,
    /// As in [`NewEvent`], as the fields below.
    pub create_time: i64,
    /// When it came in, UTC.
    pub received_at: NaiveDateTime,
    /// What is equal in a retry.
    pub dedup_key: i64,
    /// `text`, `event.subscribe`, …
    pub kind: String,
    /// The person it concerns.
    pub openid: Option<String>,
    /// The decrypted body.
    pub body: Vec<u8>,
    /// Why it could not be parsed, if so.
    pub problem: Option<String>,
}

/// An event in the spool.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = spooled)]
pub struct Kept {
    /// Its place.
    pub id: i64,
    /// WeChat's id of its account.
    pub app_id: String,
    create_time: i64,
    received_at: NaiveDateTime,
    dedup_key: i64,
    kind: String,
    openid: Option<String>,
    body: Vec<u8>,
    problem: Option<String>,
}

impl Kept {
    /// The event as it is stored for the account with this row id.
    pub fn into_event(self, account_id: AccountId) -> NewEvent {
        NewEvent {
            account_id,
            create_time: self.create_time,
            received_at: self.received_at,
            state: WAITING,
            dedup_key: self.dedup_key,
            kind: self.kind,
            openid: self.openid,
            body: self.body,
            problem: self.problem,
        }
    }
}

/// How much a spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Events that wait.
    pub waiting: i64,
    /// Events that the database refused for what they say.
    pub refused: i64,
    /// When the oldest of them came in, UTC.
    pub oldest: Option<NaiveDateTime>,
    /// Bytes in use of the file.
    pub bytes: i64,
}

/// Makes the tables.
pub fn prepare(conn: &mut Conn) -> QueryResult<()> {
    Ok(file(conn)?.batch_execute(TABLES)?)
}

/// Keeps events; one that is there already stays as it is.
pub fn keep(conn: &mut Conn, events: &[Spooled]) -> QueryResult<()> {
    let conn = file(conn)?;
    for event in events {
        diesel::insert_into(spooled::table)
            .values(event)
            .on_conflict_do_nothing()
            .execute(conn)?;
    }
    Ok(())
}

/// Up to so many events, and bytes of their bodies but for the first one's, in the order in which they came,
/// without those that the database refused unless `refused` says so.
pub fn oldest(
    conn: &mut Conn,
    after: i64,
    (limit, bytes): (i64, usize),
    refused: bool,
) -> QueryResult<Vec<Kept>> {
    let conn = file(conn)?;
    let mut query = spooled::table
        .filter(spooled::id.gt(after))
        .order(spooled::id)
        .limit(limit.max(0))
        .select(Kept::as_select())
        .into_boxed();
    if !refused {
        query = query.filter(spooled::refusal.is_null());
    }
    let mut found: Vec<Kept> = Vec::new();
    let mut left = bytes;
    // Read one by one: what is over is not read.
    for kept in diesel::RunQueryDsl::load_iter::<Kept, DefaultLoadingMode>(query, conn)? {
        let kept = kept?;
        let fits = left.checked_sub(kept.body.len());
        if fits.is_none() && !found.is_empty() {
            break;
        }
        left = fits.unwrap_or_default();
        found.push(kept);
    }
    Ok(found)
}

/// Whether it holds nothing.
pub fn is_empty(conn: &mut Conn) -> QueryResult<bool> {
    let any = select(exists(spooled::table.select(spooled::id)));
    any.get_result::<bool>(file(conn)?).map(|any| !any)
}

/// Removes what the database has.
pub fn remove(conn: &mut Conn, ids: &[i64]) -> QueryResult<usize> {
    let conn = file(conn)?;
    // It is what people wrote, and is not to stay readable in the room that it leaves.
    conn.batch_execute("PRAGMA secure_delete = ON")?;
    diesel::delete(spooled::table.filter(spooled::id.eq_any(ids))).execute(conn)
}

/// Keeps an event apart that the database refuses for what it says.
pub fn refuse(conn: &mut Conn, id: i64, refusal: &str) -> QueryResult<usize> {
    let conn = file(conn)?;
    diesel::update(spooled::table.find(id))
        .set(spooled::refusal.eq(refusal))
        .execute(conn)
}

/// How much it holds.
pub fn fill(conn: &mut Conn) -> QueryResult<Fill> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        waiting: i64,
        #[diesel(sql_type = BigInt)]
        refused: i64,
        #[diesel(sql_type = Nullable<Timestamp>)]
        oldest: Option<NaiveDateTime>,
    }
    let conn = file(conn)?;
    let counted: Counted = sql_query(
        "SELECT COUNT(*) - COUNT(refusal) AS waiting, COUNT(refusal) AS refused, \
         MIN(received_at) AS oldest FROM spooled",
    )
    .get_result(conn)?;
    Ok(Fill {
        waiting: counted.waiting,
        refused: counted.refused,
        oldest: counted.oldest,
        bytes: bytes(conn)?,
    })
}

/// Bytes in use of the file.
pub fn used(conn: &mut Conn) -> QueryResult<i64> {
    bytes(file(conn)?)
}

fn bytes(conn: &mut SqliteConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Used {
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let used: Used = sql_query(
        "SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes \
         FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s",
    )
    .get_result(conn)?;
    Ok(used.bytes)
}

/// Gives the room of what was removed back to the disk. For an empty spool, which is quickly written again;
/// not within a transaction.
pub fn shrink(conn: &mut Conn) -> QueryResult<()> {
    let conn = file(conn)?;
    conn.batch_execute("VACUUM")?;
    Ok(conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?)
}

/// The accounts as they were last read; one that a newer version has written and this one cannot read is
/// left out.
pub fn accounts(conn: &mut Conn) -> QueryResult<Vec<Account>> {
    let settings: Vec<String> = known_accounts::table
        .select(known_accounts::settings)
        .load(file(conn)?)?;
    Ok(settings
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect())
}

/// Replaces the accounts.
pub fn set_accounts(conn: &mut Conn, accounts: &[Account]) -> QueryResult<()> {
    let conn = file(conn)?;
    diesel::delete(known_accounts::table).execute(conn)?;
    for account in accounts {
        let settings = serde_json::to_string(account)
            .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        let row = (
            known_accounts::app_id.eq(&account.app_id),
            known_accounts::settings.eq(settings),
        );
        diesel::insert_into(known_accounts::table)
            .values(row)
            .execute(conn)?;
    }
    Ok(())
}

/// A spool is an SQLite file, whatever the database is.
fn file(conn: &mut Conn) -> QueryResult<&mut SqliteConnection> {
    match conn {
        Conn::Sqlite(conn) => Ok(conn),
        Conn::Postgres(_) => {
            Err(diesel::result::Error::QueryBuilderError("a spool is an SQLite file".into()).into())
        }
    }
}
