//! Whom a request to notify is for.

use std::collections::HashSet;

use serde::Serialize;

use super::people;
use crate::bridge::limits::{FieldError, TAG_MAX, check_id, check_text};
use crate::bridge::people::bind::PersonRef;
use crate::bridge::planning::decide::RecipientKey;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::text::TextId;
use crate::ids::{ProjectId, StaffRowId};
use crate::models::staff::{self, Group};

/// Whom a request to notify is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Recipients {
    /// Staff by the business's own ids; one that is repeated is notified once.
    Staff {
        /// The ids.
        staff_ids: Vec<String>,
    },
    /// The staff who have this tag when the request is accepted.
    Tagged {
        /// The tag.
        tag: String,
    },
    /// All staff there are when the request is accepted.
    All {
        /// True.
        all_staff: bool,
    },
    /// People, staff or not; one that is repeated is notified once.
    People {
        /// How each is named.
        people: Vec<PersonRef>,
    },
}

impl Recipients {
    /// The one way that is given to name recipients.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn one_of(
        staff_ids: Option<Vec<String>>,
        tag: Option<String>,
        all_staff: bool,
        people: Option<Vec<PersonRef>>,
    ) -> Result<Self, FieldError> {
        match (staff_ids, tag, all_staff, people) {
            (Some(staff_ids), None, false, None) => Ok(Self::Staff { staff_ids }),
            (None, Some(tag), false, None) => Ok(Self::Tagged { tag }),
            (None, None, true, None) => Ok(Self::All { all_staff }),
            (None, None, false, Some(people)) => Ok(Self::People { people }),
            _ => {
                let problem = "must be given, or else one of tag, \"all_staff\": true and people, \
                               and not two of them";
                Err(FieldError::new("staff_ids", problem))
            }
        }
    }

    /// Checks what can be checked without a look at what is stored, and leaves each staff id once,
    /// where it stands first.
    pub(super) fn check(self, most: usize) -> Result<Self, FieldError> {
        match self {
            Self::Staff { staff_ids } => {
                check_count("staff_ids", staff_ids.len(), most)?;
                for (at, staff_id) in staff_ids.iter().enumerate() {
                    check_id(&format_args!("staff_ids[{at}]"), TextId::StaffId, staff_id)?;
                }
                let staff_ids = distinct(staff_ids);
                Ok(Self::Staff { staff_ids })
            }
            Self::Tagged { tag } => {
                check_text(&"tag", &tag, TAG_MAX)?;
                Ok(Self::Tagged { tag })
            }
            Self::All { all_staff } => Ok(Self::All { all_staff }),
            Self::People { people } => {
                check_count("people", people.len(), most)?;
                people::check(&people)?;
                Ok(Self::People { people })
            }
        }
    }
}

/// What came of going through recipients.
#[derive(Debug)]
pub(super) enum Gone<E> {
    /// There are none, or too many of them.
    Invalid(FieldError),
    /// One chunk could not be taken.
    Stopped(E),
}

impl<E: From<DbError>> From<DbError> for Gone<E> {
    fn from(error: DbError) -> Self {
        Self::Stopped(error.into())
    }
}

/// Goes through the recipients, some at a time.
pub(super) fn in_chunks<E: From<DbError>>(
    conn: &mut Conn,
    project: ProjectId,
    recipients: &Recipients,
    (chunk, most): (usize, usize),
    mut take: impl FnMut(&mut Conn, &[RecipientKey<'_>]) -> Result<(), E>,
) -> Result<(), Gone<E>> {
    let (group, field) = match recipients {
        Recipients::Staff { staff_ids } => {
            let mut chunks = staff_ids.chunks(chunk);
            return chunks.try_for_each(|ids| take(conn, &staff_of(ids)).map_err(Gone::Stopped));
        }
        Recipients::People { people } => {
            let people = people::distinct(people).map_err(Gone::Invalid)?;
            let mut chunks = people.chunks(chunk);
            return chunks.try_for_each(|chunk| {
                let whom: Vec<RecipientKey<'_>> =
                    chunk.iter().map(|one| RecipientKey::Person(one)).collect();
                take(conn, &whom).map_err(Gone::Stopped)
            });
        }
        Recipients::Tagged { tag } => (Group::Tagged(tag), "tag"),
        Recipients::All { .. } => (Group::All, "all_staff"),
    };
    let (mut after, mut count) = (StaffRowId(0), 0);
    loop {
        let page = page(conn, project, group, after, chunk)?;
        let Some((last, _)) = page.last() else { break };
        (after, count) = (*last, count + page.len());
        check_count(field, count, most).map_err(Gone::Invalid)?;
        let ids: Vec<String> = page.into_iter().map(|(_, id)| id).collect();
        take(conn, &staff_of(&ids)).map_err(Gone::Stopped)?;
    }
    check_count(field, count, most).map_err(Gone::Invalid)
}

fn staff_of(ids: &[String]) -> Vec<RecipientKey<'_>> {
    ids.iter().map(|id| RecipientKey::Staff(id)).collect()
}

fn page(
    conn: &mut Conn,
    project: ProjectId,
    group: Group<'_>,
    after: StaffRowId,
    chunk: usize,
) -> QueryResult<Vec<(StaffRowId, String)>> {
    let limit = i64::try_from(chunk).unwrap_or(i64::MAX);
    staff::ids_of_group(conn, project, group, after, limit)
}

fn check_count(field: &str, count: usize, most: usize) -> Result<(), FieldError> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let problem = match (field, count) {
        ("staff_ids" | "people", _) => {
            format!("has {count} entries: give 1 to {most}, and more in further requests")
        }
        (_, 0) => "means nobody: the project has no such staff member".to_owned(),
        _ => format!(
            "means more than {most} staff members, which is the limit of one notification: \
             notify them by tags, or raise deliver.max_recipients"
        ),
    };
    Err(FieldError::new(field, problem))
}

/// Each once, where it stands first.
fn distinct(mut staff_ids: Vec<String>) -> Vec<String> {
    let first: Vec<bool> = {
        let mut seen = HashSet::with_capacity(staff_ids.len());
        staff_ids
            .iter()
            .map(|id| seen.insert(id.as_str()))
            .collect()
    };
    let mut first = first.into_iter();
    staff_ids.retain(|_| first.next().unwrap_or(true));
    staff_ids
}
