//! Looking deliveries up across notifications.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::{Delivery, DeliveryState};
use crate::db::schema::{deliveries, identities, notifications};
use crate::db::{Backend, Conn};
use crate::ids::{AccountId, DeliveryId, NotificationId, ProjectId};
use crate::models::staff::Person;

/// Which deliveries to list. Empty fields do not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these.
    pub states: Vec<DeliveryState>,
    /// A stable word.
    pub reason: Option<String>,
    /// The account of the route taken.
    pub account_id: Option<AccountId>,
    /// The name of the notification's message type.
    pub message_type: Option<String>,
    /// The staff member.
    pub staff_id: Option<String>,
    /// The openid it goes to.
    pub openid: Option<String>,
    /// The person: named by this unionid, or whose identity has it by now.
    pub unionid: Option<String>,
    /// The notification.
    pub notification_id: Option<NotificationId>,
    /// Accepted from, inclusive, UTC.
    pub since: Option<NaiveDateTime>,
    /// Accepted until, exclusive, UTC.
    pub until: Option<NaiveDateTime>,
    /// Only this one.
    pub id: Option<DeliveryId>,
    /// Only ids below this one.
    pub before: Option<DeliveryId>,
}

impl Filter {
    /// Whether it can only find deliveries with a reason, which have an index of their own.
    fn is_troubled(&self) -> bool {
        use DeliveryState::{Delivered, Queued, Sent};
        let may_be_well = |state: &DeliveryState| matches!(state, Queued | Sent | Delivered);
        self.reason.is_some() || !self.states.is_empty() && !self.states.iter().any(may_be_well)
    }
}

/// A project's deliveries, newest first. What goes well is in no index but the primary key and the
/// notification's, since every index is written for each message: it is read from the newest back.
pub fn search(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    matching(project, filter)
        .order(deliveries::id.desc())
        .limit(limit)
        .select(Delivery::as_select())
        .load(conn)
}

/// How far back a staff member's deliveries are looked for where none of them went wrong.
const LOOK_BACK: i64 = 100_000;

/// The last deliveries to a staff member, newest first: those that went wrong, and those among the
/// newest of the installation. No index names the staff member, as it would be written for each message.
pub fn latest_of_staff(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    let newest: Option<DeliveryId> = deliveries::table
        .select(diesel::dsl::max(deliveries::id))
        .first(conn)?;
    let floor = DeliveryId(newest.map_or(0, |id| id.0 - LOOK_BACK));
    let theirs = || {
        deliveries::table
            .filter(deliveries::project_id.eq(project))
            .filter(deliveries::staff_id.eq(staff_id))
            .order(deliveries::id.desc())
            .limit(limit)
            .select(Delivery::as_select())
    };
    let mut found = theirs().filter(deliveries::id.gt(floor)).load(conn)?;
    let wanted = usize::try_from(limit).unwrap_or_default();
    if found.len() < wanted && floor.0 > 0 {
        let troubled: Vec<Delivery> = theirs()
            .filter(deliveries::reason.is_not_null())
            .filter(deliveries::id.le(floor))
            .load(conn)?;
        found.extend(troubled);
        found.truncate(wanted);
    }
    Ok(found)
}

fn matching(project: ProjectId, filter: &Filter) -> deliveries::BoxedQuery<'_, Backend> {
    let mut query = deliveries::table
        .filter(deliveries::project_id.eq(project))
        .into_boxed();
    if !filter.states.is_empty() {
        query = query.filter(deliveries::state.eq_any(&filter.states));
    }
    if filter.is_troubled() {
        query = query.filter(deliveries::reason.is_not_null());
    }
    if let Some(reason) = &filter.reason {
        query = query.filter(deliveries::reason.eq(reason));
    }
    if let Some(account) = filter.account_id {
        query = query.filter(deliveries::account_id.eq(account));
    }
    if let Some(message_type) = &filter.message_type {
        let of_type = notifications::table
            .filter(notifications::project_id.eq(project))
            .filter(notifications::message_type.eq(message_type))
            .select(notifications::id);
        query = query.filter(deliveries::notification_id.eq_any(of_type));
    }
    if let Some(staff_id) = &filter.staff_id {
        query = query.filter(deliveries::staff_id.eq(staff_id));
    }
    if let Some(openid) = &filter.openid {
        query = query.filter(deliveries::openid.eq(openid));
    }
    if let Some(unionid) = &filter.unionid {
        let theirs = identities::table
            .filter(identities::project_id.eq(project))
            .filter(identities::unionid.eq(unionid))
            .select(identities::id.nullable());
        let named = Person::Unionid {
            unionid: unionid.clone(),
        };
        let is_theirs = deliveries::identity_id.eq_any(theirs);
        query = query.filter(is_theirs.or(deliveries::recipient.eq(named.to_json())));
    }
    if let Some(notification) = filter.notification_id {
        query = query.filter(deliveries::notification_id.eq(notification));
    }
    if let Some(since) = filter.since {
        query = query.filter(deliveries::created_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(deliveries::created_at.lt(until));
    }
    if let Some(id) = filter.id {
        query = query.filter(deliveries::id.eq(id));
    }
    if let Some(before) = filter.before {
        query = query.filter(deliveries::id.lt(before));
    }
    query
}
