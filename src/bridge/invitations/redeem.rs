//! The rules by which an invitation binds or is refused. Whoever redeems one holds its staff member and
//! the person, or the whole project, so that of two who present it at once one wins, and no binding
//! made meanwhile is overlooked.

use chrono::NaiveDateTime;

use crate::bridge::webhooks::outbox;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::identity::Identity;
use crate::models::people;
use crate::models::staff::binding::{self, Binding, NewBinding};
use crate::models::staff::invitation::{self, Invitation, Refusal};

/// Where and when a token was presented.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) project_id: ProjectId,
    pub(super) account_id: AccountId,
    /// When: for a scan by WeChat's clock, as an event may wait here for a while.
    pub(super) at: NaiveDateTime,
}

/// What an accepted invitation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The staff member is bound to the person now.
    Bound,
    /// They were bound to each other before.
    BoundBefore,
}

/// What can be said of an invitation before it is known who presents it. One that was used may
/// have been used by the same person.
pub(super) fn judge(invitation: &Invitation, place: Place) -> Result<(), Refusal> {
    if invitation.project_id != place.project_id {
        return Err(Refusal::Foreign);
    }
    let accounts = [Some(invitation.account_id), invitation.mini_program_id];
    if !accounts.contains(&Some(place.account_id)) {
        return Err(Refusal::WrongAccount);
    }
    if invitation.used_at.is_some() {
        return Ok(());
    }
    if invitation.revoked_at.is_some() {
        return Err(Refusal::Revoked);
    }
    if place.at >= invitation.expires_at {
        return Err(Refusal::Expired);
    }
    Ok(())
}

/// Binds the staff member of an invitation to whoever presents it, if the rules allow it.
pub(super) fn redeem(
    conn: &mut Conn,
    invitation: &Invitation,
    staff_id: &str,
    place: Place,
    identity: &Identity,
    now: NaiveDateTime,
) -> QueryResult<Result<Accepted, Refusal>> {
    if let Err(refusal) = judge(invitation, place) {
        return Ok(Err(refusal));
    }
    let members = people::members_of(conn, identity)?;
    let person: Vec<IdentityId> = members.iter().map(|member| member.id).collect();
    let unionid = identity.unionid.as_deref();
    let bindings = binding::of_staff(conn, invitation.staff_row_id)?;
    let (theirs, strangers): (Vec<_>, Vec<_>) = bindings.into_iter().partition(|binding| {
        let by_identity = binding.identity_id.is_some_and(|id| person.contains(&id));
        by_identity || (binding.unionid.is_some() && binding.unionid.as_deref() == unionid)
    });
    if invitation.used_at.is_some() {
        let same = invitation.used_by.is_some_and(|by| person.contains(&by));
        return Ok(match same && !theirs.is_empty() {
            true => Ok(Accepted::BoundBefore),
            false => Err(Refusal::Used),
        });
    }
    let mut others = binding::staff_of_person(conn, invitation.project_id, &person, unionid)?;
    others.retain(|bound| bound != staff_id);
    if !others.is_empty() {
        return Ok(Err(Refusal::PersonAlreadyBound));
    }
    if theirs.is_empty() && !strangers.is_empty() && !invitation.rebind {
        return Ok(Err(Refusal::AlreadyBound));
    }
    if !invitation::mark_used(conn, invitation.id, identity.id, now)? {
        return Ok(Err(Refusal::Used));
    }
    if !theirs.is_empty() {
        return Ok(Ok(Accepted::BoundBefore));
    }
    outbox::unbound(conn, invitation.project_id, staff_id, &strangers, now)?;
    for binding in &strangers {
        binding::delete(conn, invitation.staff_row_id, binding.id)?;
    }
    let made = bind(conn, invitation, staff_id, identity, now)?;
    if let (Some(made), None) = (made, unionid) {
        // It may be another staff member who presents it.
        binding::keep_replaced(conn, made.id, &strangers)?;
    }
    Ok(Ok(Accepted::Bound))
}

fn bind(
    conn: &mut Conn,
    invitation: &Invitation,
    staff_id: &str,
    identity: &Identity,
    now: NaiveDateTime,
) -> QueryResult<Option<Binding>> {
    let row = NewBinding {
        project_id: invitation.project_id,
        staff_row_id: invitation.staff_row_id,
        identity_id: Some(identity.id),
        unionid: None,
        created_at: now,
    };
    let made = binding::create(conn, &row)?;
    if let Some(binding) = &made {
        outbox::bound(conn, staff_id, binding, now)?;
    }
    Ok(made)
}

/// Keeps what became of an invitation, in one log line and, if it was refused, on it.
pub(super) fn note(
    conn: &mut Conn,
    invitation: &Invitation,
    staff_id: &str,
    outcome: Result<Accepted, Refusal>,
    identity: Option<&Identity>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let who = identity.map(|identity| identity.id);
    let (invitation_id, identity_id) = (invitation.id.0, who.map(|id| id.0));
    match outcome {
        Ok(accepted) => {
            tracing::info!(
                invitation.id = invitation_id,
                identity.id = identity_id,
                staff_id = ?staff_id,
                outcome = ?accepted,
                "invitation accepted"
            );
            Ok(())
        }
        Err(refusal) => {
            tracing::info!(
                invitation.id = invitation_id,
                identity.id = identity_id,
                staff_id = ?staff_id,
                reason = refusal.as_str(),
                "invitation refused"
            );
            // The token is in hands that are not the staff member's.
            if refusal == Refusal::PersonAlreadyBound {
                invitation::revoke(conn, invitation.id, now)?;
            }
            // Another project's identities are not this project's to see.
            let who = who.filter(|_| refusal != Refusal::Foreign);
            invitation::note_refusal(conn, invitation.id, refusal, who, now)
        }
    }
}
