//! Many rows in one statement, the same text for both engines.
//!
//! The rows travel as one JSON bind and are unfolded by the database: `json_to_recordset` in
//! PostgreSQL, `json_each` in SQLite. So a batched `INSERT … SELECT … ON CONFLICT` or
//! `UPDATE … FROM` is written once, whatever the number of rows. What all rows have in common travels
//! once, as a row of its own: to read it again with each row is most of the work of a large insert.

use chrono::NaiveDateTime;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use serde::{Serialize, Serializer};

use super::prelude::{QueryResult, RunQueryDsl as _};
use super::statement::{json, written};
use super::{Backend, Conn, Engine};

/// The type of a column of the rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    BigInt,
    Integer,
    Text,
    Bool,
    Timestamp,
}

/// A batched statement: `{rows}` in its text stands for the rows, under the alias `r`. The other words in
/// braces are those of every [`statement`](super::statement).
pub(crate) struct Batch {
    pub(crate) columns: &'static [(&'static str, Kind)],
    pub(crate) sql: &'static str,
}

impl Batch {
    /// Executes the statement over `rows`; returns how many rows it touched.
    pub(crate) fn execute<R: Serialize>(&self, conn: &mut Conn, rows: &[R]) -> QueryResult<usize> {
        if rows.is_empty() {
            return Ok(0);
        }
        let sql = self.text(conn.engine());
        sql_query(sql).bind::<Text, _>(json(rows)?).execute(conn)
    }

    /// Executes the statement over `rows`, with what they share: `{shared}` in its text stands for
    /// that, under the alias `s`.
    pub(crate) fn execute_sharing<S: Serialize, R: Serialize>(
        &self,
        conn: &mut Conn,
        columns: &[(&str, Kind)],
        shared: &S,
        rows: &[R],
    ) -> QueryResult<usize> {
        let (engine, text) = (conn.engine(), self.text(conn.engine()));
        let sql = text.replace("{shared}", &source(engine, columns, 2, 's'));
        let query = sql_query(sql).bind::<Text, _>(json(rows)?);
        query.bind::<Text, _>(json(&[shared])?).execute(conn)
    }

    /// Executes the statement and loads what it returns.
    pub(crate) fn load<R, T>(&self, conn: &mut Conn, rows: &[R]) -> QueryResult<Vec<T>>
    where
        R: Serialize,
        T: QueryableByName<Backend> + 'static,
    {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.text(conn.engine());
        sql_query(sql).bind::<Text, _>(json(rows)?).load(conn)
    }

    fn text(&self, engine: Engine) -> String {
        let rows = source(engine, self.columns, 1, 'r');
        written(engine, &self.sql.replace("{rows}", &rows))
    }
}

/// The rows of a bind, unfolded.
fn source(engine: Engine, columns: &[(&str, Kind)], bind: u8, alias: char) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, kind)| match engine {
            Engine::Postgres => format!("{name} {}", kind.postgres()),
            Engine::Sqlite => format!("value ->> '$.{name}' AS {name}"),
        })
        .collect();
    let columns = columns.join(", ");
    match engine {
        Engine::Postgres => format!("json_to_recordset(${bind}::json) AS {alias}({columns})"),
        Engine::Sqlite => format!("(SELECT {columns} FROM json_each(?{bind})) AS {alias}"),
    }
}

impl Kind {
    fn postgres(self) -> &'static str {
        match self {
            Self::BigInt => "bigint",
            Self::Integer => "integer",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Writes a timestamp as Diesel stores it in SQLite, so that both ways of writing compare alike.
pub(crate) fn timestamp<S: Serializer>(
    time: &NaiveDateTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    // Its Display form is just that, and need not be read from a pattern each time.
    serializer.collect_str(time)
}

/// [`timestamp`] for a column that may be null.
pub(crate) fn maybe_timestamp<S: Serializer>(
    time: &Option<NaiveDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => timestamp(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_in_sqlite() {
        for micros in [0, 1, 1_000, 123_456, 1_767_240_000_120_000] {
            let time = chrono::DateTime::from_timestamp_micros(micros)
                .unwrap()
                .naive_utc();
            let written = timestamp(&time, serde_json::value::Serializer).unwrap();
            assert_eq!(written, time.format("%F %T%.f").to_string());
        }
    }

    #[test]
    fn one_statement_has_a_source_for_each_engine() {
        let batch = Batch {
            columns: &[("id", Kind::BigInt), ("name", Kind::Text)],
            sql: "UPDATE t SET name = r.name FROM {rows} WHERE t.id = r.id",
        };
        assert_eq!(
            batch.text(Engine::Postgres),
            "UPDATE t SET name = r.name FROM json_to_recordset($1::json) AS r(id bigint, name text) WHERE t.id = r.id"
        );
        assert_eq!(
            batch.text(Engine::Sqlite),
            "UPDATE t SET name = r.name FROM (SELECT value ->> '$.id' AS id, value ->> '$.name' AS name FROM json_each(?1)) AS r WHERE t.id = r.id"
        );
    }
}
