//! `queqiao staff list` and `show`.

use anyhow::{Context as _, Result};

use super::{Filters, Member};
use crate::bridge::Bridge;
use crate::bridge::people::staff_list::{self, ListedStaff};
use crate::bridge::planning::reach::{self, Reach};
use crate::cli::context;
use crate::cli::terminal::{note, say};
use crate::db::QueryResult;
use crate::ids::{IdentityId, StaffRowId};
use crate::models::identity::{self, Identity};
use crate::models::staff::binding::{self, Binding};
use crate::models::{account, staff};

pub(super) async fn list(bridge: &Bridge, filters: Filters, limit: i64) -> Result<()> {
    let (project, filter) = filters.resolve(bridge).await?;
    let (mut left, mut before) = (limit, None);
    loop {
        let asked = filter.clone();
        let look = bridge
            .db
            .snapshot(move |conn| staff_list::page(conn, project.id, &asked, before, left));
        let page = look.await?;
        page.found
            .iter()
            .for_each(|member| say!("{}", line(member)));
        left -= i64::try_from(page.found.len()).unwrap_or(left);
        before = page.next.map(StaffRowId);
        if before.is_none() {
            if left == limit {
                context::note_empty(bridge, "staff who match");
            }
            return Ok(());
        }
        if left <= 0 {
            note!("There may be more: give a larger --limit, or filters.");
            return Ok(());
        }
    }
}

fn line(member: &ListedStaff) -> String {
    let name = member.staff.name.as_deref().unwrap_or("-");
    format!(
        "{:20}  {name:16}  {:40}  {}",
        member.staff.staff_id,
        summary(&member.reach),
        member.tags.join(", ")
    )
}

/// Whether somebody is reached, or why not: the reasons of all accounts, each once.
fn summary(reach: &Reach) -> String {
    if reach.reachable {
        return "reachable".to_owned();
    }
    let mut reasons: Vec<String> = reach
        .accounts
        .iter()
        .filter_map(|account| Some(account.reason?.to_string()))
        .collect();
    reasons.dedup();
    match reasons.is_empty() {
        true => "unreachable: no official account".to_owned(),
        false => format!("unreachable: {}", reasons.join(", ")),
    }
}

pub(super) async fn one(bridge: &Bridge, member: Member) -> Result<()> {
    let project = context::find_project(bridge, member.project.as_deref()).await?;
    let (project_id, staff_id) = (project.id, member.staff_id.clone());
    let look = bridge.db.snapshot(move |conn| -> QueryResult<_> {
        let Some(found) = staff::find(conn, project_id, &staff_id)? else {
            return Ok(None);
        };
        let labels = account::labels(conn, project_id)?;
        let rows = staff::reach(conn, project_id, &[staff_id.as_str()])?;
        let reach = reach::of_each(&[staff_id.as_str()], &rows, &labels).pop();
        let bindings = binding::of_staff(conn, found.id)?;
        let ids: Vec<IdentityId> = bindings.iter().filter_map(|one| one.identity_id).collect();
        let identities = identity::by_ids(conn, project_id, &ids)?;
        let tags = staff::tags_of(conn, &[found.id])?.remove(&found.id);
        Ok(Some((found, tags, reach, bindings, identities, labels)))
    });
    let (found, tags, reach, bindings, identities, labels) = look.await?.with_context(|| {
        let (name, staff_id) = (&project.name, &member.staff_id);
        format!("project '{name}' has no staff member {staff_id:?}; see: queqiao staff list")
    })?;
    say!("staff_id  {}", found.staff_id);
    say!("name      {}", found.name.as_deref().unwrap_or("-"));
    say!("phone     {}", found.phone.as_deref().unwrap_or("-"));
    say!("tags      {}", tags.unwrap_or_default().join(", "));
    for account in reach.iter().flat_map(|reach| &reach.accounts) {
        let word = if account.reachable {
            "reachable"
        } else {
            "unreachable"
        };
        let reason = account.reason.map(|reason| format!(" ({reason})"));
        let detail = account.detail.as_deref().unwrap_or_default();
        let reason = reason.unwrap_or_default();
        say!("reach     {}  {word}{reason}  {detail}", account.app_id);
    }
    let app_id = |identity: &Identity| {
        let mut labels = labels.iter();
        let label = labels.find(|label| label.id == identity.account_id);
        label.map_or("-", |label| label.app_id.as_str())
    };
    for one in &bindings {
        say!(
            "binding   {:<8}  {}",
            one.id.0,
            person(one, &identities, app_id)
        );
    }
    if bindings.is_empty() {
        say!(
            "binding   none; see: queqiao staff invite {}",
            found.staff_id
        );
    }
    Ok(())
}

/// Whom a binding names.
fn person<'a>(
    binding: &Binding,
    identities: &'a [Identity],
    app_id: impl Fn(&'a Identity) -> &'a str,
) -> String {
    if let Some(unionid) = &binding.unionid {
        return format!("unionid {unionid}");
    }
    let mut identities = identities.iter();
    match identities.find(|identity| Some(identity.id) == binding.identity_id) {
        Some(identity) => format!("openid {} of {}", identity.openid, app_id(identity)),
        None => "somebody who is being erased".to_owned(),
    }
}
