//! Invitations in events: a QR code that was scanned by who follows now, or by a follower.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime};

use super::redeem::{Place, note, redeem};
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::Scope;
use crate::models::event::Waiting;
use crate::models::staff::invitation::{self, Refusal};
use crate::models::staff::invitation_token::{self, Hash};
use crate::models::{account, identity};
use crate::wechat::message::{Content, FollowOrigin, Push};

/// A token that came with an event.
#[derive(Debug)]
pub(crate) struct Presented {
    project_id: ProjectId,
    account_id: AccountId,
    openid: String,
    hash: Hash,
    time: i64,
}

impl Presented {
    /// The token that an event carries, if it does. Nearly none does, and this is all they cost.
    pub(crate) fn by(event: &Waiting, scope: Scope, push: &Push) -> Option<Self> {
        let scene = match &push.content {
            Content::Subscribe {
                origin: FollowOrigin::QrScene { scene },
                ..
            }
            | Content::Scan { scene, .. } => scene,
            _ => return None,
        };
        Some(Self {
            project_id: scope.project_id,
            account_id: event.account_id,
            openid: event.openid.clone()?,
            hash: invitation_token::presented(scene)?,
            time: event.create_time,
        })
    }
}

/// The projects that these tokens were presented to. Whoever redeems them locks those before any
/// identity, in the order of whoever else binds.
pub(crate) fn projects(presented: &[Presented]) -> impl Iterator<Item = ProjectId> {
    presented.iter().map(|one| one.project_id)
}

/// Redeems the tokens of a batch of events, in the order of the events.
pub(crate) fn redeem_presented(
    conn: &mut Conn,
    presented: &[Presented],
    ids: &HashMap<(AccountId, &str), IdentityId>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    if presented.is_empty() {
        return Ok(());
    }
    let hashes: Vec<&[u8]> = presented.iter().map(|one| one.hash.as_slice()).collect();
    let mut known: HashMap<Vec<u8>, _> = invitation::by_hashes(conn, &hashes)?
        .into_iter()
        .map(|(hash, found, staff_id)| (hash, (found, staff_id)))
        .collect();
    for one in presented {
        let id = ids.get(&(one.account_id, one.openid.as_str())).copied();
        let Some((found, staff_id)) = known.get_mut(one.hash.as_slice()) else {
            tracing::info!(
                account.app_id = account::app_ids(conn)?.get(&one.account_id),
                identity.id = id.map(|id| id.0),
                reason = "unknown",
                "invitation refused"
            );
            continue;
        };
        let Some(identity) = (match id {
            Some(id) => identity::by_id(conn, one.project_id, id)?,
            None => None,
        }) else {
            continue;
        };
        let place = Place {
            project_id: one.project_id,
            account_id: one.account_id,
            at: DateTime::from_timestamp(one.time, 0).map_or(now, |time| time.naive_utc()),
        };
        let outcome = redeem(conn, found, staff_id, place, &identity, now)?;
        note(conn, found, staff_id, outcome, Some(&identity), now)?;
        // The next event of the batch may present it again.
        if outcome == Err(Refusal::PersonAlreadyBound) {
            found.revoked_at = Some(now);
        } else if outcome.is_ok() && found.used_at.is_none() {
            (found.used_at, found.used_by) = (Some(now), Some(identity.id));
        }
    }
    Ok(())
}
