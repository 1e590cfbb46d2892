//! What WeChat translated, stored: one transaction for a hundred openids.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDateTime;

use super::NewOpenid;
use crate::bridge::people::{erase, one_staff};
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, QueryResult};
use crate::ids::{IdentityId, ProjectId};
use crate::models::identity::migration::{self, Advance, Migration};
use crate::models::identity::openid_move::{self, OpenidMove, Successor};
use crate::models::identity::{self, Spot};
use crate::models::people;
use crate::models::project;
use crate::models::staff::binding;
use crate::vault::Vault;

const ERASED: &str = "the person was erased in the new account, and comes back there by themselves";

/// Stores a page and the cursor behind it. Returns how many events were recorded for endpoints.
pub(super) fn page(
    conn: &mut Conn,
    vault: &Vault,
    walk: &Migration,
    mut translated: Vec<NewOpenid>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let Some(first) = translated.first() else {
        return Ok(0);
    };
    let project = first.0.project_id;
    let asked = translated.len();
    let last = translated.iter().map(|(old, _)| old.id).max();
    // As everybody does who binds, and who erases.
    project::lock(conn, project)?;
    let to = walk.to_account_id;
    leave_out_erased(conn, vault, walk, &mut translated)?;
    let mut rows: Vec<Successor<'_>> = translated
        .iter()
        .filter_map(|(old, new)| Some(Successor::of(old, to, new.as_deref().ok()?, now)))
        .collect();
    // Unique and in the order in which rows are locked.
    rows.sort_by(|one, other| one.openid.cmp(other.openid));
    rows.dedup_by(|one, other| one.openid == other.openid);
    openid_move::succeed(conn, &rows)?;
    let spots = rows.iter().map(|row| Spot {
        account_id: to,
        openid: row.openid,
    });
    let found = identity::ids_of(conn, &spots.collect::<Vec<_>>())?;
    let new_ids: HashMap<&str, IdentityId> = found
        .iter()
        .map(|found| (found.openid.as_str(), found.id))
        .collect();
    let pairs: HashMap<IdentityId, IdentityId> = translated
        .iter()
        .filter_map(|(old, new)| Some((old.id, *new_ids.get(new.as_deref().ok()?)?)))
        .collect();
    let copies: Vec<_> = pairs.iter().map(|(old, new)| (*old, *new)).collect();
    openid_move::copy_details(conn, &copies)?;
    // The new openids have the unionids of the old ones now, and may be bound already.
    let new: Vec<IdentityId> = pairs.values().copied().collect();
    let undone = one_staff::keep_one(conn, &new, now)?;
    let (published, mut kept) = bindings(conn, project, &pairs, now)?;
    let moves: Vec<OpenidMove> = translated
        .iter()
        .map(|(old, translated)| OpenidMove {
            identity_id: old.id,
            to_account_id: to,
            new_identity_id: pairs.get(&old.id).copied(),
            reason: match translated {
                Ok(_) => kept.remove(&old.id),
                Err(why) => Some(why.clone()),
            },
            moved_at: now,
        })
        .collect();
    openid_move::record(conn, &moves)?;
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let by = Advance {
        last: last.unwrap_or(walk.last_identity_id),
        asked: count(asked),
        moved: count(pairs.len()),
        refused: count(translated.len() - pairs.len()),
    };
    migration::advance(conn, walk, by)?;
    Ok(published + undone)
}

/// While WeChat was asked, somebody may have been erased: what was read of them before does not bring
/// them back.
fn leave_out_erased(
    conn: &mut Conn,
    vault: &Vault,
    walk: &Migration,
    translated: &mut Vec<NewOpenid>,
) -> QueryResult<()> {
    let Some(project) = translated.first().map(|(old, _)| old.project_id) else {
        return Ok(());
    };
    let ids: Vec<IdentityId> = translated.iter().map(|(old, _)| old.id).collect();
    let there = identity::by_ids(conn, project, &ids)?;
    let there: HashSet<IdentityId> = there.into_iter().map(|old| old.id).collect();
    translated.retain(|(old, _)| there.contains(&old.id));
    let openids: Vec<String> = translated
        .iter()
        .filter_map(|(_, new)| new.clone().ok())
        .collect();
    let gone = erase::gone(conn, vault, walk.to_account_id, &openids)?;
    for (_, translated) in translated {
        if translated.as_ref().is_ok_and(|new| gone.contains(new)) {
            *translated = Err(ERASED.to_owned());
        }
    }
    Ok(())
}

