//! Staff as a table: taken in at once as the business's own systems have them, and given out so that it can
//! be taken in again.
//!
//! Rows count one after another, as if each was sent by itself, under the rules of binding one by one. Each
//! is taken whole or not at all, what a row does not say stays as it is, and the same table again changes
//! nothing.

pub mod cells;
pub mod export;
mod judge;
mod row;
mod store;

use std::collections::hash_map::{Entry, HashMap};

use super::table::{Counts, Fault, Taken};
use crate::bridge::Bridge;
use crate::db::{Conn, DbError};
use crate::ids::ProjectId;
use crate::ids::text::TEXT_ID_MAX;

use judge::Known;
pub use row::{Raw, Row};

/// Rows in one transaction: it holds up whoever binds in the project meanwhile, and on SQLite all who write.
const CHUNK: usize = 1_000;

/// A row of a table, where it stands there.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The number by which the table's owner finds it.
    pub number: usize,
    /// The staff id as it is given, if there is one.
    pub staff_id: Option<String>,
    /// What the row says, or why it cannot be read.
    pub row: Result<Row, Fault>,
}

impl Numbered {
    /// Reads a row.
    pub fn new(number: usize, raw: Result<Raw, Fault>) -> Self {
        let staff_id = raw.as_ref().ok().and_then(|raw| raw.staff_id.clone());
        Self {
            number,
            staff_id: staff_id.map(|id| id.chars().take(TEXT_ID_MAX).collect()),
            row: raw.and_then(Row::read),
        }
    }
}

/// What came of a row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As in the table.
    pub number: usize,
    /// The staff id, if one is given.
    pub staff_id: Option<String>,
    /// What was done, or why nothing was.
    pub result: Result<Taken, Fault>,
    /// Whether the row bound the staff member to a person to whom they were not bound before.
    pub bound: bool,
}

impl Bridge {
    /// Takes a table of staff in. Returns what came of each row, in order. `progress` is told after each
    /// part how many rows are done. A trial says what would come of each row, and stores nothing.
    ///
    /// # Errors
    /// If the database fails: parts that are done stay, and the same table can be given again.
    pub async fn import_staff(
        &self,
        project: ProjectId,
        rows: Vec<Numbered>,
        dry_run: bool,
        progress: impl Fn(usize),
    ) -> Result<Vec<Outcome>, DbError> {
        let mut outcomes = Vec::with_capacity(rows.len());
        // What a trial knows by now: it stores nothing for its next part to find.
        let mut tried = Known::default();
        for chunk in agreeing(rows).chunks(CHUNK) {
            let chunk = chunk.to_vec();
            // However many tables come at once, nobody else waits for more than one part of them.
            let _turn = self.adoptions.acquire().await;
            let (now, vault) = (self.clock.now(), self.vault.clone());
            let done = match dry_run {
                false => {
                    let work =
                        move |conn: &mut Conn| store::take_in(conn, &vault, project, &chunk, now);
                    self.db.write(work).await?
                }
                true => {
                    let work = move |conn: &mut Conn| {
                        let outcomes = store::try_out(conn, &vault, project, &chunk, &mut tried)?;
                        Ok::<_, DbError>((outcomes, tried))
                    };
                    let (outcomes, known) = self.db.write_once(work).await?;
                    tried = known;
                    outcomes
                }
            };
            outcomes.extend(done);
            progress(outcomes.len());
        }
        let counts = Counts::of(outcomes.iter().map(|outcome| &outcome.result));
        tracing::info!(
            project.id = project.0,
            staff.dry_run = dry_run,
            staff.created = counts.created,
            staff.updated = counts.updated,
            staff.unchanged = counts.unchanged,
            staff.refused = counts.refused,
            "staff brought in"
        );
        if !dry_run {
            self.signals.webhooks.notify_one();
            // Openids that were not known may be among them.
            self.signals.profiles.notify_one();
        }
        Ok(outcomes)
    }
}

/// What the rows before have said of one staff member, and in which row.
#[derive(Default)]
struct Said {
    name: Option<(usize, String)>,
    tags: Option<(usize, String)>,
    phone: Option<(usize, String)>,
}

/// Refuses rows that give a staff member something else than a row before them: a staff member may have
/// several rows, one for each person, and nobody can tell which name is right.
fn agreeing(mut rows: Vec<Numbered>) -> Vec<Numbered> {
    let mut said: HashMap<String, Said> = HashMap::new();
    for numbered in &mut rows {
        let Ok(row) = &numbered.row else { continue };
        let number = numbered.number;
        let with_number = |text: Option<String>| text.map(|text| (number, text));
        let says = Said {
            name: with_number(row.name.clone()),
            tags: with_number(row.tags.as_ref().map(cells::join_tags)),
            phone: with_number(row.phone.clone()),
        };
        let before = match said.entry(row.staff_id.clone()) {
            Entry::Vacant(place) => {
                place.insert(says);
                continue;
            }
            Entry::Occupied(before) => before.into_mut(),
        };
        match says.contradicts(before) {
            Some(fault) => numbered.row = Err(fault),
            None => {
                before.name = before.name.take().or(says.name);
                before.tags = before.tags.take().or(says.tags);
                before.phone = before.phone.take().or(says.phone);
            }
        }
    }
    rows
}

impl Said {
    fn contradicts(&self, before: &Self) -> Option<Fault> {
        let pairs = [
            ("name", &self.name, &before.name),
            ("tags", &self.tags, &before.tags),
            ("phone", &self.phone, &before.phone),
        ];
        let (field, number) = pairs.into_iter().find_map(|(field, now, before)| {
            let ((_, now), (number, before)) = (now.as_ref()?, before.as_ref()?);
            (now != before).then_some((field, *number))
        })?;
        let detail = format!(
            "Row {number} gives this staff member another {field}, and only that one counts: keep the one \
             that is right in both rows, or leave it out here."
        );
        Some(Fault::new("duplicate", field, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize, staff_id: &str, name: &str, tags: Option<&[&str]>) -> Numbered {
        let tags = tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect());
        let raw = Raw {
            staff_id: Some(staff_id.to_owned()),
            name: Some(name.to_owned()),
            tags,
            ..Raw::default()
        };
        Numbered::new(number, Ok(raw))
    }

    #[test]
    fn rows_of_one_staff_member_say_the_same() {
        let rows = agreeing(vec![
            numbered(1, "e1", "A", None),
            numbered(2, "e2", "B", None),
            numbered(3, "e1", "A", Some(&["x", "y"])),
            numbered(4, "e1", "", Some(&["y", "x"])),
            numbered(5, "e1", "A", Some(&["x"])),
            numbered(6, "e1", "B", None),
        ]);
        let faults: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let fault = row.row.as_ref().err()?;
                Some((
                    row.number,
                    fault.field.as_deref()?,
                    fault.detail.contains("Row 3"),
                ))
            })
            .collect();
        assert_eq!(faults, [(5, "tags", true), (6, "name", false)]);
    }
}
