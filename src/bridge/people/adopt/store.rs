//! Some rows at a time, in one transaction: look up, decide, store.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDateTime;

use super::judge::{Known, Plan, judge};
use super::{AdoptError, Numbered, Options, Outcome, Place, Row};
use crate::bridge::people::erase;
use crate::bridge::people::table::{Fault, Taken};
use crate::bridge::webhooks::outbox::{self, People};
use crate::db::{Conn, QueryResult};
use crate::ids::{IdentityId, StaffRowId};
use crate::models::account::template;
use crate::models::credit::{self, CreditKey, Said};
use crate::models::identity::{self, Adopted, Claim};
use crate::models::people;
use crate::models::project;
use crate::models::staff;
use crate::models::staff::binding::{self, Binding, Pair};
use crate::vault::Vault;

const ERASED: &str = "This person's data was erased, and a table does not bring them back. They come \
                      back by themselves: when they log in through Queqiao, or when WeChat pushes \
                      something that they have done since.";

/// Takes some rows in, each openid of which stands there once.
pub(super) fn take_in(
    conn: &mut Conn,
    vault: &Vault,
    place: Place,
    chunk: &[Numbered],
    options: Options,
    now: NaiveDateTime,
) -> Result<Vec<Outcome>, AdoptError> {
    let mut rows: Vec<&Row> = chunk
        .iter()
        .filter_map(|numbered| numbered.row.as_ref().ok())
        .collect();
    rows.sort_unstable_by(|a, b| a.openid.cmp(&b.openid));
    // Before any identity is locked, in the order of whoever else binds.
    project::lock(conn, place.project_id)?;
    let openids: Vec<String> = rows.iter().map(|row| row.openid.clone()).collect();
    let erased = erase::gone(conn, vault, place.account_id, &openids)?;
    rows.retain(|row| !erased.contains(&row.openid));
    let created = adopt(conn, place, &rows, now)?;
    let known = look_up(conn, place, &rows)?;
    let seconds = now.and_utc().timestamp();
    let mut judged: HashMap<&str, Result<Plan, Fault>> = rows
        .iter()
        .map(|row| {
            let judged = judge(row, &known, place, options, seconds);
            (row.openid.as_str(), judged)
        })
        .collect();
    let plans: Vec<&Plan> = rows
        .iter()
        .filter_map(|row| judged.get(row.openid.as_str())?.as_ref().ok())
        .collect();
    let refused = rows.iter().filter_map(|row| {
        let is_refused = judged.get(row.openid.as_str())?.is_err();
        let identity = known.identities.get(&row.openid)?;
        (is_refused && created.contains(&identity.id)).then_some(identity.id)
    });
    identity::take_back(conn, &refused.collect::<Vec<_>>())?;
    store(conn, place, &known, &plans, now)?;
    let refused = erased
        .iter()
        .map(|openid| (openid.as_str(), Err(Fault::new("erased", "openid", ERASED))));
    judged.extend(refused);
    Ok(outcomes(chunk, judged, &created, options))
}

/// Stores the openids that are not known; which those are.
fn adopt(
    conn: &mut Conn,
    place: Place,
    rows: &[&Row],
    now: NaiveDateTime,
) -> QueryResult<HashSet<IdentityId>> {
    let adopted: Vec<Adopted<'_>> = rows
        .iter()
        .map(|row| Adopted {
            project_id: place.project_id,
            account_id: place.account_id,
            openid: &row.openid,
            now,
        })
        .collect();
    let created = identity::adopt(conn, &adopted)?;
    Ok(created.into_iter().map(|found| found.id).collect())
}

/// All that a decision about any of the rows needs.
fn look_up(conn: &mut Conn, place: Place, rows: &[&Row]) -> QueryResult<Known> {
    let project = place.project_id;
    let openids: Vec<&str> = rows.iter().map(|row| row.openid.as_str()).collect();
    let mut known = Known::default();
    for identity in identity::by_openids(conn, place.account_id, &openids)? {
        known.identities.insert(identity.openid.clone(), identity);
    }
    let told = known.identities.values();
    let told = told.filter_map(|identity| identity.unionid.clone());
    let given = rows.iter().filter_map(|row| row.unionid.clone());
    let unionids: HashSet<String> = told.chain(given).collect();
    let unionids: Vec<String> = unionids.into_iter().collect();
    known.add_persons(people::with_unionids(conn, project, &unionids)?);
    let everybody = known.everybody();
    known.add_bindings(binding::staff_of_people(
        conn, project, &everybody, &unionids,
    )?);
    let staff_ids: HashSet<&str> = rows
        .iter()
        .filter_map(|row| row.staff_id.as_deref())
        .collect();
    let staff_ids: Vec<&str> = staff_ids.into_iter().collect();
    known.staff = staff::rows_of(conn, project, &staff_ids)?
        .into_iter()
        .collect();
    let wanted: Vec<CreditKey<'_>> = rows
        .iter()
        .filter_map(|row| Some((row, known.identities.get(&row.openid)?.id)))
        .flat_map(|(row, identity_id)| {
            row.consents.keys().map(move |template_id| CreditKey {
                identity_id,
                template_id,
            })
        })
        .collect();
    let long_term = rows.iter().flat_map(|row| &row.consents);
    let long_term = long_term.filter(|(_, left)| left.is_none());
    let long_term: HashSet<&str> = long_term.map(|(id, _)| id.as_str()).collect();
    let long_term: Vec<&str> = long_term.into_iter().collect();
    known.one_time = template::one_time(conn, place.account_id, &long_term)?
        .into_iter()
        .collect();
    let stated = credit::stated(conn, &wanted)?;
    known.add_stated(stated);
    Ok(known)
}

