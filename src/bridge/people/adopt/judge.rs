//! What a row comes to, next to what is stored.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Options, Place, Row};
use crate::bridge::people::table::Fault;
use crate::ids::{AccountId, IdentityId, StaffRowId};
use crate::models::credit::{Said, Stated, Word};
use crate::models::identity::{Identity, ProfileState};
use crate::models::staff::binding::StaffLink;

/// What is stored of the people of some rows.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Each row's identity, by openid.
    pub(super) identities: HashMap<String, Identity>,
    /// Everybody's identities, by unionid: row, account and openid.
    persons: HashMap<String, Vec<(IdentityId, AccountId, String)>>,
    by_identity: HashMap<IdentityId, Vec<String>>,
    by_unionid: HashMap<String, Vec<String>>,
    pub(super) staff: HashMap<String, StaffRowId>,
    /// What was stated of consents, the newest of each.
    stated: HashMap<(IdentityId, String), Stated>,
    /// Templates stated to be long-term that WeChat lists as one-time ones.
    pub(super) one_time: HashSet<String>,
}

/// What is to be done for a row.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) identity_id: IdentityId,
    /// A unionid to store.
    pub(super) claim: Option<String>,
    /// A staff member to bind.
    pub(super) bind: Option<String>,
    pub(super) said: Vec<Said>,
    /// What does not count.
    pub(super) note: Option<String>,
}

impl Known {
    pub(super) fn add_persons(&mut self, members: Vec<Identity>) {
        for member in members {
            let Some(unionid) = member.unionid else {
                continue;
            };
            let person = self.persons.entry(unionid).or_default();
            person.push((member.id, member.account_id, member.openid));
        }
    }

    /// Every identity that belongs to somebody of the rows.
    pub(super) fn everybody(&self) -> Vec<IdentityId> {
        let own = self.identities.values().map(|identity| identity.id);
        let others = self.persons.values().flatten().map(|(id, ..)| *id);
        let all: BTreeSet<IdentityId> = own.chain(others).collect();
        all.into_iter().collect()
    }

    pub(super) fn add_bindings(&mut self, links: Vec<StaffLink>) {
        for (staff_id, identity, unionid) in links {
            if let Some(id) = identity {
                let bound = self.by_identity.entry(id).or_default();
                bound.push(staff_id.clone());
            }
            if let Some(unionid) = unionid {
                self.by_unionid.entry(unionid).or_default().push(staff_id);
            }
        }
    }

    /// Statements come oldest first.
    pub(super) fn add_stated(&mut self, stated: Vec<Stated>) {
        for one in stated {
            let key = (one.identity_id, one.template_id.clone());
            self.stated.insert(key, one);
        }
    }

    /// The staff ids of a person.
    fn staff_of(&self, identity: &Identity, unionid: Option<&str>) -> BTreeSet<&str> {
        let person = unionid.and_then(|unionid| self.persons.get(unionid));
        let members = person.into_iter().flatten().map(|(id, ..)| *id);
        let ids = members.chain([identity.id]);
        let by_identity = ids.filter_map(|id| self.by_identity.get(&id));
        let by_unionid = unionid.and_then(|unionid| self.by_unionid.get(unionid));
        by_identity
            .chain(by_unionid)
            .flatten()
            .map(String::as_str)
            .collect()
    }
}

/// Decides for a row. `now` in seconds since 1970.
pub(super) fn judge(
    row: &Row,
    known: &Known,
    place: Place,
    options: Options,
    now: i64,
) -> Result<Plan, Fault> {
    let identity = known.identities.get(&row.openid).ok_or_else(|| {
        let detail = "The openid was removed in this very moment: bring it in again.";
        Fault::new("gone", "openid", detail)
    })?;
    let claim = claim(row, identity, known, place)?;
    let unionid = claim.or(identity.unionid.as_deref());
    let bind = bind(row, &known.staff_of(identity, unionid), claim.is_some())?;
    if let Some(staff_id) = bind
        && !options.create_staff
        && !known.staff.contains_key(staff_id)
    {
        let detail = format!(
            "There is no staff member {staff_id:?}: correct the id, add them (PUT /staff/…), or \
             say create_staff, which adds all that are missing."
        );
        return Err(Fault::new("unknown_staff", "staff_id", detail));
    }
    let mut stay = row.consents.iter().filter(|(_, left)| left.is_none());
    if let Some((template_id, _)) = stay.find(|(id, _)| known.one_time.contains(*id)) {
        let field = format!("consents.{template_id}");
        let detail = format!(
            "{field} is long_term, but WeChat lists this template as a one-time one: give how many \
             permissions are left."
        );
        return Err(Fault::new("invalid_field", &field, detail));
    }
    let (said, note) = consents(row, identity, known, now);
    Ok(Plan {
        identity_id: identity.id,
        claim: claim.map(str::to_owned),
        bind: bind.map(str::to_owned),
        said,
        note,
    })
}