/// Moves the bindings of old identities to the new ones. Returns the events that were recorded, and
/// why a binding stays where it was.
fn bindings(
    conn: &mut Conn,
    project: ProjectId,
    pairs: &HashMap<IdentityId, IdentityId>,
    now: NaiveDateTime,
) -> QueryResult<(usize, HashMap<IdentityId, String>)> {
    let old: Vec<IdentityId> = pairs.keys().copied().collect();
    let (mut published, mut kept) = (0, HashMap::new());
    let to_move = binding::to_identities(conn, &old)?;
    if to_move.is_empty() {
        return Ok((published, kept));
    }
    let mut bound = Bound::to(conn, project, pairs)?;
    for (binding, staff_id) in to_move {
        let Some((old, new)) = binding
            .identity_id
            .and_then(|old| Some((old, *pairs.get(&old)?)))
        else {
            continue;
        };
        if let Some(other) = bound.other_than(new, &staff_id) {
            let why = format!(
                "moved, but for the binding of {staff_id}: in the new account the person is bound to {other}"
            );
            kept.insert(old, why);
            continue;
        }
        bound.add(new, &staff_id);
        match binding::move_to(conn, binding.id, new)? {
            Some(moved) => published += outbox::bound(conn, &staff_id, &moved, now)?,
            // They have bound themselves already.
            None => drop(binding::delete(conn, binding.staff_row_id, binding.id)?),
        }
    }
    Ok((published, kept))
}

/// Whom the people of a page are bound to, whichever of their openids the binding names; read once
/// for the whole page.
struct Bound {
    unionids: HashMap<IdentityId, String>,
    by_identity: HashMap<IdentityId, BTreeSet<String>>,
    by_unionid: HashMap<String, BTreeSet<String>>,
}

impl Bound {
    fn to(
        conn: &mut Conn,
        project: ProjectId,
        pairs: &HashMap<IdentityId, IdentityId>,
    ) -> QueryResult<Self> {
        let new: Vec<IdentityId> = pairs.values().copied().collect();
        let mut known = identity::by_ids(conn, project, &new)?;
        let unionids: BTreeSet<String> =
            known.iter().filter_map(|one| one.unionid.clone()).collect();
        let unionids: Vec<String> = unionids.into_iter().collect();
        known.extend(people::with_unionids(conn, project, &unionids)?);
        let of: HashMap<IdentityId, String> = known
            .iter()
            .filter_map(|one| Some((one.id, one.unionid.clone()?)))
            .collect();
        let mut bound = Self {
            unionids: of,
            by_identity: HashMap::new(),
            by_unionid: HashMap::new(),
        };
        let ids: BTreeSet<IdentityId> = known.iter().map(|one| one.id).collect();
        let ids: Vec<IdentityId> = ids.into_iter().collect();
        for (staff_id, id, unionid) in binding::staff_of_people(conn, project, &ids, &unionids)? {
            if let Some(unionid) = unionid {
                let theirs = bound.by_unionid.entry(unionid).or_default();
                theirs.insert(staff_id.clone());
            }
            if let Some(id) = id {
                bound.add(id, &staff_id);
            }
        }
        Ok(bound)
    }

    fn add(&mut self, id: IdentityId, staff_id: &str) {
        let theirs = match self.unionids.get(&id) {
            Some(unionid) => self.by_unionid.entry(unionid.clone()).or_default(),
            None => self.by_identity.entry(id).or_default(),
        };
        theirs.insert(staff_id.to_owned());
    }

    /// Another staff member to whom the person of this identity is bound.
    fn other_than(&self, id: IdentityId, staff_id: &str) -> Option<&str> {
        let theirs = match self.unionids.get(&id) {
            Some(unionid) => self.by_unionid.get(unionid),
            None => self.by_identity.get(&id),
        };
        let mut theirs = theirs?.iter().map(String::as_str);
        theirs.find(|one| *one != staff_id)
    }
}
