//! From staff ids to what is decided for each: which route, to which identity, or why none.

use std::collections::HashMap;

use diesel::QueryResult;

use super::plan::{Considered, Credits, Plan, Sender, plan, wanted};
use super::prepared::Prepared;
use super::route::{FieldError, Recipient};
use crate::db::Conn;
use crate::models::credit::{self, Wanted};
use crate::models::staff::ReachRow;

/// What is known of each staff member.
pub(super) type Known<'a> = HashMap<&'a str, Vec<&'a ReachRow>>;

pub(super) fn by_staff_id(reach: &[ReachRow]) -> Known<'_> {
    let mut known = Known::with_capacity(reach.len());
    for row in reach {
        known.entry(row.staff_id.as_str()).or_default().push(row);
    }
    known
}

pub(super) fn rows_of<'k, 'a>(known: &'k Known<'a>, staff_id: &str) -> &'k [&'a ReachRow] {
    known.get(staff_id).map_or(&[], Vec::as_slice)
}

/// Whom to decide for.
pub(super) struct Asked<'a> {
    /// The staff member.
    pub(super) staff_id: &'a str,
    /// What to send.
    pub(super) prepared: &'a Prepared,
    /// Through what.
    pub(super) senders: &'a [Sender],
    /// The first route to look at.
    pub(super) from: usize,
}

/// What is decided for one staff member.
pub(super) struct Decision<'a> {
    pub(super) staff_id: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) way: Result<(i32, &'a ReachRow), (&'static str, String)>,
    /// The routes that were passed over.
    pub(super) considered: Vec<Considered>,
}

impl Decision<'_> {
    /// The routes passed over, to store after those before them.
    pub(super) fn considered(&self, mut before: Vec<Considered>) -> Option<String> {
        before.extend(self.considered.iter().cloned());
        // JSON of strings and numbers can always be written.
        (!before.is_empty()).then(|| serde_json::to_string(&before).unwrap_or_default())
    }
}

/// Decides for many, with at most one query.
pub(super) fn decide<'a>(
    conn: &mut Conn,
    known: &Known<'a>,
    asked: &[Asked<'a>],
) -> QueryResult<Vec<Decision<'a>>> {
    let needed: Vec<Wanted<'_>> = asked
        .iter()
        .flat_map(|asked| wanted(rows_of(known, asked.staff_id), asked.senders, asked.from))
        .collect();
    let credits = Credits::new(credit::standings(conn, &needed)?);
    let decided = asked.iter().map(|asked| one(known, asked, &credits));
    Ok(decided.collect())
}

fn one<'a>(known: &Known<'a>, asked: &Asked<'a>, credits: &Credits) -> Decision<'a> {
    let rows = rows_of(known, asked.staff_id);
    let name = rows.first().and_then(|row| row.name.as_deref());
    let (way, passed) = match plan(rows, asked.senders, asked.from, credits) {
        Plan::Unreachable {
            reason,
            detail,
            passed,
        } => (Err((reason.as_str(), detail)), passed),
        Plan::Send { route, to, passed } => {
            let way = sendable(asked.prepared, route, asked.staff_id, name);
            let way = way.map(|number| (number, to)).map_err(|error| {
                let detail = format!("The message has no text for this staff member: {error}.");
                ("not_renderable", detail)
            });
            (way, passed)
        }
    };
    Decision {
        staff_id: asked.staff_id,
        name,
        way,
        considered: Considered::all(&passed, asked.senders),
    }
}

/// Whether a route can be filled in for this very staff member: a name may be missing.
fn sendable(
    prepared: &Prepared,
    route: usize,
    id: &str,
    name: Option<&str>,
) -> Result<i32, FieldError> {
    if prepared.mentions_staff(route) {
        prepared.render(route, Recipient { id, name })?;
    }
    i32::try_from(route).map_err(|_| FieldError::new("routes", "are too many"))
}
