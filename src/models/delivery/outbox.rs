//! The outbox: claiming what is due, and recording what came of it.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::DeliveryState;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId};

/// A delivery to send now, leased to the caller.
#[derive(Clone, Debug, QueryableByName)]
pub struct Due {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: DeliveryId,
    /// The notification.
    #[diesel(sql_type = BigInt)]
    pub notification_id: NotificationId,
    /// The staff member.
    #[diesel(sql_type = Text)]
    pub staff_id: String,
    /// Their name.
    #[diesel(sql_type = Nullable<Text>)]
    pub staff_name: Option<String>,
    /// The account to send from.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The identity to send to.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// Its openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// Which route.
    #[diesel(sql_type = Integer)]
    pub route: i32,
    /// This try's number, from 1; also proves that the lease is still ours.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// Start of the first try whose outcome is not known: now, or earlier if a try was lost.
    #[diesel(sql_type = Timestamp)]
    pub unsettled_since: NaiveDateTime,
    /// Tries before it was last retried by hand.
    #[diesel(sql_type = Integer)]
    pub spent: i32,
    /// When its tries began: its age counts from here.
    #[diesel(sql_type = Timestamp)]
    pub begun_at: NaiveDateTime,
    /// Set if it was cancelled while it was being tried.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub cancelled_at: Option<NaiveDateTime>,
}

/// Leases the deliveries that have been due longest until `lease_until`.
pub fn claim_due(
    conn: &mut Conn,
    now: NaiveDateTime,
    lease_until: NaiveDateTime,
    limit: i64,
) -> QueryResult<Vec<Due>> {
    let lock = conn.engine().skip_locked();
    let now = now.format("%F %T%.f");
    let lease_until = lease_until.format("%F %T%.f");
    let limit = limit.max(0);
    // Materialized, so that no plan can run the locking part more than once.
    sql_query(format!(
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM deliveries WHERE due_at IS NOT NULL AND due_at <= '{now}' \
             ORDER BY due_at LIMIT {limit} {lock} \
         ) UPDATE deliveries SET due_at = '{lease_until}', attempts = attempts + 1, \
         unsettled_since = COALESCE(unsettled_since, '{now}') \
         WHERE id IN (SELECT id FROM due) RETURNING id, notification_id, staff_id, staff_name, account_id, identity_id, openid, \
         route, attempts, unsettled_since, spent, begun_at, cancelled_at"
    ))
    .load(conn)
}

/// What came of one try.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The delivery.
    pub id: DeliveryId,
    /// [`Due::attempts`]: a try whose lease has run out does not overwrite a later one, except
    /// that WeChat accepted the message, which is true whenever it is learnt.
    pub attempt: i32,
    /// The new state.
    pub state: DeliveryState,
    /// A stable word for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to try again, for one that stays queued.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub due_at: Option<NaiveDateTime>,
    /// Kept while it is not known whether a try took effect.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub unsettled_since: Option<NaiveDateTime>,
    /// The account sent from, to find a receipt that came first.
    #[serde(skip)]
    pub account_id: AccountId,
    /// WeChat's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msgid: Option<i64>,
    /// When WeChat accepted it.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub sent_at: Option<NaiveDateTime>,
    /// When it came to its end.
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub finished_at: Option<NaiveDateTime>,
    /// Now.
    #[serde(skip)]
    pub now: NaiveDateTime,
}

/// A message whose receipt may have come before it was recorded.
#[derive(Serialize)]
struct Awaited {
    account_id: AccountId,
    msgid: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Records outcomes, and makes the receipts due that were waiting for their msgids. Returns how
/// many those are.
pub fn record(conn: &mut Conn, rows: &[Outcome]) -> QueryResult<usize> {
    const RECORD: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("state", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("due_at", Kind::Timestamp),
            ("unsettled_since", Kind::Timestamp),
            ("msgid", Kind::BigInt),
            ("sent_at", Kind::Timestamp),
            ("finished_at", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = r.state, reason = r.reason, detail = r.detail, \
              due_at = r.due_at, unsettled_since = r.unsettled_since, msgid = r.msgid, \
              sent_at = r.sent_at, finished_at = r.finished_at FROM {rows} \
              WHERE deliveries.id = r.id AND ( \
                  deliveries.state = 'queued' \
                  AND (deliveries.attempts = r.attempt OR r.state = 'sent') \
                  OR deliveries.state IN ('sent', 'unknown', 'no_receipt') AND deliveries.msgid IS NULL \
                  AND r.state = 'sent' AND r.msgid IS NOT NULL)",
    };
    const WAKE_RECEIPTS: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("msgid", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE receipts SET due_at = r.now FROM {rows} \
              WHERE receipts.account_id = r.account_id AND receipts.msgid = r.msgid \
              AND receipts.due_at IS NOT NULL",
    };
    RECORD.execute(conn, rows)?;
    let awaited: Vec<Awaited> = rows
        .iter()
        .filter_map(|row| {
            Some(Awaited {
                account_id: row.account_id,
                msgid: row.msgid?,
                now: row.now,
            })
        })
        .collect();
    WAKE_RECEIPTS.execute(conn, &awaited)
}

/// A delivery that was claimed and not tried.
#[derive(Clone, Debug, Serialize)]
pub struct Postponed {
    /// The delivery.
    pub id: DeliveryId,
    /// [`Due::attempts`]; taken back, as there was no try.
    pub attempt: i32,
    /// When to claim it again.
    #[serde(serialize_with = "timestamp")]
    pub due_at: NaiveDateTime,
    /// As it was before the claim.
    #[serde(serialize_with = "maybe_timestamp")]
    pub unsettled_since: Option<NaiveDateTime>,
    /// A stable word for why; none leaves what is there.
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    pub detail: Option<String>,
}

impl Postponed {
    /// Gives a claim of `claimed_at` back, to be claimed again at `due_at`.
    pub fn new(due: &Due, claimed_at: NaiveDateTime, due_at: NaiveDateTime) -> Self {
        Self {
            id: due.id,
            attempt: due.attempts,
            due_at,
            unsettled_since: (due.unsettled_since < claimed_at).then_some(due.unsettled_since),
            reason: None,
            detail: None,
        }
    }
}

/// Gives back leases of deliveries that were claimed and not tried.
pub fn release(conn: &mut Conn, rows: &[Postponed]) -> QueryResult<()> {
    const RELEASE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("due_at", Kind::Timestamp),
            ("unsettled_since", Kind::Timestamp),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
        ],
        sql: "UPDATE deliveries SET due_at = r.due_at, attempts = attempts - 1, \
              unsettled_since = r.unsettled_since, reason = COALESCE(r.reason, deliveries.reason), \
              detail = COALESCE(r.detail, deliveries.detail) FROM {rows} \
              WHERE deliveries.id = r.id AND deliveries.attempts = r.attempt \
              AND deliveries.state = 'queued'",
    };
    RELEASE.execute(conn, rows).map(drop)
}
