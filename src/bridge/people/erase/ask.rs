//! Asking for an erasure: whom it concerns, remembered before anything goes.

use std::collections::HashSet;

use chrono::NaiveDateTime;

use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::actor::Actor;
use crate::models::audit::{self, Action, NewEntry};
use crate::models::erasure::{self, Cause, Erasure, Hashed, Openid, Subject};
use crate::models::identity;
use crate::models::people;
use crate::vault::Vault;

/// Rounds in which a person's identities and unionids lead to each other: each unionid that changed
/// and each account migration needs one more.
const ROUNDS: usize = 16;

/// An erasure that is asked for.
pub(in crate::bridge) struct Asked<'a> {
    pub(in crate::bridge) project_id: ProjectId,
    pub(in crate::bridge) cause: Cause,
    pub(in crate::bridge) by: &'a Actor,
    /// The identity that was named.
    pub(in crate::bridge) identity_id: Option<IdentityId>,
    /// The account that told of it.
    pub(in crate::bridge) app_id: Option<&'a str>,
    /// When it was asked for, seconds since 1970: what comes from before it does not count.
    pub(in crate::bridge) erased_time: i64,
}

/// Somebody by what is known of them so far.
pub(in crate::bridge) fn subject_of(
    account: AccountId,
    openid: Option<String>,
    unionid: Option<String>,
) -> Subject {
    Subject {
        unionids: unionid.into_iter().collect(),
        openids: openid
            .map(|openid| Openid {
                account_id: account,
                openid,
                identity_id: None,
            })
            .into_iter()
            .collect(),
    }
}

/// The whole person: all identities that the ids lead to, and what these lead to.
pub(super) fn resolve(
    conn: &mut Conn,
    project: ProjectId,
    mut subject: Subject,
) -> QueryResult<Subject> {
    for _ in 0..ROUNDS {
        let mut found = people::with_unionids(conn, project, &subject.unionids)?;
        for one in &subject.openids {
            let by_openid = identity::by_openid(conn, one.account_id, &one.openid)?;
            found.extend(by_openid.filter(|identity| identity.project_id == project));
        }
        let kin = erasure::kin(conn, project, &subject.identity_ids(), &subject.unionids)?;
        found.extend(identity::by_ids(conn, project, &kin)?);
        let before = subject.clone();
        for identity in found {
            let unionid = identity
                .unionid
                .filter(|one| !subject.unionids.contains(one));
            subject.unionids.extend(unionid);
            let mut openids = subject.openids.iter_mut();
            let known = openids
                .find(|one| one.account_id == identity.account_id && one.openid == identity.openid);
            match known {
                Some(known) => known.identity_id = Some(identity.id),
                None => subject.openids.push(Openid {
                    account_id: identity.account_id,
                    openid: identity.openid,
                    identity_id: Some(identity.id),
                }),
            }
        }
        for former in erasure::former_unionids(conn, &subject.identity_ids())? {
            if !subject.unionids.contains(&former) {
                subject.unionids.push(former);
            }
        }
        if subject == before {
            break;
        }
    }
    Ok(subject)
}

/// Stores the wish and the audit entry, and remembers the openids. Nothing is erased yet: that is
/// for a transaction that begins when this one can be seen by all.
pub(in crate::bridge) fn ask(
    conn: &mut Conn,
    vault: &Vault,
    asked: &Asked<'_>,
    seed: Subject,
    now: NaiveDateTime,
) -> QueryResult<Erasure> {
    let subject = resolve(conn, asked.project_id, seed)?;
    let (project, by) = (asked.project_id, asked.by);
    let erasure = erasure::create(conn, project, asked.cause, by.kind(), &subject, now)?;
    // WeChat's clock may be ahead of ours: what is known to have happened is from before.
    let newest = erasure::newest_act(conn, &subject)?;
    let erased_time = asked.erased_time.max(newest);
    for one in &subject.openids {
        let (openid, identity) = (hashed(vault, one.account_id, &one.openid), one.identity_id);
        erasure::remember(conn, erasure.id, &openid, identity, erased_time)?;
    }
    let first = subject.identity_ids().into_iter().next();
    let identity_id = asked.identity_id.or(first);
    let entry = NewEntry {
        app_id: asked.app_id,
        identity_id,
        erasure_id: Some(erasure.id),
        ..NewEntry::new(project, by, Action::PersonErased, now)
    };
    audit::add(conn, &entry)?;
    tracing::info!(
        audit.action = Action::PersonErased.as_str(),
        audit.actor = %by.kind(),
        audit.key_id = by.key_number(),
        audit.key_name = by.key_name(),
        audit.user_id = by.user_number(),
        audit.user_name = by.user_name(),
        erasure.id = %erasure.id,
        erasure.cause = %asked.cause,
        identity.id = identity_id.map(|id| id.0),
        account.app_id = asked.app_id,
        "audited"
    );
    Ok(erasure)
}

/// An openid as it is remembered.
pub(in crate::bridge) fn hashed<'a>(
    vault: &Vault,
    account: AccountId,
    openid: &'a str,
) -> Hashed<'a> {
    Hashed {
        account_id: account,
        openid,
        hash: vault.fingerprint(&format!("openids/{account}"), openid),
    }
}

/// Whether this openid was erased before and is nobody's now; then it counts as erased at that time.
pub(in crate::bridge) fn is_remembered(
    conn: &mut Conn,
    openid: &Hashed<'_>,
    erased_time: i64,
) -> QueryResult<bool> {
    let found = erasure::remembered(conn, std::slice::from_ref(openid))?;
    let identity = identity::by_openid(conn, openid.account_id, openid.openid)?;
    if found.is_empty() || identity.is_some() {
        return Ok(false);
    }
    erasure::confirm(conn, openid, erased_time)?;
    Ok(true)
}

/// Those of a follower list who were erased and have not come back by themselves: a list does not
/// bring them back.
pub(in crate::bridge) fn gone(
    conn: &mut Conn,
    vault: &Vault,
    account: AccountId,
    openids: &[String],
) -> QueryResult<HashSet<String>> {
    if !erasure::any_remembered(conn)? {
        return Ok(HashSet::new());
    }
    let openids: Vec<Hashed<'_>> = openids
        .iter()
        .map(|openid| hashed(vault, account, openid))
        .collect();
    let found = erasure::remembered(conn, &openids)?.into_iter();
    Ok(found
        .filter(|remembered| !remembered.is_back())
        .map(|remembered| remembered.openid)
        .collect())
}
