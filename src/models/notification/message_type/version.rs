//! The routes of message types as they were when deliveries were retried by hand.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::message_type_versions};
use crate::ids::{ProjectId, VersionId};

/// The routes of a message type at one time.
#[derive(Clone, Debug, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = message_type_versions)]
pub struct Version {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: VersionId,
    /// The name of the message type.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its routes, JSON.
    #[diesel(sql_type = Text)]
    pub routes: String,
}

#[derive(Serialize)]
struct Row<'a> {
    project_id: ProjectId,
    name: &'a str,
    routes: &'a str,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

/// Stores routes of message types, each given as its name and them, where they are not stored yet.
/// Returns a version for each.
pub fn keep_versions(
    conn: &mut Conn,
    project: ProjectId,
    wanted: &[(&str, &str)],
    now: NaiveDateTime,
) -> QueryResult<Vec<Version>> {
    const COLUMNS: &[(&str, Kind)] = &[
        ("project_id", Kind::BigInt),
        ("name", Kind::Text),
        ("routes", Kind::Text),
        ("now", Kind::Timestamp),
    ];
    const KEEP: Batch = Batch {
        columns: COLUMNS,
        sql: "INSERT INTO message_type_versions (project_id, name, routes, created_at) \
              SELECT r.project_id, r.name, r.routes, r.now FROM {rows} WHERE NOT EXISTS ( \
                  SELECT 1 FROM message_type_versions v WHERE v.project_id = r.project_id \
                  AND v.name = r.name AND v.routes = r.routes)",
    };
    // Two processes may have stored the same at the same time: either will do.
    const FIND: Batch = Batch {
        columns: COLUMNS,
        sql: "SELECT MIN(v.id) AS id, v.name, v.routes FROM {rows} \
              JOIN message_type_versions v ON v.project_id = r.project_id AND v.name = r.name \
              AND v.routes = r.routes GROUP BY v.name, v.routes",
    };
    let rows: Vec<Row<'_>> = wanted
        .iter()
        .map(|&(name, routes)| Row {
            project_id: project,
            name,
            routes,
            now,
        })
        .collect();
    KEEP.execute(conn, &rows)?;
    FIND.load(conn, &rows)
}

/// Several versions.
pub fn versions(conn: &mut Conn, ids: &[VersionId]) -> QueryResult<Vec<Version>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    message_type_versions::table
        .filter(message_type_versions::id.eq_any(ids))
        .select(Version::as_select())
        .load(conn)
}
