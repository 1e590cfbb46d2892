//! Some rows at a time, in one transaction: look up, decide, store. The number of statements does not depend
//! on how many rows there are, but on how many accounts they name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::NaiveDateTime;

use super::judge::{Known, Member, Target, Verdict};
use super::{Numbered, Outcome, Row};
use crate::bridge::people::bind::sighting;
use crate::bridge::people::erase;
use crate::bridge::people::table::Fault;
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, DbError, overtaken};
use crate::ids::{AccountId, IdentityId, ProjectId, StaffRowId};
use crate::models::account;
use crate::models::identity::{self, Identity, Sighting};
use crate::models::people;
use crate::models::project;
use crate::models::staff::binding::{self, Binding, Pair};
use crate::models::staff::{self, Details, NewStaff, Person};
use crate::vault::Vault;

/// The openids of rows, by account.
type Openids<'a> = BTreeMap<AccountId, BTreeSet<&'a str>>;

/// Where to store, and when.
#[derive(Clone, Copy)]
struct Place {
    project_id: ProjectId,
    now: NaiveDateTime,
}

/// Takes some rows in.
pub(super) fn take_in(
    conn: &mut Conn,
    vault: &Vault,
    project: ProjectId,
    chunk: &[Numbered],
    now: NaiveDateTime,
) -> Result<Vec<Outcome>, DbError> {
    let place = Place {
        project_id: project,
        now,
    };
    // Project, staff, identities: the order of whoever else binds.
    project::lock(conn, project)?;
    let mut known = Known::default();
    let judged = judge(conn, vault, project, chunk, &mut known)?;
    let staff = store_staff(conn, place, &known.staff)?;
    let wanted = chunk.iter().zip(&judged).filter_map(|(numbered, judged)| {
        let staff_id = numbered.row.as_ref().ok()?.staff_id.as_str();
        Some((staff_id, judged.as_ref().ok()?.bind.as_ref()?))
    });
    bind(conn, place, &staff, &wanted.collect::<Vec<_>>())?;
    Ok(outcomes(chunk, judged))
}

/// Says what would come of some rows, after those of which it is known what would come.
pub(super) fn try_out(
    conn: &mut Conn,
    vault: &Vault,
    project: ProjectId,
    chunk: &[Numbered],
    known: &mut Known,
) -> Result<Vec<Outcome>, DbError> {
    let judged = judge(conn, vault, project, chunk, known)?;
    Ok(outcomes(chunk, judged))
}

fn judge(
    conn: &mut Conn,
    vault: &Vault,
    project: ProjectId,
    chunk: &[Numbered],
    known: &mut Known,
) -> Result<Vec<Result<Verdict, Fault>>, DbError> {
    let rows: Vec<&Row> = chunk
        .iter()
        .filter_map(|numbered| numbered.row.as_ref().ok())
        .collect();
    look_up(conn, vault, project, &rows, known)?;
    let judged = chunk.iter().map(|numbered| match &numbered.row {
        Ok(row) => known.judge(row),
        Err(fault) => Err(fault.clone()),
    });
    Ok(judged.collect())
}

fn outcomes(chunk: &[Numbered], judged: Vec<Result<Verdict, Fault>>) -> Vec<Outcome> {
    let outcomes = chunk.iter().zip(judged).map(|(numbered, judged)| Outcome {
        number: numbered.number,
        staff_id: numbered.staff_id.clone(),
        bound: judged.as_ref().is_ok_and(|verdict| verdict.bind.is_some()),
        result: judged.map(|verdict| verdict.taken),
    });
    outcomes.collect()
}

