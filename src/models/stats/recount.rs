//! Rows that are not counted yet: those of before there were numbers by day, and those of an older process that ran
//! beside a newer one. Each is found, marked with its day and counted in one transaction, so however often that is
//! done, and whoever changes it meanwhile, it counts once.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use crate::clock::Day;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, json, statement};
use crate::ids::{AccountId, DeliveryId, EventId, ProjectId};

/// A table whose rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Events of this account.
    Events(AccountId),
    /// Deliveries.
    Deliveries,
    /// Receipts.
    Receipts,
}

/// A row, and when it was stored.
#[derive(Clone, Copy, Debug, QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Timestamp)]
    at: NaiveDateTime,
}

/// The ids and times of the next rows of a table behind an id, in the order in which they were stored.
pub fn rows_after(
    conn: &mut Conn,
    table: Table,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<(i64, NaiveDateTime)>> {
    let text = match table {
        // The account's index has those that do not wait, in these very words.
        Table::Events(_) => {
            "SELECT id, received_at AS at FROM events WHERE account_id = $3 AND state <> 0 AND id > $1 \
             ORDER BY id LIMIT $2"
        }
        Table::Deliveries => {
            "SELECT id, created_at AS at FROM deliveries WHERE id > $1 AND $3 = 0 ORDER BY id LIMIT $2"
        }
        Table::Receipts => {
            "SELECT id, created_at AS at FROM receipts WHERE id > $1 AND $3 = 0 ORDER BY id LIMIT $2"
        }
    };
    let account = match table {
        Table::Events(account) => account,
        Table::Deliveries | Table::Receipts => AccountId(0),
    };
    let rows: Vec<Stored> = statement(conn, text)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .bind::<BigInt, _>(account)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

/// An event that is processed and not counted.
#[derive(Clone, Debug, QueryableByName)]
pub struct UncountedEvent {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: EventId,
    /// Its kind.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// When it came in, UTC.
    #[diesel(sql_type = Timestamp)]
    pub received_at: NaiveDateTime,
}

/// Events of an account with ids above the first and up to the second, locked.
pub fn uncounted_events(
    conn: &mut Conn,
    account: AccountId,
    (after, up_to): (i64, i64),
) -> QueryResult<Vec<UncountedEvent>> {
    statement(
        conn,
        "SELECT id, kind, received_at FROM events WHERE account_id = $1 AND state <> 0 AND id > $2 \
         AND id <= $3 AND state = 1 AND stats_day IS NULL ORDER BY id {lock}",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(up_to)
    .load(conn)
}

/// A delivery that is not counted, with what says how it is.
#[derive(Clone, Debug, QueryableByName)]
pub struct UncountedDelivery {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: DeliveryId,
    /// When it was accepted, UTC.
    #[diesel(sql_type = Timestamp)]
    pub created_at: NaiveDateTime,
    /// When its notification was to be sent, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub send_at: Option<NaiveDateTime>,
    /// Its route, from 0.
    #[diesel(sql_type = Nullable<Integer>)]
    pub route: Option<i32>,
    /// The routes of which that is one, as JSON.
    #[diesel(sql_type = Text)]
    pub routes: String,
}

/// Deliveries of a project with ids above the first and up to the second, locked.
pub fn uncounted_deliveries(
    conn: &mut Conn,
    project: ProjectId,
    (after, up_to): (i64, i64),
) -> QueryResult<Vec<UncountedDelivery>> {
    statement(
        conn,
        "SELECT c.id, c.created_at, n.send_at, c.route, COALESCE(v.routes, n.routes) AS routes \
         FROM deliveries c JOIN notifications n ON n.id = c.notification_id \
         LEFT JOIN message_type_versions v ON v.id = c.routes_id \
         WHERE c.id > $1 AND c.id <= $2 AND c.project_id = $3 AND c.stats_day IS NULL \
         ORDER BY c.id {lock_c}",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(up_to)
    .bind::<BigInt, _>(project)
    .load(conn)
}

/// A receipt that is not counted.
#[derive(Clone, Debug, QueryableByName)]
pub struct UncountedReceipt {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Whether the message arrived.
    #[diesel(sql_type = Bool)]
    pub delivered: bool,
    /// WeChat's word for why not.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// When it was stored, UTC.
    #[diesel(sql_type = Timestamp)]
    pub created_at: NaiveDateTime,
}

/// Receipts of these accounts with ids above the first and up to the second, locked.
pub fn uncounted_receipts(
    conn: &mut Conn,
    accounts: &[AccountId],
    (after, up_to): (i64, i64),
) -> QueryResult<Vec<UncountedReceipt>> {
    statement(
        conn,
        "SELECT id, account_id, delivered, reason, created_at FROM receipts \
         WHERE id > $1 AND id <= $2 AND account_id {in_ids_3} AND stats_day IS NULL ORDER BY id {lock}",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(up_to)
    .bind::<Text, _>(json(accounts)?)
    .load(conn)
}

#[derive(Serialize)]
struct Marked {
    id: i64,
    day: Day,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
}

const MARKED: &[(&str, Kind)] = &[
    ("id", Kind::BigInt),
    ("day", Kind::Integer),
    ("channel", Kind::Text),
];

/// Marks events as counted with these days.
pub fn count_events(conn: &mut Conn, rows: &[(EventId, Day)]) -> QueryResult<usize> {
    const MARK: Batch = Batch {
        columns: MARKED,
        sql: "UPDATE events SET stats_day = r.day FROM {rows} \
              WHERE events.id = r.id AND events.state = 1",
    };
    let rows = rows.iter().map(|(id, day)| (id.0, *day, None));
    MARK.execute(conn, &marked(rows))
}

/// Marks deliveries as counted with these days and channels, by which their states are counted.
pub fn count_deliveries(
    conn: &mut Conn,
    rows: &[(DeliveryId, Day, Option<&'static str>)],
) -> QueryResult<usize> {
    const MARK: Batch = Batch {
        columns: MARKED,
        sql: "UPDATE deliveries SET stats_day = r.day, channel = r.channel FROM {rows} \
              WHERE deliveries.id = r.id",
    };
    let rows = rows.iter().map(|(id, day, channel)| (id.0, *day, *channel));
    MARK.execute(conn, &marked(rows))
}

/// Marks receipts as counted with these days.
pub fn count_receipts(conn: &mut Conn, rows: &[(i64, Day)]) -> QueryResult<usize> {
    const MARK: Batch = Batch {
        columns: MARKED,
        sql: "UPDATE receipts SET stats_day = r.day FROM {rows} WHERE receipts.id = r.id",
    };
    let rows = rows.iter().map(|(id, day)| (*id, *day, None));
    MARK.execute(conn, &marked(rows))
}

fn marked(rows: impl Iterator<Item = (i64, Day, Option<&'static str>)>) -> Vec<Marked> {
    rows.map(|(id, day, channel)| Marked { id, day, channel })
        .collect()
}
