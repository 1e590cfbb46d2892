//! `queqiao accounts moved`: staff who are bound by a unionid that WeChat has replaced.

use anyhow::{Result, bail};

use crate::bridge::Bridge;
use crate::bridge::people::moved::{MovedStaff, moved_staff};
use crate::cli::context;
use crate::cli::terminal::say;
use crate::db::QueryResult;
use crate::ids::BindingId;
use crate::models::account;

/// Bindings read at once.
const PAGE: i64 = 500;

pub(super) async fn run(
    bridge: &Bridge,
    app_id: &str,
    rebind: bool,
    project: Option<&str>,
) -> Result<()> {
    let project = context::find_project(bridge, project).await?;
    if rebind {
        let Some(done) = bridge.rebind_moved(project.id, app_id).await? else {
            bail!("{app_id} is not an account of this project; see: queqiao accounts list");
        };
        for kept in &done.named {
            say!(
                "{}  {}: {}",
                kept.binding.staff_id,
                kept.reason,
                kept.detail
            );
        }
        say!(
            "{} bound by the new unionid, {} left as they are",
            done.rebound,
            done.kept
        );
        return Ok(());
    }
    let searched = app_id.to_owned();
    let found = bridge.db.read(move |conn| -> QueryResult<_> {
        let found = account::by_app_id(conn, &searched)?;
        Ok(found.filter(|account| account.project_id == project.id))
    });
    let Some(account) = found.await? else {
        bail!("{app_id} is not an account of this project; see: queqiao accounts list");
    };
    let (mut after, mut count) = (BindingId(0), 0_u64);
    loop {
        let page = bridge
            .db
            .read(move |conn| moved_staff(conn, project.id, account.id, after, None, PAGE));
        let page = page.await?;
        let Some(last) = page.last() else { break };
        after = last.binding.binding_id;
        for one in &page {
            count += 1;
            show(one);
        }
    }
    match count {
        0 => say!("nobody is bound by a unionid that was replaced in account {app_id}"),
        _ => say!(
            "{count} staff members. Bind them by the new unionid: queqiao accounts moved {app_id} --rebind"
        ),
    }
    Ok(())
}

fn show(one: &MovedStaff) {
    let new = one.new_unionid().unwrap_or("several unionids");
    let at = one.replacements.first().map(|one| one.changed_at);
    let at = at.map(|at| format!(" since {at} UTC")).unwrap_or_default();
    let (staff, old) = (&one.binding.staff_id, &one.binding.unionid);
    say!("{staff}  bound by {old}, now {new}{at}");
}
