//! Small tables in which a text may name the person.

use diesel::sql_types::{BigInt, Text};

use super::Subject;
use crate::db::prelude::*;
use crate::db::schema::imports;
use crate::db::{Conn, statement_of};
use crate::ids::ProjectId;
use crate::models::import::ImportState;

/// Tables and columns, and which rows are of a project, the second value.
const TEXTS: [(&str, &str, &str); 6] = [
    ("accounts", "problem_text", "project_id = $2"),
    ("accounts", "problem_errmsg", "project_id = $2"),
    ("account_pauses", "detail", OF_ACCOUNT),
    ("imports", "problem", OF_ACCOUNT),
    (
        "account_migrations",
        "problem",
        "from_account_id IN (SELECT id FROM accounts WHERE project_id = $2)",
    ),
    ("invitations", "refusal", "project_id = $2"),
];
const OF_ACCOUNT: &str = "account_id IN (SELECT id FROM accounts WHERE project_id = $2)";

/// Whether a walk over a follower list goes on from the person's openid: it needs it until then.
pub fn is_walked(conn: &mut Conn, subject: &Subject) -> QueryResult<bool> {
    let walks = imports::table
        .filter(imports::state.eq(ImportState::Running))
        .filter(imports::next_openid.eq_any(subject.words()));
    diesel::select(diesel::dsl::exists(walks)).get_result(conn)
}

/// Takes the person's ids out of the texts of small tables.
pub fn wipe_texts(conn: &mut Conn, project: ProjectId, subject: &Subject) -> QueryResult<()> {
    diesel::update(imports::table.filter(imports::next_openid.eq_any(subject.words())))
        .set(imports::next_openid.eq(None::<String>))
        .execute(conn)?;
    // A walk only knows a circle a little later without it.
    diesel::update(imports::table.filter(imports::mark.eq_any(subject.words())))
        .set(imports::mark.eq(None::<String>))
        .execute(conn)?;
    for (table, column, of_project) in TEXTS {
        for id in subject.words() {
            statement_of(
                conn,
                "UPDATE {table} SET {column} = REPLACE({column}, $1, '[erased]') \
                 WHERE {column} IS NOT NULL AND {position}({column}, $1) > 0 AND {of_project}",
                &[
                    ("{table}", table),
                    ("{column}", column),
                    ("{of_project}", of_project),
                ],
            )
            .bind::<Text, _>(id)
            .bind::<BigInt, _>(project)
            .execute(conn)?;
        }
    }
    Ok(())
}
