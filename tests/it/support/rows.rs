//! Rows of people and staff, written by the models, where no request is to make them.

use chrono::NaiveDateTime;
use queqiao::db::{Conn, QueryResult};
use queqiao::ids::{AccountId, IdentityId, ProjectId};
use queqiao::models::identity::{ProfileState, Sighting};
use queqiao::models::staff;
use queqiao::models::staff::binding::{self, NewBinding};

/// Somebody who was seen in an account, of whom nothing more is known.
pub(crate) fn sighting(
    project: ProjectId,
    account: AccountId,
    openid: &str,
    now: NaiveDateTime,
) -> Sighting {
    Sighting {
        project_id: project,
        account_id: account,
        openid: openid.to_owned(),
        followed_time: 0,
        unfollowed_time: 0,
        qr_scene: None,
        profile_state: ProfileState::Pending,
        profile_due_at: Some(now),
        now,
    }
}

/// A staff member, who may be there already, bound to an identity.
pub(crate) fn bind(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    identity: IdentityId,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let (member, _) = staff::put(conn, project, staff_id, None, None, now)?;
    let new = NewBinding {
        project_id: project,
        staff_row_id: member.id,
        identity_id: Some(identity),
        unionid: None,
        created_at: now,
    };
    binding::create(conn, &new)?.unwrap();
    Ok(())
}