fn store(
    conn: &mut Conn,
    place: Place,
    known: &Known,
    plans: &[&Plan],
    now: NaiveDateTime,
) -> QueryResult<()> {
    let mut claims: Vec<Claim<'_>> = plans
        .iter()
        .filter_map(|plan| {
            Some(Claim {
                id: plan.identity_id,
                unionid: plan.claim.as_deref()?,
                now,
            })
        })
        .collect();
    claims.sort_unstable_by_key(|claim| claim.id);
    let claimed: Vec<IdentityId> = claims.iter().map(|claim| claim.id).collect();
    if !claims.is_empty() {
        let people = People::before(conn, &claimed)?;
        identity::claim(conn, &claims)?;
        people.after(conn, &claimed, now)?;
    }
    bind(conn, place, known, plans, now)?;
    let said: Vec<Said> = plans.iter().flat_map(|plan| plan.said.clone()).collect();
    credit::record(conn, &said, now).map(drop)
}

/// Adds the staff members that are missing, and binds.
fn bind(
    conn: &mut Conn,
    place: Place,
    known: &Known,
    plans: &[&Plan],
    now: NaiveDateTime,
) -> QueryResult<()> {
    let wanted: BTreeMap<IdentityId, &str> = plans
        .iter()
        .filter_map(|plan| Some((plan.identity_id, plan.bind.as_deref()?)))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let project = place.project_id;
    let mut rows: HashMap<String, StaffRowId> = known.staff.clone();
    let mut missing: Vec<&str> = wanted
        .values()
        .copied()
        .filter(|staff_id| !rows.contains_key(*staff_id))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        staff::add_many(conn, project, &missing, now)?;
        rows.extend(staff::rows_of(conn, project, &missing)?);
    }
    let pairs: Vec<Pair> = wanted
        .iter()
        .filter_map(|(identity_id, staff_id)| {
            Some(Pair {
                project_id: project,
                staff_row_id: *rows.get(*staff_id)?,
                identity_id: Some(*identity_id),
                unionid: None,
                now,
            })
        })
        .collect();
    let made = binding::create_many(conn, &pairs)?;
    let told: Vec<(&str, &Binding)> = made
        .iter()
        .filter_map(|binding| Some((*wanted.get(&binding.identity_id?)?, binding)))
        .collect();
    outbox::bound_many(conn, project, &told, now)?;
    Ok(())
}

fn outcomes(
    chunk: &[Numbered],
    mut judged: HashMap<&str, Result<Plan, Fault>>,
    created: &HashSet<IdentityId>,
    options: Options,
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(chunk.len());
    for numbered in chunk {
        let plan = match &numbered.row {
            Err(fault) => Err(fault.clone()),
            Ok(row) => judged
                .remove(row.openid.as_str())
                .unwrap_or_else(|| Err(Fault::new("gone", "openid", "The row was lost."))),
        };
        outcomes.push(outcome(numbered, plan, created, options));
    }
    outcomes
}

fn outcome(
    numbered: &Numbered,
    plan: Result<Plan, Fault>,
    created: &HashSet<IdentityId>,
    options: Options,
) -> Outcome {
    let (identity_id, note, result) = match plan {
        Err(fault) => (None, None, Err(fault)),
        Ok(plan) => {
            let is_new = created.contains(&plan.identity_id);
            let says_more = plan.claim.is_some() || plan.bind.is_some() || !plan.said.is_empty();
            let taken = match (is_new, says_more) {
                (true, _) => Taken::Created,
                (false, true) => Taken::Updated,
                (false, false) => Taken::Unchanged,
            };
            let is_there = !(is_new && options.dry_run);
            (is_there.then_some(plan.identity_id), plan.note, Ok(taken))
        }
    };
    Outcome {
        number: numbered.number,
        openid: numbered.openid.clone(),
        identity_id,
        result,
        note,
    }
}
