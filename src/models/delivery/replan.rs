//! Claimed deliveries that are planned again in the transaction of their claim: as if they had not been
//! claimed.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Reason;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId, IdentityId};

/// A claimed delivery that goes another way, or waits.
#[derive(Clone, Debug, Serialize)]
pub struct Replanned<'a> {
    /// The delivery.
    pub id: DeliveryId,
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
    /// Why it waits; none: it is sent when it is due.
    pub reason: Option<Reason>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// When to claim it again.
    #[serde(serialize_with = "timestamp")]
    pub due_at: NaiveDateTime,
    /// When its tries begin; none: as before.
    #[serde(serialize_with = "maybe_timestamp")]
    pub begun_at: Option<NaiveDateTime>,
    /// What the app was told of it, if that is not to be seen any more.
    pub first_answer: Option<String>,
}

/// Gives claims back that lead another way, or to nothing yet. Another person's message is one of
/// its own, so its tries count from none.
pub fn replan(conn: &mut Conn, rows: &[Replanned<'_>]) -> QueryResult<usize> {
    const REPLAN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("staff_id", Kind::Text),
            ("staff_name", Kind::Text),
            ("account_id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("openid", Kind::Text),
            ("route", Kind::Integer),
            ("channel", Kind::Text),
            ("considered", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("due_at", Kind::Timestamp),
            ("begun_at", Kind::Timestamp),
            ("first_answer", Kind::Text),
        ],
        sql: "UPDATE deliveries SET staff_id = r.staff_id, staff_name = r.staff_name, \
              account_id = r.account_id, identity_id = r.identity_id, openid = r.openid, \
              route = r.route, channel = r.channel, considered = r.considered, reason = r.reason, detail = r.detail, \
              attempts = deliveries.attempts - 1, spent = deliveries.attempts - 1, spoilt = 0, \
              begun_at = COALESCE(r.begun_at, deliveries.begun_at), due_at = r.due_at, \
              leased_until = NULL, unsettled_since = NULL, \
              first_answer = COALESCE(deliveries.first_answer, r.first_answer) \
              FROM {rows} WHERE deliveries.id = r.id",
    };
    REPLAN.execute(conn, rows)
}