/// Adds to what is known all that a decision about any of the rows needs, locked where it must not change
/// meanwhile.
fn look_up(
    conn: &mut Conn,
    vault: &Vault,
    project: ProjectId,
    rows: &[&Row],
    known: &mut Known,
) -> Result<(), DbError> {
    let staff_ids: BTreeSet<&str> = rows.iter().map(|row| row.staff_id.as_str()).collect();
    let staff_ids: Vec<&str> = staff_ids.into_iter().collect();
    let found = staff::hold_many(conn, project, &staff_ids)?;
    let ids: Vec<StaffRowId> = found.iter().map(|staff| staff.id).collect();
    let tags = staff::tags_of(conn, &ids)?;
    known.add_staff(found, tags);
    for label in account::labels(conn, project)? {
        known.accounts.insert(label.app_id.clone(), label);
    }
    let openids = openids(known, rows);
    // Of these rows alone: what a trial knows of rows before stays as it is.
    let here = held(conn, project, &openids)?;
    let told: Vec<String> = here.iter().filter_map(|one| one.unionid.clone()).collect();
    let own: Vec<IdentityId> = here.iter().map(|one| one.id).collect();
    for identity in here {
        let key = (identity.account_id, identity.openid.clone());
        known.identities.insert(key, identity);
    }
    for (account, openids) in &openids {
        let unseen: Vec<String> = openids
            .iter()
            .map(|openid| (*openid).to_owned())
            .filter(|openid| !known.identities.contains_key(&(*account, openid.clone())))
            .collect();
        if !unseen.is_empty() {
            let erased = erase::gone(conn, vault, *account, &unseen)?;
            let erased = erased.into_iter().map(|openid| (*account, openid));
            known.erased.extend(erased);
        }
    }
    let given = rows.iter().filter_map(|row| match &row.person {
        Some(Person::Unionid { unionid }) => Some(unionid.clone()),
        _ => None,
    });
    let unionids: HashSet<String> = told.into_iter().chain(given).collect();
    let unionids: Vec<String> = unionids.into_iter().collect();
    let members = people::with_unionids(conn, project, &unionids)?;
    let everybody = own.into_iter().chain(members.iter().map(|one| one.id));
    let everybody: BTreeSet<IdentityId> = everybody.collect();
    let everybody: Vec<IdentityId> = everybody.into_iter().collect();
    known.set_persons(members);
    let bound = binding::staff_of_people(conn, project, &everybody, &unionids)?;
    known.add_bindings(bound);
    Ok(())
}

fn openids<'a>(known: &Known, rows: &[&'a Row]) -> Openids<'a> {
    let mut openids = Openids::new();
    for row in rows {
        if let Some(Person::Openid { app_id, openid }) = &row.person
            && let Some(account) = known.accounts.get(app_id)
        {
            openids.entry(account.id).or_default().insert(openid);
        }
    }
    openids
}

/// The identities of these openids that there are, which nobody changes meanwhile.
fn held(
    conn: &mut Conn,
    project: ProjectId,
    openids: &Openids<'_>,
) -> Result<Vec<Identity>, DbError> {
    let found = find(conn, openids)?;
    if found.is_empty() {
        return Ok(found);
    }
    let ids: Vec<IdentityId> = found.iter().map(|identity| identity.id).collect();
    identity::hold(conn, ids.iter().copied())?;
    // They were read before: who they are may have been learnt since.
    identity::by_ids(conn, project, &ids)
}

fn find(conn: &mut Conn, openids: &Openids<'_>) -> Result<Vec<Identity>, DbError> {
    let mut found = Vec::new();
    for (account, openids) in openids {
        let openids: Vec<&str> = openids.iter().copied().collect();
        found.extend(identity::by_openids(conn, *account, &openids)?);
    }
    Ok(found)
}