/// The unionid to store, if the row has one that is new.
fn claim<'a>(
    row: &'a Row,
    identity: &Identity,
    known: &Known,
    place: Place,
) -> Result<Option<&'a str>, Fault> {
    let Some(unionid) = row.unionid.as_deref() else {
        return Ok(None);
    };
    if identity.unionid.as_deref() == Some(unionid) {
        return Ok(None);
    }
    if let Some(told) = &identity.unionid
        && identity.profile_state != ProfileState::Unconfirmed
    {
        let detail = format!(
            "WeChat says that the unionid of this openid is {told:?}, and WeChat's word stands: \
             leave the unionid out, or look which person the row is about."
        );
        return Err(Fault::new("unionid_conflict", "unionid", detail));
    }
    let person = known.persons.get(unionid).into_iter().flatten();
    let mut others =
        person.filter(|(id, account, _)| *account == place.account_id && *id != identity.id);
    if let Some((.., openid)) = others.next() {
        let detail = format!(
            "The unionid belongs to openid {openid:?} of this mini-program, and a person has one \
             openid in it: correct the unionid, or leave it out."
        );
        return Err(Fault::new("unionid_conflict", "unionid", detail));
    }
    Ok(Some(unionid))
}

/// The staff member to bind, if the person is not bound to them yet.
fn bind<'a>(row: &'a Row, bound: &BTreeSet<&str>, joins: bool) -> Result<Option<&'a str>, Fault> {
    let refuse = |field: &str, detail| Err(Fault::new("already_bound", field, detail));
    let Some(staff_id) = row.staff_id.as_deref() else {
        if joins && bound.len() > 1 {
            let detail = format!(
                "The unionid would make one person of staff members {}: remove one of the bindings \
                 first, or leave the unionid out.",
                list(bound)
            );
            return refuse("unionid", detail);
        }
        return Ok(None);
    };
    let others: BTreeSet<&str> = bound.iter().copied().filter(|id| *id != staff_id).collect();
    if !others.is_empty() {
        let detail = format!(
            "The person is bound to staff member {}: remove that binding first, or correct the row.",
            list(&others)
        );
        return refuse("staff_id", detail);
    }
    Ok(Some(staff_id).filter(|_| bound.is_empty()))
}

fn list(staff_ids: &BTreeSet<&str>) -> String {
    let quoted: Vec<String> = staff_ids.iter().map(|id| format!("{id:?}")).collect();
    quoted.join(" and ")
}

/// The consents that are new, and a note on those that do not count.
fn consents(
    row: &Row,
    identity: &Identity,
    known: &Known,
    now: i64,
) -> (Vec<Said>, Option<String>) {
    let (mut said, mut void) = (Vec::new(), Vec::new());
    for (template_id, left) in &row.consents {
        let key = (identity.id, template_id.clone());
        let before = known.stated.get(&key);
        let newest = before.and_then(|before| Some((before.stated_time?, before.left())));
        if newest.is_some_and(|(_, stated)| stated == *left)
            || (newest.is_none() && *left == Some(0))
        {
            continue;
        }
        if before.is_some_and(|before| is_void(before, *left)) {
            void.push(template_id.as_str());
            continue;
        }
        said.push(Said {
            account_id: identity.account_id,
            identity_id: identity.id,
            template_id: template_id.clone(),
            word: Word::Stated { left: *left },
            // After the statement before it, so that their order is known.
            time: newest.map_or(now, |(time, _)| now.max(time.saturating_add(1))),
            long_term: left.is_none(),
        });
    }
    let note = (!void.is_empty()).then(|| {
        format!(
            "The consents to {} do not count: the person has refused since, or WeChat has said that \
             none is left. Report what they allow from now on: POST \
             /miniprogram/{{app_id}}/subscriptions.",
            void.join(" and ")
        )
    });
    (said, note)
}

/// Whether what is known ended a consent that has no date of its own. One-time permissions that were
/// given since an earlier statement are new.
fn is_void(before: &Stated, left: Option<u32>) -> bool {
    match left {
        None => before.rejected_time.max(before.ended_time) > before.accepted_time,
        Some(_) => before.stated_time.is_none() && before.ended_time > before.accepted_time,
    }
}
