//! Statements of constant text: values are bound to them, and never become a part of the text.
//!
//! `$1` stands for the first value, on both engines. What the engines say in different words stands in
//! braces:
//!
//! - `{skip_locked}` ends a claiming query, so that replicas pass over each other's rows; `{skip_locked_r}` the
//!   same for one of several tables, under the alias `r`. SQLite has one writer, so there is nobody to pass over.
//! - `{lock}` ends a sorted query that locks what it finds in its order, so that two transactions over the same
//!   rows wait for each other and never crosswise; `{lock_c}` the same for one of several tables, under the alias
//!   `c`; `{hold_c}` for rows to which those of other tables may still refer.
//! - `{unsynced}` is a condition that is true, and by which a statement that is a transaction by itself does not
//!   wait for the disk. SQLite has none that is.
//! - `{greatest}` is the function that returns the greater of two values, `{position}` the one that says where a
//!   text contains another one, from 1, or 0 where it does not.
//! - `{bytewise}` follows a text that is to be sorted as Rust sorts it.
//! - `{by_index NAME}` follows a table that is to be read by an index whose first columns say little about it: with
//!   its statistics SQLite would rather read the whole table in the order of its ids.
//! - `{list_1}` is the first value, a JSON list, as a table with the one column `value`. `id {in_ids_1}` says that an
//!   id is in it, `id {not_in_ids_1}` that it is not, `reason {in_words_1}` that a text is.

use std::borrow::Cow;

use diesel::query_builder::SqlQuery;
use diesel::sql_query;
use serde::Serialize;

use super::Engine::{self, Postgres, Sqlite};
use super::{Conn, DbError, QueryResult};

/// A statement, to bind its values to. It is not prepared for later: each plan is made for these very values.
pub(crate) fn statement(conn: &Conn, sql: &'static str) -> SqlQuery {
    sql_query(written(conn.engine(), sql))
}

/// The same with constant pieces in the places of their names.
pub(crate) fn statement_of(
    conn: &Conn,
    sql: &'static str,
    pieces: &[(&str, &'static str)],
) -> SqlQuery {
    let put = |sql: String, (name, piece): &(&str, &str)| sql.replace(name, piece);
    let sql = pieces.iter().fold(sql.to_owned(), put);
    sql_query(written(conn.engine(), &sql))
}

/// A list as a statement takes it.
pub(crate) fn json<T: Serialize>(list: &[T]) -> QueryResult<String> {
    serde_json::to_string(list).map_err(DbError::not_json)
}

/// The text for one engine.
pub(super) fn written(engine: Engine, sql: &str) -> String {
    let mut written = String::with_capacity(2 * sql.len());
    let mut rest = sql;
    while let Some((before, behind)) = rest.split_once('{') {
        written += before;
        let named = behind.split_once('}');
        let word = named.and_then(|(name, behind)| Some((word(engine, name)?, behind)));
        rest = match word {
            Some((word, behind)) => {
                written += &word;
                behind
            }
            None => {
                written.push('{');
                behind
            }
        };
    }
    written += rest;
    match engine {
        Postgres => written,
        Sqlite => numbered(&written),
    }
}

/// To SQLite `$1` is a name, which has the number of its first appearance.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('$');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        numbered.push(match part.starts_with(|next: char| next.is_ascii_digit()) {
            true => '?',
            false => '$',
        });
        numbered += part;
    }
    numbered
}

fn word(engine: Engine, name: &str) -> Option<Cow<'static, str>> {
    let word = match (name, engine) {
        ("skip_locked", Postgres) => "FOR UPDATE SKIP LOCKED",
        ("skip_locked_r", Postgres) => "FOR UPDATE OF r SKIP LOCKED",
        ("lock", Postgres) => "FOR UPDATE",
        ("lock_c", Postgres) => "FOR UPDATE OF c",
        ("hold_c", Postgres) => "FOR NO KEY UPDATE OF c",
        ("skip_locked" | "skip_locked_r" | "lock" | "lock_c" | "hold_c", Sqlite) => "",
        ("unsynced", Postgres) => "set_config('synchronous_commit', 'off', true) = 'off'",
        ("unsynced", Sqlite) => "TRUE",
        ("greatest", Postgres) => "GREATEST",
        ("greatest", Sqlite) => "MAX",
        ("position", Postgres) => "STRPOS",
        ("position", Sqlite) => "INSTR",
        ("bytewise", Postgres) => "COLLATE \"C\"",
        ("bytewise", Sqlite) => "",
        _ => return named_word(engine, name).map(Cow::Owned),
    };
    Some(Cow::Borrowed(word))
}

/// A word with something of its own: the name of an index, or the number of a value.
fn named_word(engine: Engine, name: &str) -> Option<String> {
    if let Some(index) = name.strip_prefix("by_index ") {
        return Some(match engine {
            Postgres => String::new(),
            Sqlite => format!("INDEXED BY {index}"),
        });
    }
    let (name, number) = name.rsplit_once('_')?;
    let word = match (name, engine) {
        ("list", Postgres) => "json_array_elements_text($#::json)",
        ("list", Sqlite) => "json_each($#)",
        // An array, so that it is no join, which might be made in another order than that of an index.
        ("in_ids", Postgres) => {
            "= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text($#::json)))"
        }
        ("in_words", Postgres) => {
            "= ANY (ARRAY(SELECT value FROM json_array_elements_text($#::json)))"
        }
        ("not_in_ids", Postgres) => {
            "NOT IN (SELECT value::bigint FROM json_array_elements_text($#::json))"
        }
        ("in_ids" | "in_words", Sqlite) => "IN (SELECT value FROM json_each($#))",
        ("not_in_ids", Sqlite) => "NOT IN (SELECT value FROM json_each($#))",
        _ => return None,
    };
    number.parse::<u8>().ok()?;
    Some(word.replace('#', number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_the_words_of_each_engine() {
        let sql = "SELECT {greatest}(a, $2) FROM t {by_index t_by_a} WHERE id {in_ids_1} AND kind {in_words_3} \
                   AND note ->> '$.a' <> '{}' AND id {not_in_ids_4} ORDER BY kind {bytewise} {skip_locked}";
        assert_eq!(
            written(Postgres, sql),
            "SELECT GREATEST(a, $2) FROM t  WHERE id = ANY (ARRAY(SELECT value::bigint \
             FROM json_array_elements_text($1::json))) AND kind = ANY (ARRAY(SELECT value \
             FROM json_array_elements_text($3::json))) AND note ->> '$.a' <> '{}' \
             AND id NOT IN (SELECT value::bigint FROM json_array_elements_text($4::json)) \
             ORDER BY kind COLLATE \"C\" FOR UPDATE SKIP LOCKED"
        );
        assert_eq!(
            written(Sqlite, sql),
            "SELECT MAX(a, ?2) FROM t INDEXED BY t_by_a WHERE id IN (SELECT value FROM json_each(?1)) \
             AND kind IN (SELECT value FROM json_each(?3)) AND note ->> '$.a' <> '{}' \
             AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY kind  "
        );
    }
}
