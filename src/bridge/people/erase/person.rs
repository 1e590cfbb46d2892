//! The first batch: the identities with what depends on them, and what endpoints are told.

use chrono::NaiveDateTime;

use super::ask::{hashed, resolve};
use super::{count, go_on};
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, QueryResult};
use crate::models::erasure::{self, Erasure, Openid, Phase, Subject};
use crate::models::identity;
use crate::models::project;
use crate::models::staff::binding;
use crate::vault::Vault;

/// Deletes the identities. Returns how many events for endpoints were written.
pub(super) fn erase(
    conn: &mut Conn,
    vault: &Vault,
    erasure: &mut Erasure,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let project = erasure.project_id;
    let asked = Subject::from_json(erasure.subject.as_deref());
    // Events, project, identities: the order of who processes events.
    erasure::hold_waiting(conn, &asked)?;
    project::lock(conn, project)?;
    let there = resolve(conn, project, asked.clone())?;
    identity::hold_to_remove(conn, there.identity_ids())?;
    // Another erasure may have had the same identities meanwhile: what is there now counts.
    let mut seed = asked.clone();
    seed.openids
        .iter_mut()
        .for_each(|one| one.identity_id = None);
    let subject = resolve(conn, project, seed)?;
    let time = erasure.requested_at.and_utc().timestamp();
    for one in &subject.openids {
        let is_known = |known: &Openid| {
            let same = known.account_id == one.account_id && known.openid == one.openid;
            same && (one.identity_id.is_none() || one.identity_id == known.identity_id)
        };
        if !asked.openids.iter().any(is_known) {
            let openid = hashed(vault, one.account_id, &one.openid);
            erasure::remember(conn, erasure.id, &openid, one.identity_id, time)?;
        }
    }
    let ids = subject.identity_ids();
    let mut staff_ids: Vec<String> =
        binding::staff_of_people(conn, project, &ids, &subject.unionids)?
            .into_iter()
            .map(|(staff_id, ..)| staff_id)
            .collect();
    staff_ids.dedup();
    let published = outbox::erased(conn, erasure, &subject, &staff_ids, now)?;
    let removed = erasure::remove(conn, project, &subject)?;
    erasure.identities = count(removed.identities);
    erasure.bindings = count(removed.bindings);
    erasure.permissions = count(removed.permissions);
    erasure.staff_ids = serde_json::to_string(&staff_ids).unwrap_or_default();
    erasure.subject = Some(subject.to_json());
    erasure.due_at = Some(now);
    go_on(erasure, Phase::Events);
    Ok(published)
}
