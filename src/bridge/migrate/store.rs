//! What WeChat translated, stored: one transaction for a hundred openids.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::Verdict;
use crate::bridge::webhook::tell;
use crate::db::Conn;
use crate::ids::{IdentityId, ProjectId};
use crate::models::account_migration::{self, Advance, Migration};
use crate::models::identity::{self, Spot};
use crate::models::openid_move::{self, OpenidMove, Successor};
use crate::models::{binding, project};

/// Stores a page and the cursor behind it. Returns how many events were recorded for endpoints.
pub(super) fn page(
    conn: &mut Conn,
    walk: &Migration,
    verdicts: &[Verdict],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let Some((first, _)) = verdicts.first() else {
        return Ok(0);
    };
    let project = first.project_id;
    // As everybody does who binds.
    project::lock(conn, project)?;
    let to = walk.to_account_id;
    let mut rows: Vec<Successor<'_>> = verdicts
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
    let pairs: HashMap<IdentityId, IdentityId> = verdicts
        .iter()
        .filter_map(|(old, new)| Some((old.id, *new_ids.get(new.as_deref().ok()?)?)))
        .collect();
    let copies: Vec<_> = pairs.iter().map(|(old, new)| (*old, *new)).collect();
    openid_move::copy_details(conn, &copies)?;
    let (told, mut kept) = bindings(conn, project, &pairs, now)?;
    let moves: Vec<OpenidMove> = verdicts
        .iter()
        .map(|(old, verdict)| OpenidMove {
            identity_id: old.id,
            to_account_id: to,
            new_identity_id: pairs.get(&old.id).copied(),
            reason: match verdict {
                Ok(_) => kept.remove(&old.id),
                Err(why) => Some(why.clone()),
            },
            moved_at: now,
        })
        .collect();
    openid_move::record(conn, &moves)?;
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let by = Advance {
        last: verdicts
            .iter()
            .map(|(old, _)| old.id)
            .max()
            .unwrap_or(first.id),
        asked: count(verdicts.len()),
        moved: count(pairs.len()),
        refused: count(verdicts.len() - pairs.len()),
    };
    account_migration::advance(conn, walk, by)?;
    Ok(told)
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
    let (mut told, mut kept) = (0, HashMap::new());
    for (binding, staff_id) in binding::to_identities(conn, &old)? {
        let Some((old, new)) = binding
            .identity_id
            .and_then(|old| Some((old, *pairs.get(&old)?)))
        else {
            continue;
        };
        let Some(successor) = identity::by_id(conn, project, new)? else {
            continue;
        };
        let members = identity::members_of(conn, &successor)?;
        let ids: Vec<IdentityId> = members.iter().map(|one| one.id).collect();
        let bound = binding::staff_of_person(conn, project, &ids, successor.unionid.as_deref())?;
        if let Some(other) = bound.into_iter().find(|bound| *bound != staff_id) {
            let why = format!(
                "moved, but for the binding of {staff_id}: in the new account the person is bound to {other}"
            );
            kept.insert(old, why);
            continue;
        }
        match binding::move_to(conn, binding.id, new)? {
            Some(moved) => told += tell::bound(conn, &staff_id, &moved, now)?,
            // They have bound themselves already.
            None => drop(binding::delete(conn, binding.staff_row_id, binding.id)?),
        }
    }
    Ok((told, kept))
}
