//! Staff who are bound by a unionid that WeChat has replaced, and how they are bound by the new one.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDateTime;

use crate::bridge::Bridge;
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, BindingId, ProjectId};
use crate::models::identity::Identity;
use crate::models::identity::unionid_change::{self, Replacement, Stale};
use crate::models::people;
use crate::models::staff::binding;
use crate::models::{account, project};

/// Bindings in one transaction: it holds up whoever binds in the project meanwhile.
const CHUNK: i64 = 20;
/// Bindings that were left alone and are named one by one.
const NAMED_MAX: usize = 100;

/// A staff member who is bound by a unionid that was replaced.
#[derive(Clone, Debug)]
pub struct MovedStaff {
    /// The binding.
    pub binding: Stale,
    /// Everybody who had that unionid and has another one now, the newest change first.
    pub replacements: Vec<Replacement>,
}

impl MovedStaff {
    /// The new unionid, where there is but one.
    pub fn new_unionid(&self) -> Option<&str> {
        let mut all = self.replacements.iter();
        let first = all.next()?.new_unionid.as_deref()?;
        all.all(|other| other.new_unionid.as_deref() == Some(first))
            .then_some(first)
    }
}

/// Up to `limit` of those whose unionid was replaced in an account, with binding ids above `after`,
/// and up to `until` if that is given, in their order.
///
/// # Errors
/// If the database fails.
pub fn moved_staff(
    conn: &mut Conn,
    project: ProjectId,
    account: AccountId,
    after: BindingId,
    until: Option<BindingId>,
    limit: i64,
) -> QueryResult<Vec<MovedStaff>> {
    let stale = unionid_change::stale_bindings(conn, project, account, after, until, limit)?;
    let unionids: Vec<String> = stale.iter().map(|one| one.unionid.clone()).collect();
    let mut by_old: HashMap<String, Vec<Replacement>> = HashMap::new();
    for one in unionid_change::replacements(conn, project, &unionids)? {
        by_old.entry(one.old_unionid.clone()).or_default().push(one);
    }
    let moved = stale.into_iter().map(|binding| MovedStaff {
        replacements: by_old.remove(&binding.unionid).unwrap_or_default(),
        binding,
    });
    Ok(moved.collect())
}

/// A binding that stays as it is.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The binding.
    pub binding: Stale,
    /// Why, a stable word.
    pub reason: &'static str,
    /// The same in a sentence, with what to do.
    pub detail: String,
}

/// What binding again came to.
#[derive(Clone, Debug, Default)]
pub struct Rebound {
    /// Bindings that name the new unionid now.
    pub rebound: u64,
    /// Bindings that stay as they are.
    pub kept: u64,
    /// The first of those.
    pub named: Vec<Kept>,
}

impl Bridge {
    /// Binds staff by the new unionid who are bound by one that WeChat has replaced in this account,
    /// where it is certain: there is but one new unionid, nobody else is bound to it, and no openid
    /// has the old one any more. None if
    /// the project has no such account.
    ///
    /// # Errors
    /// If the database fails; what was bound until then stays so.
    pub async fn rebind_moved(
        &self,
        project: ProjectId,
        app_id: &str,
    ) -> Result<Option<Rebound>, DbError> {
        let wanted = app_id.to_owned();
        let found = self.db.read(move |conn| -> QueryResult<_> {
            let found = account::by_app_id(conn, &wanted)?;
            Ok(found.filter(|account| account.project_id == project))
        });
        let Some(account) = found.await? else {
            return Ok(None);
        };
        let mut total = Rebound::default();
        let mut after = BindingId(0);
        loop {
            let now = self.clock.now();
            let chunk = self
                .db
                .write(move |conn| rebind(conn, project, account.id, after, now));
            let (done, last) = chunk.await?;
            total.rebound += done.rebound;
            total.kept += done.kept;
            let room = NAMED_MAX.saturating_sub(total.named.len());
            total.named.extend(done.named.into_iter().take(room));
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        self.signals.webhooks.notify_one();
        Ok(Some(total))
    }
}

/// Binds one chunk again. Returns the last binding that was looked at; none at the end.
fn rebind(
    conn: &mut Conn,
    project: ProjectId,
    account: AccountId,
    after: BindingId,
    now: NaiveDateTime,
) -> QueryResult<(Rebound, Option<BindingId>)> {
    // As everybody does who binds.
    project::lock(conn, project)?;
    let moved = moved_staff(conn, project, account, after, None, CHUNK)?;
    let last = moved.last().map(|one| one.binding.binding_id);
    let old: Vec<String> = moved
        .iter()
        .map(|one| one.binding.unionid.clone())
        .collect();
    let in_use = people::with_unionids(conn, project, &old)?;
    let mut done = Rebound::default();
    for one in moved {
        let is_theirs = |user: &&Identity| user.unionid.as_ref() == Some(&one.binding.unionid);
        let done_one = match in_use.iter().find(is_theirs) {
            Some(user) => Err(still_in_use(&one, user)),
            None => rebind_one(conn, project, &one, now)?,
        };
        match done_one {
            Ok(()) => done.rebound += 1,
            Err((reason, detail)) => {
                done.kept += 1;
                done.named.push(Kept {
                    binding: one.binding,
                    reason,
                    detail,
                });
            }
        }
    }
    Ok((done, last))
}

type Refusal = (&'static str, String);

/// The new unionid would take the binding away from an account that did not move, or of which it is
/// not known yet.
fn still_in_use(moved: &MovedStaff, user: &Identity) -> Refusal {
    let new = moved.new_unionid().unwrap_or("the new one");
    let detail = format!(
        "Openid {} still has the old unionid. If its account moves as well, ask for its profiles \
         first, or let the person log in. If it stays, bind the new unionid as well: POST \
         /staff/{}/bindings {{\"unionid\": \"{new}\"}}.",
        user.openid, moved.binding.staff_id
    );
    ("still_in_use", detail)
}

fn rebind_one(
    conn: &mut Conn,
    project: ProjectId,
    moved: &MovedStaff,
    now: NaiveDateTime,
) -> QueryResult<Result<(), Refusal>> {
    let Some(new) = moved.new_unionid() else {
        let all = moved.replacements.iter();
        let all: BTreeSet<&str> = all.filter_map(|one| one.new_unionid.as_deref()).collect();
        let all = all.into_iter().collect::<Vec<_>>().join(", ");
        let detail = format!(
            "WeChat has replaced the unionid by several: {all}. Bind the right one, and remove this binding."
        );
        return Ok(Err(("several_unionids", detail)));
    };
    let members = people::with_unionids(conn, project, &[new.to_owned()])?;
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let bound = binding::staff_of_person(conn, project, &ids, Some(new))?;
    let (row, staff_id) = (moved.binding.staff_row_id, &moved.binding.staff_id);
    if let Some(other) = bound.iter().find(|bound| *bound != staff_id) {
        let detail = format!(
            "The person is bound to staff member {other}. One of the two bindings is to be removed."
        );
        return Ok(Err(("person_already_bound", detail)));
    }
    let id = moved.binding.binding_id;
    match binding::rebind(conn, row, id, new)? {
        Some(binding) => outbox::bound(conn, staff_id, &binding, now).map(drop)?,
        // They have another binding by the new one.
        None => drop(binding::delete(conn, row, id)?),
    }
    Ok(Ok(()))
}
