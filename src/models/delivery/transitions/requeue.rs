//! Deliveries that are put back into the queue: by hand, or on another route.

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;
use serde::Serialize;

use super::Arrow;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId, IdentityId, VersionId};
use crate::models::delivery::DeliveryState;

/// A delivery to send again, on a way that was planned again.
#[derive(Clone, Debug, Serialize)]
pub struct RetryRow<'a> {
    /// The delivery.
    pub id: DeliveryId,
    /// As it was when that was decided: of two who send it again, one does.
    pub was: DeliveryState,
    /// The same.
    pub attempts: i32,
    /// The staff member whom it is for, by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff_id: Option<&'a str>,
    /// Their name by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff_name: Option<&'a str>,
    /// The account of the route.
    pub account_id: Option<AccountId>,
    /// The identity it goes to.
    pub identity_id: Option<IdentityId>,
    /// That identity's openid.
    pub openid: Option<&'a str>,
    /// Which route, from 0.
    pub route: i32,
    /// The route's channel.
    pub channel: Option<&'static str>,
    /// The routes considered before it, as JSON.
    pub considered: Option<String>,
    /// The routes among which it is, if they are not the notification's own.
    pub routes_id: Option<VersionId>,
    /// What the app was told of it, if that is not to be seen any more.
    pub first_answer: Option<String>,
    /// When it is due, and its tries begin.
    #[serde(serialize_with = "timestamp")]
    pub due_at: NaiveDateTime,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
}

/// Puts deliveries back whose route failed, or may fail for long, on another one. Returns those that were still as
/// they had been.
pub fn moved_on(conn: &mut Conn, rows: &[RetryRow<'_>]) -> QueryResult<Vec<DeliveryId>> {
    requeue(conn, Arrow::MovedOn, rows)
}

/// Puts deliveries back that are retried by hand. Returns those that were still as they had been.
pub fn retried(conn: &mut Conn, rows: &[RetryRow<'_>]) -> QueryResult<Vec<DeliveryId>> {
    requeue(conn, Arrow::Retried, rows)
}

/// Puts deliveries back from where the arrow leads, with all tries and all time before them.
fn requeue(conn: &mut Conn, arrow: Arrow, rows: &[RetryRow<'_>]) -> QueryResult<Vec<DeliveryId>> {
    const REQUEUE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("was", Kind::Text),
            ("attempts", Kind::Integer),
            ("staff_id", Kind::Text),
            ("staff_name", Kind::Text),
            ("account_id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("route", Kind::Integer),
            ("channel", Kind::Text),
            ("considered", Kind::Text),
            ("routes_id", Kind::BigInt),
            ("first_answer", Kind::Text),
            ("due_at", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET state = 'queued', reason = NULL, detail = NULL, \
              staff_id = r.staff_id, staff_name = r.staff_name, account_id = r.account_id, \
              identity_id = r.identity_id, openid = r.openid, route = r.route, channel = r.channel, \
              considered = r.considered, routes_id = r.routes_id, \
              first_answer = COALESCE(deliveries.first_answer, r.first_answer), spent = deliveries.attempts, spoilt = 0, \
              begun_at = r.due_at, due_at = r.due_at, leased_until = NULL, unsettled_since = NULL, msgid = NULL, \
              sent_at = NULL, finished_at = NULL, cancelled_at = NULL FROM {rows} WHERE deliveries.id = r.id \
              AND deliveries.state = r.was AND deliveries.attempts = r.attempts \
              RETURNING deliveries.id",
    };
    let leads = |row: &&RetryRow<'_>| arrow.from().contains(&row.was);
    let mut rows: Vec<&RetryRow<'_>> = rows.iter().filter(leads).collect();
    rows.sort_unstable_by_key(|row| row.id);
    let taken: Vec<Taken> = REQUEUE.load(conn, &rows)?;
    Ok(taken.into_iter().map(|taken| taken.id).collect())
}
