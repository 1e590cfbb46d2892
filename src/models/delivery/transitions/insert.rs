//! Deliveries that begin: those of a notification that was accepted.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use serde::Serialize;

use super::Arrow;
use crate::clock::{Day, TimeZone};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, NotificationId, ProjectId};
use crate::models::delivery::{DeliveryState, Reason};
use crate::models::notification::Notification;
use crate::models::stats::{Changes, Key, Metric};

/// Rows in one statement; bounds the JSON that the database has to hold at once.
const CHUNK: usize = 5_000;

const INSERT: Batch = Batch {
    columns: &[
        ("staff_id", Kind::Text),
        ("recipient", Kind::Text),
        ("staff_name", Kind::Text),
        ("account_id", Kind::BigInt),
        ("identity_id", Kind::BigInt),
        ("openid", Kind::Text),
        ("route", Kind::Integer),
        ("channel", Kind::Text),
        ("ended", Kind::Text),
        ("reason", Kind::Text),
        ("detail", Kind::Text),
        ("considered", Kind::Text),
        ("due_at", Kind::Timestamp),
    ],
    sql: "INSERT INTO deliveries (notification_id, project_id, staff_id, recipient, staff_name, \
          account_id, identity_id, openid, route, channel, priority, state, reason, detail, considered, \
          attempts, spent, begun_at, due_at, finished_at, created_at, stats_day) SELECT s.notification_id, \
          s.project_id, r.staff_id, r.recipient, r.staff_name, r.account_id, r.identity_id, \
          r.openid, r.route, r.channel, s.priority, COALESCE(r.ended, 'queued'), r.reason, r.detail, \
          r.considered, 0, 0, COALESCE(r.due_at, s.created_at), \
          CASE WHEN r.ended IS NULL THEN COALESCE(r.due_at, s.created_at) END, \
          CASE WHEN r.ended IS NOT NULL THEN s.created_at END, s.created_at, s.stats_day \
          FROM {rows} CROSS JOIN {shared}",
};

/// To whom a delivery goes, in which notification.
#[derive(Clone, Debug)]
pub struct Recipient<'a> {
    /// What the deliveries of its notification have in common.
    pub shared: SharedByNotification,
    /// The staff member, as the app named them; none for a person who is not one.
    pub staff_id: Option<&'a str>,
    /// The person, where they were not asked for by staff id.
    pub recipient: Option<&'a str>,
    /// Their name, for the template.
    pub staff_name: Option<&'a str>,
    /// The routes that were passed over, as JSON.
    pub considered: Option<String>,
}

/// Where a delivery goes.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRoute<'a> {
    /// Which route, from 0.
    pub route: i32,
    /// The route's channel.
    pub channel: Option<&'static str>,
    /// The account of the route.
    pub account_id: Option<AccountId>,
    /// The identity it goes to.
    pub identity_id: Option<IdentityId>,
    /// That identity's openid.
    pub openid: Option<&'a str>,
    /// When to send it: now without it.
    pub due_at: Option<NaiveDateTime>,
}

/// A delivery to store: what is written as JSON is what it has of its own.
#[derive(Clone, Debug, Serialize)]
pub struct NewDelivery<'a> {
    #[serde(skip)]
    shared: SharedByNotification,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_id: Option<IdentityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(rename = "ended", skip_serializing_if = "is_queued")]
    state: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    considered: Option<String>,
    #[serde(
        serialize_with = "maybe_timestamp",
        skip_serializing_if = "Option::is_none"
    )]
    due_at: Option<NaiveDateTime>,
}

fn is_queued(state: &DeliveryState) -> bool {
    *state == DeliveryState::Queued
}

