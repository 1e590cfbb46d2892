//! From people who are named without a staff id to the identities through which each can be reached.

use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::ReachRow;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::ProjectId;

/// A person named without a staff id. Its JSON is what `deliveries.recipient` holds, and the same
/// person named in the same way has the same JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Person {
    /// By an openid in an account of the project.
    Openid {
        /// The account.
        app_id: String,
        /// The person's id in it.
        openid: String,
    },
    /// By the id that the project's accounts share.
    Unionid {
        /// That id.
        unionid: String,
    },
}

impl Person {
    /// As it is stored.
    pub fn to_json(&self) -> String {
        // JSON of strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One identity of a person; the first row of each is without.
#[derive(Clone, Debug, QueryableByName)]
pub struct PersonRow {
    /// The person, as they were named.
    #[diesel(sql_type = Text)]
    pub recipient: String,
    /// The identity, and the staff member that the person is, if any.
    #[diesel(embed)]
    pub reach: ReachRow,
}

#[derive(Serialize)]
struct Asked<'a> {
    project_id: ProjectId,
    recipient: &'a str,
    #[serde(flatten)]
    person: Person,
}

/// Everything through which the given people can be reached, each a [`Person`] as JSON: a row
/// without identity, then a row for each of their identities in the project; none for somebody who
/// is not known.
pub fn reach_people(
    conn: &mut Conn,
    project: ProjectId,
    recipients: &[&str],
) -> QueryResult<Vec<PersonRow>> {
    const REACH: Batch = Batch {
        columns: &[
            ("project_id", Kind::BigInt),
            ("recipient", Kind::Text),
            ("unionid", Kind::Text),
            ("app_id", Kind::Text),
            ("openid", Kind::Text),
        ],
        sql: include_str!("people.sql"),
    };
    let asked = recipients.iter().map(|recipient| {
        let person = serde_json::from_str(recipient)
            .map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
        Ok(Asked {
            project_id: project,
            recipient,
            person,
        })
    });
    let rows: Vec<Asked<'_>> = asked.collect::<QueryResult<_>>()?;
    REACH.load(conn, &rows)
}
