//! The people whom a request was found to be for, and those who were never seen before.

use std::collections::HashSet;

use crate::bridge::people::bind::sighting;
use crate::bridge::planning::decide::{Known, Reach, RecipientKey, rows_of};
use crate::bridge::planning::senders::KnownAccounts;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId};
use crate::models::account::AccountKind;
use crate::models::identity::{self, FollowState, ProfileState, Sighting};
use crate::models::notification::Notification;
use crate::models::staff::{Person, PersonRow, ReachRow};

/// The people whom a request was found to be for, so that nobody is notified twice.
#[derive(Debug, Default)]
pub(super) struct Deduplicator {
    unionids: HashSet<String>,
    identities: HashSet<IdentityId>,
    imagined: i64,
}

impl Deduplicator {
    /// Whether this is somebody else than all before. Staff are told apart by their ids.
    pub(super) fn is_new<'a>(&mut self, whom: RecipientKey<'a>, known: &Known<'a>) -> bool {
        if let RecipientKey::Staff(_) = whom {
            return true;
        }
        let rows = rows_of(known, whom);
        let unionid = rows.iter().find_map(|row| row.unionid.as_ref());
        match (unionid, rows.iter().find_map(|row| row.identity_id)) {
            (Some(unionid), _) => self.unionids.insert(unionid.clone()),
            (None, Some(identity)) => self.identities.insert(identity),
            (None, None) => true,
        }
    }

    /// Stores the openids of official accounts that have not been seen, as a binding does: their
    /// profiles will tell whether they are any. Only a login can say that of a mini-program's.
    pub(super) fn record_unseen(
        conn: &mut Conn,
        notification: &Notification,
        accounts: &KnownAccounts,
        whom: &[RecipientKey<'_>],
        reach: &mut Reach,
    ) -> QueryResult<()> {
        let (project, now) = (notification.project_id, notification.created_at);
        let unseen = unseen(accounts, whom, reach);
        if unseen.is_empty() {
            return Ok(());
        }
        let sightings = unseen
            .iter()
            .map(|one| sighting(project, one.account, one.openid.clone(), now));
        let mut sightings: Vec<Sighting> = sightings.collect();
        sightings.sort_by(|a, b| (a.account_id, &a.openid).cmp(&(b.account_id, &b.openid)));
        identity::record_sightings(conn, &sightings)?;
        let whom = unseen.iter().map(|one| one.whom);
        reach.add(Reach::of(conn, project, whom)?);
        Ok(())
    }

    /// What [`record_unseen`](Self::record_unseen) would lead to, without storing anything.
    pub(super) fn imagine(
        &mut self,
        accounts: &KnownAccounts,
        whom: &[RecipientKey<'_>],
        reach: &mut Reach,
    ) {
        let mut rows = Vec::new();
        for one in unseen(accounts, whom, reach) {
            let Some(recipient) = one.whom.recipient() else {
                continue;
            };
            self.imagined += 1;
            let row = |reach| PersonRow {
                recipient: recipient.to_owned(),
                reach,
            };
            // As those who are stored: one without identity, through which a route goes that needs
            // none, then one for the identity.
            rows.push(row(nobody()));
            rows.push(row(ReachRow {
                // No identity has this id: nobody else is the same person, and nobody has allowed
                // anything.
                identity_id: Some(IdentityId(-self.imagined)),
                account_id: Some(one.account),
                openid: Some(one.openid),
                follow_state: Some(FollowState::Unknown),
                followed_time: Some(0),
                profile_state: Some(ProfileState::Pending),
                ..nobody()
            }));
        }
        reach.add_people(rows);
    }
}

/// Somebody who is no staff member, without an identity.
fn nobody() -> ReachRow {
    ReachRow {
        staff_id: String::new(),
        name: None,
        bound: true,
        identity_id: None,
        account_id: None,
        openid: None,
        unionid: None,
        follow_state: None,
        followed_time: None,
        profile_state: None,
    }
}

/// An openid of an official account that has not been seen.
struct Unseen<'a> {
    whom: RecipientKey<'a>,
    account: AccountId,
    openid: String,
}

fn unseen<'a>(
    accounts: &KnownAccounts,
    whom: &[RecipientKey<'a>],
    reach: &Reach,
) -> Vec<Unseen<'a>> {
    let known = reach.known();
    let unseen = whom.iter().filter_map(|whom| {
        let recipient = whom.recipient().filter(|_| !known.contains_key(whom))?;
        let Ok(Person::Openid { app_id, openid }) = serde_json::from_str(recipient) else {
            return None;
        };
        let (account, kind) = accounts.get(&app_id)?;
        (*kind == AccountKind::OfficialAccount).then_some(Unseen {
            whom: *whom,
            account: *account,
            openid,
        })
    });
    unseen.collect()
}