/// A delivery that is sent, or that waits for what is given as the reason, with the same in a sentence.
pub fn accepted<'a>(
    to: Recipient<'a>,
    route: PlannedRoute<'a>,
    waits: Option<(Reason, Cow<'a, str>)>,
) -> NewDelivery<'a> {
    let (reason, detail) = waits.unzip();
    NewDelivery {
        account_id: route.account_id,
        identity_id: route.identity_id,
        openid: route.openid,
        route: Some(route.route),
        channel: route.channel,
        due_at: route.due_at,
        reason,
        detail,
        ..NewDelivery::by(Arrow::Accepted, to)
    }
}

/// A delivery that is at its end, as no route leads to the person: why, and the same in a sentence.
pub fn not_reached<'a>(
    to: Recipient<'a>,
    (reason, detail): (Reason, Cow<'a, str>),
) -> NewDelivery<'a> {
    NewDelivery {
        reason: Some(reason),
        detail: Some(detail),
        ..NewDelivery::by(Arrow::NotReached, to)
    }
}

impl<'a> NewDelivery<'a> {
    fn by(arrow: Arrow, to: Recipient<'a>) -> Self {
        Self {
            shared: to.shared,
            staff_id: to.staff_id,
            recipient: to.recipient,
            staff_name: to.staff_name,
            account_id: None,
            identity_id: None,
            openid: None,
            route: None,
            channel: None,
            state: arrow.to(),
            reason: None,
            detail: None,
            considered: to.considered,
            due_at: None,
        }
    }
}

impl NewDelivery<'_> {
    /// The number in which it counts by its state, in the words of the triggers on `deliveries`, which count it from
    /// then on.
    fn counted(&self) -> Key {
        let shared = &self.shared;
        Key {
            name: self.state.as_str().to_owned(),
            channel: self.channel.unwrap_or_default().to_owned(),
            reason: self.reason.map_or("", Reason::as_str).to_owned(),
            account_id: self.account_id.unwrap_or(AccountId(0)),
            ..Key::new(shared.project_id, shared.stats_day, Metric::Deliveries)
        }
    }
}

/// What the deliveries of a notification have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SharedByNotification {
    /// The notification.
    pub notification_id: NotificationId,
    /// The project.
    pub project_id: ProjectId,
    /// [`rank`](crate::models::notification::Priority::rank) of its priority.
    pub priority: i32,
    /// When it was accepted.
    #[serde(serialize_with = "timestamp")]
    pub created_at: NaiveDateTime,
    /// With which day they are counted: that on which they are to be sent first.
    pub stats_day: Day,
}

impl SharedByNotification {
    /// What those of this notification have in common, with the project's time zone.
    pub fn of(notification: &Notification, time_zone: TimeZone) -> Self {
        let accepted = notification.created_at;
        let first = notification.send_at.unwrap_or(accepted).max(accepted);
        Self {
            stats_day: time_zone.day(first),
            notification_id: notification.id,
            project_id: notification.project_id,
            priority: notification.priority.rank(),
            created_at: notification.created_at,
        }
    }
}

const SHARED: &[(&str, Kind)] = &[
    ("notification_id", Kind::BigInt),
    ("project_id", Kind::BigInt),
    ("priority", Kind::Integer),
    ("created_at", Kind::Timestamp),
    ("stats_day", Kind::Integer),
];

/// Stores deliveries, in the given order, and counts them.
pub fn insert_many(conn: &mut Conn, rows: &[NewDelivery<'_>]) -> QueryResult<()> {
    let alike = rows.chunk_by(|one, next| one.shared == next.shared);
    for chunk in alike.flat_map(|rows| rows.chunks(CHUNK)) {
        let Some(first) = chunk.first() else { continue };
        INSERT.execute_sharing(conn, SHARED, &first.shared, chunk)?;
    }
    let mut changes = Changes::default();
    for row in rows {
        let (project, day) = (row.shared.project_id, row.shared.stats_day);
        changes.add(Key::new(project, day, Metric::Accepted), 1);
        if row.state != DeliveryState::Queued {
            changes.add(row.counted(), 1);
        }
    }
    changes.write(conn)
}
