//! The list of staff, with the reach of each member. No index knows the reach: it is the planner's answer about
//! the bindings, the openids and the follow states of the moment. So a page that is filtered by it looks at a
//! limited number of members and says where to go on.

use crate::bridge::limits::STAFF_LOOKED_AT;
use crate::bridge::planning::reach::{self, Reach, ReachReason};
use crate::db::{Conn, QueryResult};
use crate::ids::{ProjectId, StaffRowId};
use crate::models::account;
use crate::models::staff::{self, Staff};
use crate::models::walk::Walked;

/// Which members are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaffFilter {
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those who can be reached by a template message through at least one official account, or those who
    /// cannot.
    pub reachable: Option<bool>,
    /// Those of whom this is said for at least one official account.
    pub reason: Option<ReachReason>,
}

/// A staff member in the list.
#[derive(Clone, Debug)]
pub struct ListedStaff {
    /// The member.
    pub staff: Staff,
    /// Their tags, sorted.
    pub tags: Vec<String>,
    /// Whether they can be reached.
    pub reach: Reach,
}

impl StaffFilter {
    /// Whether members are left out whom only their reach tells apart.
    fn looks(&self) -> bool {
        self.reachable.is_some() || self.reason.is_some()
    }

    fn is_met_by(&self, reach: &Reach) -> bool {
        let mut reasons = reach.accounts.iter().map(|account| account.reason);
        self.reachable
            .is_none_or(|wanted| reach.reachable == wanted)
            && (self.reason.is_none() || reasons.any(|reason| reason == self.reason))
    }
}

/// A page of a project's staff, newest first, with row ids below `before`. A page may have fewer members than
/// `limit` and go on nevertheless.
///
/// # Errors
/// If the database fails.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    filter: &StaffFilter,
    before: Option<StaffRowId>,
    limit: i64,
) -> QueryResult<Walked<ListedStaff>> {
    let rows = match filter.looks() {
        true => STAFF_LOOKED_AT,
        false => limit + 1,
    };
    let found = staff::list(conn, project, filter.tag.as_deref(), before, rows)?;
    let is_last = i64::try_from(found.len()).is_ok_and(|count| count < rows);
    let last = found.last().map(|staff| staff.id.0);
    let accounts = account::labels(conn, project)?;
    let ids: Vec<&str> = found.iter().map(|staff| staff.staff_id.as_str()).collect();
    let reach_rows = staff::reach(conn, project, &ids)?;
    let reached = reach::of_each(&ids, &reach_rows, &accounts);
    let met: Vec<(Staff, Reach)> = found
        .into_iter()
        .zip(reached)
        .filter(|(_, reach)| filter.is_met_by(reach))
        .collect();
    let Walked { found, next } = Walked::cut(met, limit, |(staff, _)| staff.id.0);
    let rows: Vec<StaffRowId> = found.iter().map(|(staff, _)| staff.id).collect();
    let mut tags = staff::tags_of(conn, &rows)?;
    let members = found.into_iter().map(|(staff, reach)| ListedStaff {
        tags: tags.remove(&staff.id).unwrap_or_default(),
        staff,
        reach,
    });
    Ok(Walked {
        found: members.collect(),
        next: next.or(last.filter(|_| filter.looks() && !is_last)),
    })
}
