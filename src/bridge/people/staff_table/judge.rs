//! What a row comes to, next to what is stored and what the rows before it have come to.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Row;
use crate::bridge::people::table::{Fault, Taken};
use crate::ids::{AccountId, IdentityId, StaffRowId};
use crate::models::account::{AccountKind, Label};
use crate::models::identity::Identity;
use crate::models::staff::binding::StaffLink;
use crate::models::staff::{Person, Staff};

const ERASED: &str = "This person's data was erased, and a table does not bring them back. They come \
                      back by themselves: when they log in through Queqiao, or when WeChat pushes \
                      something that they have done since.";

/// What a binding names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Identity(IdentityId),
    /// An openid of an official account that has not been seen.
    Unseen(AccountId, String),
    Unionid(String),
}

/// A staff member as they are to be.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// The stored row; none for one who is to be added.
    pub(super) row: Option<StaffRowId>,
    pub(super) name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) tags: BTreeSet<String>,
    /// Whether the table changes anything of them beside the bindings.
    pub(super) is_changed: bool,
    /// Whether it changes their tags.
    pub(super) has_new_tags: bool,
}

/// What is stored of the staff and the people of some rows, as far as the rows so far have changed it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) staff: HashMap<String, Member>,
    pub(super) accounts: HashMap<String, Label>,
    /// Each row's identity, by account and openid.
    pub(super) identities: HashMap<(AccountId, String), Identity>,
    /// Openids whose people were erased.
    pub(super) erased: HashSet<(AccountId, String)>,
    /// Everybody's identities, by unionid.
    persons: HashMap<String, Vec<IdentityId>>,
    /// The staff ids that are bound to each.
    bound: HashMap<Target, BTreeSet<String>>,
}

/// What came of a row that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) taken: Taken,
    /// Whom to bind the staff member to.
    pub(super) bind: Option<Target>,
}

impl Known {
    pub(super) fn add_staff(
        &mut self,
        found: Vec<Staff>,
        mut tags: HashMap<StaffRowId, Vec<String>>,
    ) {
        for staff in found {
            let member = Member {
                row: Some(staff.id),
                name: staff.name,
                phone: staff.phone,
                tags: tags.remove(&staff.id).into_iter().flatten().collect(),
                ..Member::default()
            };
            // A trial knows already what rows before would have changed.
            self.staff.entry(staff.staff_id).or_insert(member);
        }
    }

    pub(super) fn set_persons(&mut self, members: Vec<Identity>) {
        self.persons.clear();
        for member in members {
            if let Some(unionid) = member.unionid {
                self.persons.entry(unionid).or_default().push(member.id);
            }
        }
    }

    pub(super) fn add_bindings(&mut self, links: Vec<StaffLink>) {
        for (staff_id, identity, unionid) in links {
            let identity = identity.map(Target::Identity);
            if let Some(target) = identity.or(unionid.map(Target::Unionid)) {
                self.bound.entry(target).or_default().insert(staff_id);
            }
        }
    }

    /// Decides for a row, and takes it.
    pub(super) fn judge(&mut self, row: &Row) -> Result<Verdict, Fault> {
        let person = match &row.person {
            Some(person) => Some(self.person(person)?),
            None => None,
        };
        let bind = match person {
            Some((target, unionid)) => self.binding(row, target, unionid.as_deref())?,
            None => None,
        };
        // All that can refuse it is behind.
        if let Some(target) = &bind {
            let bound = self.bound.entry(target.clone()).or_default();
            bound.insert(row.staff_id.clone());
        }
        let is_new = !self.staff.contains_key(&row.staff_id);
        let changes = self
            .staff
            .entry(row.staff_id.clone())
            .or_default()
            .take(row);
        let taken = match (is_new, changes || bind.is_some()) {
            (true, _) => Taken::Created,
            (false, true) => Taken::Updated,
            (false, false) => Taken::Unchanged,
        };
        Ok(Verdict { taken, bind })
    }

    /// What a row means by a person, and their unionid.
    fn person(&self, person: &Person) -> Result<(Target, Option<String>), Fault> {
        let (app_id, openid) = match person {
            Person::Unionid { unionid } => {
                return Ok((Target::Unionid(unionid.clone()), Some(unionid.clone())));
            }
            Person::Openid { app_id, openid } => (app_id, openid),
        };
        let account = self.accounts.get(app_id).ok_or_else(|| {
            let detail =
                "The project has no account with this app id: correct it, or add the account.";
            Fault::new("unknown_app_id", "app_id", detail)
        })?;
        let place = (account.id, openid.clone());
        if let Some(identity) = self.identities.get(&place) {
            return Ok((Target::Identity(identity.id), identity.unionid.clone()));
        }
        if self.erased.contains(&place) {
            return Err(Fault::new("erased", "openid", ERASED));
        }
        if account.kind == AccountKind::MiniProgram {
            let detail = "This openid has not logged in through Queqiao yet, and WeChat tells nothing of a \
                          mini-program's openid: bring it in first (POST \
                          /miniprogram/{app_id}/identities), or give the unionid.";
            return Err(Fault::new("unknown_openid", "openid", detail));
        }
        Ok((Target::Unseen(place.0, place.1), None))
    }

    /// The binding to make, if the very same is not there; a person belongs to one staff member.
    fn binding(
        &self,
        row: &Row,
        target: Target,
        unionid: Option<&str>,
    ) -> Result<Option<Target>, Fault> {
        let members = unionid.and_then(|unionid| self.persons.get(unionid));
        let members = members.into_iter().flatten().copied();
        let by_identity = members.map(Target::Identity);
        let by_unionid = unionid.map(|unionid| Target::Unionid(unionid.to_owned()));
        let all: HashSet<Target> = by_identity
            .chain(by_unionid)
            .chain([target.clone()])
            .collect();
        let mut staff = all.iter().filter_map(|one| self.bound.get(one)).flatten();
        if let Some(other) = staff.find(|bound| **bound != row.staff_id) {
            let field = match row.person {
                Some(Person::Unionid { .. }) => "unionid",
                _ => "openid",
            };
            let detail = format!(
                "The person is bound to staff member {other:?}: remove that binding first, or correct the \
                 row."
            );
            return Err(Fault::new("already_bound", field, detail));
        }
        let is_there = self
            .bound
            .get(&target)
            .is_some_and(|bound| !bound.is_empty());
        Ok((!is_there).then_some(target))
    }
}

impl Member {
    /// Takes what a row says of the member; whether that is anything new.
    fn take(&mut self, row: &Row) -> bool {
        let mut changes = false;
        if row.name.is_some() && row.name != self.name {
            self.name.clone_from(&row.name);
            changes = true;
        }
        if row.phone.is_some() && row.phone != self.phone {
            self.phone.clone_from(&row.phone);
            changes = true;
        }
        if let Some(tags) = row.tags.as_ref().filter(|tags| **tags != self.tags) {
            self.tags.clone_from(tags);
            self.has_new_tags = true;
            changes = true;
        }
        self.is_changed |= changes;
        changes
    }
}
