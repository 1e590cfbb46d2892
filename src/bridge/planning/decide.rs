//! From those whom messages are for to what is decided for each: which route, to which identity,
//! or why none.

use std::collections::HashMap;

use chrono::NaiveDateTime;

use super::planner::{Considered, Credits, Plan, Sender, credit_keys, plan, window_identities};
use super::prepared::Prepared;
use crate::bridge::limits::FieldError;
use crate::bridge::routes::Recipient;
use crate::db::{Conn, QueryResult};
use crate::ids::{IdentityId, ProjectId};
use crate::models::credit::{self, CreditKey};
use crate::models::delivery::Reason;
use crate::models::identity::windows::{self, Rules};
use crate::models::staff::{self, Person, PersonRow, ReachRow};

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::bridge) enum RecipientKey<'a> {
    /// A staff member by their id.
    Staff(&'a str),
    /// Somebody named otherwise: a [`Person`] as JSON.
    Person(&'a str),
}

impl<'a> RecipientKey<'a> {
    /// Of a delivery's `staff_id` and `recipient`, of which one is there at least.
    pub(in crate::bridge) fn of(staff_id: Option<&'a str>, recipient: Option<&'a str>) -> Self {
        match recipient {
            Some(recipient) => Self::Person(recipient),
            None => Self::Staff(staff_id.unwrap_or_default()),
        }
    }

    /// As the delivery's `recipient` has it.
    pub(in crate::bridge) fn recipient(self) -> Option<&'a str> {
        match self {
            Self::Staff(_) => None,
            Self::Person(recipient) => Some(recipient),
        }
    }
}

/// What was read of those whom messages are for.
#[derive(Debug)]
pub(in crate::bridge) struct Reach {
    staff: Vec<ReachRow>,
    people: Vec<PersonRow>,
}

impl Reach {
    /// Reads it with one query for each kind; nobody may be named twice.
    pub(in crate::bridge) fn of<'a>(
        conn: &mut Conn,
        project: ProjectId,
        whom: impl IntoIterator<Item = RecipientKey<'a>>,
    ) -> QueryResult<Self> {
        let (mut staff_ids, mut people) = (Vec::new(), Vec::new());
        for whom in whom {
            match whom {
                RecipientKey::Staff(staff_id) => staff_ids.push(staff_id),
                RecipientKey::Person(recipient) => people.push(recipient),
            }
        }
        Ok(Self {
            staff: staff::reach(conn, project, &staff_ids)?,
            people: staff::reach_people(conn, project, &people)?,
        })
    }

    /// Adds what was read later, of others.
    pub(in crate::bridge) fn add(&mut self, more: Self) {
        self.staff.extend(more.staff);
        self.people.extend(more.people);
    }

    /// Adds people of whom it is known by other means how they can be reached.
    pub(in crate::bridge) fn add_people(&mut self, rows: Vec<PersonRow>) {
        self.people.extend(rows);
    }

    pub(in crate::bridge) fn known(&self) -> Known<'_> {
        let mut known = by_staff_id(&self.staff);
        for row in &self.people {
            let whom = RecipientKey::Person(&row.recipient);
            known.entry(whom).or_default().push(&row.reach);
        }
        known
    }
}

/// What is known of each one.
pub(in crate::bridge) type Known<'a> = HashMap<RecipientKey<'a>, Vec<&'a ReachRow>>;

pub(in crate::bridge) fn by_staff_id(reach: &[ReachRow]) -> Known<'_> {
    let mut known = Known::with_capacity(reach.len());
    for row in reach {
        let whom = RecipientKey::Staff(&row.staff_id);
        known.entry(whom).or_default().push(row);
    }
    known
}

pub(in crate::bridge) fn rows_of<'k, 'a>(
    known: &'k Known<'a>,
    whom: RecipientKey<'a>,
) -> &'k [&'a ReachRow] {
    known.get(&whom).map_or(&[], Vec::as_slice)
}

/// Whom to decide for.
pub(in crate::bridge) struct Asked<'a> {
    /// The person.
    pub(in crate::bridge) whom: RecipientKey<'a>,
    /// What to send.
    pub(in crate::bridge) prepared: &'a Prepared,
    /// Through what.
    pub(in crate::bridge) senders: &'a [Sender],
    /// The first route to look at.
    pub(in crate::bridge) from: usize,
}

/// What is decided for one person.
pub(in crate::bridge) struct Decision<'a> {
    pub(in crate::bridge) whom: RecipientKey<'a>,
    /// The staff member: as they were named, or whom the person is bound to.
    pub(in crate::bridge) staff_id: Option<&'a str>,
    pub(in crate::bridge) name: Option<&'a str>,
    pub(in crate::bridge) way: Way<'a>,
    /// The route that lacks nothing but the person's consent, and whose consent that is.
    pub(in crate::bridge) awaiting: Option<(i32, &'a ReachRow)>,
    /// The routes that were passed over.
    pub(in crate::bridge) considered: Vec<Considered>,
}

