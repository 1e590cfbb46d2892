//! Looking deliveries up across notifications.

mod notifications;
mod queue;

use std::collections::HashSet;

use chrono::NaiveDateTime;

use super::{Delivery, DeliveryState};
use crate::db::prelude::*;
use crate::db::schema::{deliveries, identities};
use crate::db::{Conn, Sql};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, ProjectId};
use crate::models::staff::Person;
use crate::models::walk::{Row, Walk, Walked};

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
    /// The page before ended with this one.
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

/// Deliveries that one page looks at.
const ROWS: i64 = 4_000;

/// A page of a project's deliveries, newest first. What goes well is in no index but the primary key
/// and the notification's, since every index is written for each message: where nothing else leads to
/// what is asked for, it is read from the newest back, page by page.
pub fn search(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Walked<Delivery>> {
    let ids = match way(project, filter) {
        Way::One(id) => Walked {
            found: vec![id.0],
            next: None,
        },
        Way::Queued => match queue::ids(conn, project, filter, limit)? {
            Some(ids) => ids,
            None => walk(conn, project, filter, "TRUE".into(), limit)?,
        },
        Way::Index(condition) => walk(conn, project, filter, condition, limit)?,
        Way::Notifications => notifications::ids(conn, project, filter, limit)?,
    };
    let rows = deliveries::table
        .filter(deliveries::project_id.eq(project))
        .filter(deliveries::id.eq_any(&ids.found))
        .select(Delivery::as_select())
        .load(conn)?;
    Ok(ids.with(rows, |delivery| delivery.id.0))
}

/// What leads to the deliveries that a filter means.
enum Way {
    /// Nothing else is asked for.
    One(DeliveryId),
    /// The outbox, if there is little in it.
    Queued,
    /// An index in the order of ids, by its condition.
    Index(Sql),
    /// Their notifications.
    Notifications,
}

fn way(project: ProjectId, filter: &Filter) -> Way {
    let by_person = [&filter.staff_id, &filter.openid, &filter.unionid];
    if let Some(id) = filter.id {
        return Way::One(id);
    }
    if let Some(notification) = filter.notification_id {
        return Way::Index(Sql::new("notification_id = ?").bind(notification.0));
    }
    // The indexes by project begin with it.
    if let Some(reason) = filter.reason.as_deref() {
        let with_reason = Sql::new("project_id = ? AND reason IS NOT NULL AND reason = ?");
        return Way::Index(with_reason.bind(project.0).bind(reason));
    }
    if filter.is_troubled() {
        let with_any = Sql::new("project_id = ? AND reason IS NOT NULL");
        return Way::Index(with_any.bind(project.0));
    }
    if filter.states == [DeliveryState::Queued] {
        return Way::Queued;
    }
    let is_timed = filter.since.is_some() || filter.until.is_some();
    let is_plain = filter.states.is_empty()
        && filter.account_id.is_none()
        && by_person.iter().all(|text| text.is_none());
    if filter.message_type.is_some() || is_timed || is_plain {
        return Way::Notifications;
    }
    Way::Index("TRUE".into())
}

/// Back from the newest, through an index in the order of ids.
fn walk(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    way: Sql,
    limit: i64,
) -> QueryResult<Walked<i64>> {
    let mut walk = Walk::new("deliveries", ROWS, filter.before.map(|id| id.0));
    walk.branch(way);
    if let Some(reason) = filter.reason.as_deref() {
        walk.only(Sql::new("reason = ?").bind(reason));
    }
    for condition in conditions(conn, project, filter)? {
        walk.only(condition);
    }
    walk.ids(conn, limit)
}

/// What has to be true of each delivery.
fn conditions(conn: &mut Conn, project: ProjectId, filter: &Filter) -> QueryResult<Vec<Sql>> {
    let mut all = vec![Sql::new("project_id = ?").bind(project.0)];
    if !filter.states.is_empty() {
        let states = filter.states.iter().map(|state| state.as_str());
        all.push(Sql::new("state IN ").and(Sql::list(states)));
    }
    if let Some(account) = filter.account_id {
        all.push(Sql::new("account_id = ?").bind(account.0));
    }
    let of_type = "(SELECT n.message_type FROM notifications n \
                   WHERE n.id = deliveries.notification_id) = ?";
    for (condition, text) in [
        (of_type, &filter.message_type),
        ("staff_id = ?", &filter.staff_id),
        ("openid = ?", &filter.openid),
    ] {
        let text = text.as_deref();
        all.extend(text.map(|text| Sql::new(condition).bind(text)));
    }
    if let Some(unionid) = &filter.unionid {
        all.push(of_person(conn, project, unionid)?);
    }
    if let Some(notification) = filter.notification_id {
        all.push(Sql::new("notification_id = ?").bind(notification.0));
    }
    for (condition, time) in [
        ("created_at >= ?", filter.since),
        ("created_at < ?", filter.until),
    ] {
        all.extend(time.map(|time| Sql::new(condition).bind(time)));
    }
    Ok(all)
}

/// Those of the given deliveries that a filter means, in their order.
fn filtered(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    ids: Vec<i64>,
) -> QueryResult<Vec<i64>> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let conditions = conditions(conn, project, filter)?;
    let found: Vec<Row> = Sql::new("SELECT id FROM deliveries WHERE id {among} AND ({conditions})")
        .put("{among}", Sql::in_ids(conn, &ids)?)
        .put("{conditions}", Sql::joined(conditions, ") AND ("))
        .load(conn)?;
    let found: HashSet<i64> = found.iter().map(|row| row.id).collect();
    Ok(ids.into_iter().filter(|id| found.contains(id)).collect())
}

/// Named by this unionid, or by an identity that has it by now.
fn of_person(conn: &mut Conn, project: ProjectId, unionid: &str) -> QueryResult<Sql> {
    let theirs: Vec<IdentityId> = identities::table
        .filter(identities::project_id.eq(project))
        .filter(identities::unionid.eq(unionid))
        .select(identities::id)
        .load(conn)?;
    let named = Person::Unionid {
        unionid: unionid.to_owned(),
    };
    let named = Sql::new("recipient = ?").bind(named.to_json().as_str());
    if theirs.is_empty() {
        return Ok(named);
    }
    let theirs = Sql::list(theirs.iter().map(|identity| identity.0));
    Ok(named.and(" OR identity_id IN ").and(theirs))
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