/// Adds and changes staff members. Returns the row of each, by staff id.
fn store_staff(
    conn: &mut Conn,
    place: Place,
    staff: &HashMap<String, Member>,
) -> Result<HashMap<String, StaffRowId>, DbError> {
    let mut sorted: Vec<(&str, &Member)> =
        staff.iter().map(|(id, one)| (id.as_str(), one)).collect();
    sorted.sort_unstable_by_key(|(staff_id, _)| *staff_id);
    let added: Vec<NewStaff<'_>> = sorted
        .iter()
        .filter(|(_, member)| member.row.is_none())
        .map(|(staff_id, member)| NewStaff {
            project_id: place.project_id,
            staff_id,
            name: member.name.as_deref(),
            phone: member.phone.as_deref(),
            now: place.now,
        })
        .collect();
    if staff::insert_many(conn, &added)? != added.len() {
        // Somebody has put one of them in this very moment: what is stored of them counts.
        return Err(overtaken());
    }
    let new: Vec<&str> = added.iter().map(|one| one.staff_id).collect();
    let mut rows: HashMap<String, StaffRowId> = sorted
        .iter()
        .filter_map(|(staff_id, member)| Some(((*staff_id).to_owned(), member.row?)))
        .collect();
    if !new.is_empty() {
        rows.extend(staff::rows_of(conn, place.project_id, &new)?);
    }
    let changed = sorted.iter().filter(|(_, member)| member.is_changed);
    let details: Vec<Details<'_>> = changed
        .filter_map(|(_, member)| {
            Some(Details {
                id: member.row?,
                name: member.name.as_deref(),
                phone: member.phone.as_deref(),
                now: place.now,
            })
        })
        .collect();
    staff::change_many(conn, &details)?;
    let tagged: Vec<(StaffRowId, &BTreeSet<String>)> = sorted
        .iter()
        .filter(|(_, member)| member.has_new_tags)
        .filter_map(|(staff_id, member)| Some((*rows.get(*staff_id)?, &member.tags)))
        .collect();
    if !tagged.is_empty() {
        staff::set_tags_of_many(conn, place.project_id, &tagged)?;
    }
    Ok(rows)
}

/// Makes the bindings, and tells endpoints of them.
fn bind(
    conn: &mut Conn,
    place: Place,
    staff: &HashMap<String, StaffRowId>,
    wanted: &[(&str, &Target)],
) -> Result<(), DbError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let seen = record_unseen(conn, place, wanted)?;
    let mut pairs = Vec::with_capacity(wanted.len());
    let mut staff_ids: HashMap<(Option<IdentityId>, Option<String>), &str> = HashMap::new();
    for (staff_id, target) in wanted {
        let (identity_id, unionid) = match target {
            Target::Identity(id) => (Some(*id), None),
            Target::Unionid(unionid) => (None, Some(unionid.clone())),
            Target::Unseen(account, openid) => {
                let id = seen.get(&(*account, openid.as_str())).copied();
                (Some(id.ok_or_else(overtaken)?), None)
            }
        };
        staff_ids.insert((identity_id, unionid.clone()), staff_id);
        pairs.push(Pair {
            project_id: place.project_id,
            staff_row_id: *staff.get(*staff_id).ok_or_else(overtaken)?,
            identity_id,
            unionid,
            now: place.now,
        });
    }
    let made = binding::create_many(conn, &pairs)?;
    if made.len() != pairs.len() {
        return Err(overtaken());
    }
    let told: Vec<(&str, &Binding)> = made
        .iter()
        .filter_map(|binding| {
            let key = (binding.identity_id, binding.unionid.clone());
            Some((*staff_ids.get(&key)?, binding))
        })
        .collect();
    outbox::bound_many(conn, place.project_id, &told, place.now)?;
    Ok(())
}

/// Stores openids that were not known, as binding one by one does: their profiles are asked for. Returns
/// the identity of each.
fn record_unseen<'a>(
    conn: &mut Conn,
    place: Place,
    wanted: &[(&str, &'a Target)],
) -> Result<HashMap<(AccountId, &'a str), IdentityId>, DbError> {
    let mut openids = Openids::new();
    for (_, target) in wanted {
        if let Target::Unseen(account, openid) = target {
            openids.entry(*account).or_default().insert(openid);
        }
    }
    let sightings: Vec<Sighting> = openids
        .iter()
        .flat_map(|(account, openids)| {
            openids
                .iter()
                .map(|openid| sighting(place.project_id, *account, (*openid).to_owned(), place.now))
        })
        .collect();
    identity::record_sightings(conn, &sightings)?;
    let mut seen = HashMap::new();
    for found in find(conn, &openids)? {
        if found.unionid.is_some() {
            // Somebody else has stored it meanwhile, and knows more of the person than was judged by.
            return Err(overtaken());
        }
        let openids = openids.get(&found.account_id);
        if let Some(openid) = openids.and_then(|openids| openids.get(found.openid.as_str())) {
            seen.insert((found.account_id, *openid), found.id);
        }
    }
    Ok(seen)
}