impl Decision<'_> {
    /// Whether only the text keeps the message from being sent.
    pub(in crate::bridge) fn is_unrenderable(&self) -> bool {
        matches!(self.way, Err((Reason::NotRenderable, _)))
    }

    /// The routes passed over, to store after those before them.
    pub(in crate::bridge) fn considered(&self, mut before: Vec<Considered>) -> Option<String> {
        before.extend(self.considered.iter().cloned());
        // JSON of strings and numbers can always be written.
        (!before.is_empty()).then(|| serde_json::to_string(&before).unwrap_or_default())
    }
}

/// Decides for many, with at most one query for each kind of permission that their routes need.
pub(in crate::bridge) fn decide<'a>(
    conn: &mut Conn,
    known: &Known<'a>,
    asked: &[Asked<'a>],
    now: NaiveDateTime,
) -> QueryResult<Vec<Decision<'a>>> {
    let Some(first) = asked.first() else {
        return Ok(Vec::new());
    };
    let plans = asked
        .iter()
        .map(|asked| (rows_of(known, asked.whom), asked.senders, asked.from));
    let credits = permissions(conn, plans, first.prepared.windows(), now)?;
    let decided = asked.iter().map(|asked| one(known, asked, &credits));
    Ok(decided.collect())
}

/// What people allow, as far as their plans (rows, senders, the first of them) will ask for it.
pub(in crate::bridge) fn permissions<'a>(
    conn: &mut Conn,
    plans: impl Iterator<Item = (&'a [&'a ReachRow], &'a [Sender], usize)> + Clone,
    rules: &Rules,
    now: NaiveDateTime,
) -> QueryResult<Credits> {
    let needed: Vec<CreditKey<'_>> = plans
        .clone()
        .flat_map(|(rows, senders, from)| credit_keys(rows, senders, from))
        .collect();
    let mut credits = Credits::new(credit::balances(conn, &needed)?);
    let needed: Vec<IdentityId> = plans
        .flat_map(|(rows, senders, from)| window_identities(rows, senders, from))
        .collect();
    let found = windows::states(conn, &needed)?;
    credits.add_windows(&found, rules, now.and_utc().timestamp());
    Ok(credits)
}

fn one<'a>(known: &Known<'a>, asked: &Asked<'a>, credits: &Credits) -> Decision<'a> {
    let rows = rows_of(known, asked.whom);
    let first = rows.first();
    let name = first.and_then(|row| row.name.as_deref());
    let staff_id = match asked.whom {
        RecipientKey::Staff(staff_id) => Some(staff_id),
        RecipientKey::Person(_) => first.map(|row| row.staff_id.as_str()),
    };
    let staff_id = staff_id.filter(|id| !id.is_empty());
    let (way, awaiting, considered) = match asked.whom {
        RecipientKey::Person(recipient) if rows.is_empty() => {
            (Err(stranger(recipient)), None, Vec::new())
        }
        _ => way(rows, asked, credits, Recipient { id: staff_id, name }),
    };
    Decision {
        whom: asked.whom,
        staff_id,
        name,
        way,
        awaiting,
        considered,
    }
}

type Way<'a> = Result<(i32, &'a ReachRow), (Reason, String)>;

fn way<'a>(
    rows: &[&'a ReachRow],
    asked: &Asked<'_>,
    credits: &Credits,
    staff: Recipient<'_>,
) -> (Way<'a>, Option<(i32, &'a ReachRow)>, Vec<Considered>) {
    let (way, awaiting, passed) = match plan(rows, asked.senders, asked.from, credits) {
        Plan::Unreachable {
            reason,
            detail,
            passed,
            awaiting,
        } => {
            let awaiting = awaiting.and_then(|(route, identity)| {
                Some((sendable(asked.prepared, route, staff).ok()?, identity))
            });
            (Err((reason.into(), detail)), awaiting, passed)
        }
        Plan::Send { route, to, passed } => {
            let way = sendable(asked.prepared, route, staff);
            let way = way.map(|number| (number, to)).map_err(|error| {
                let whom = match asked.whom {
                    RecipientKey::Staff(_) => "staff member",
                    RecipientKey::Person(_) => "person",
                };
                let detail = format!("The message has no text for this {whom}: {error}.");
                (Reason::NotRenderable, detail)
            });
            (way, None, passed)
        }
    };
    (way, awaiting, Considered::all(&passed, asked.senders))
}

/// Why nobody is found who is named in this way.
fn stranger(recipient: &str) -> (Reason, String) {
    match serde_json::from_str(recipient) {
        Ok(Person::Openid { app_id, .. }) => (
            Reason::UnknownOpenid,
            format!(
                "Nobody with this openid is known in account {app_id}. If it is a mini-program, \
                 have them log in through Queqiao, give a login code instead, or bring the openid in \
                 (POST /miniprogram/{app_id}/identities)."
            ),
        ),
        _ => (
            Reason::UnknownPerson,
            "Nobody with this unionid is known in the project. Have them follow the account or log \
             in to the mini-program, and check that it is bound to the same Open Platform account."
                .to_owned(),
        ),
    }
}

/// Whether a route can be filled in for this very person: an id or a name may be missing.
fn sendable(prepared: &Prepared, route: usize, staff: Recipient<'_>) -> Result<i32, FieldError> {
    if prepared.mentions_staff(route) {
        prepared.render(route, staff)?;
    }
    i32::try_from(route).map_err(|_| FieldError::new("routes", "are too many"))
}
