//! The hand-written schema is what the migrations of both engines make.

use std::collections::BTreeSet;

use diesel::sql_types::{Bool, Text};
use diesel::{RunQueryDsl, sql_query};
use queqiao::db::Conn;

use crate::support::{TestDb, files_below};

/// PostgreSQL's columns, with Diesel's names for their types.
const POSTGRES: &str = "
    SELECT table_name::text AS \"table\", column_name::text AS name, is_nullable = 'YES' AS nullable,
        CASE data_type
            WHEN 'bigint' THEN 'BigInt' WHEN 'integer' THEN 'Integer' WHEN 'text' THEN 'Text'
            WHEN 'bytea' THEN 'Binary' WHEN 'boolean' THEN 'Bool'
            WHEN 'timestamp without time zone' THEN 'Timestamp' ELSE data_type::text
        END AS kind
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations'";

/// SQLite's, the same. Its INTEGER PRIMARY KEY is always 64 bits wide, where it is the number of the row.
const SQLITE: &str = "
    SELECT m.name AS \"table\", c.name AS name, c.\"notnull\" = 0 AS nullable,
        CASE c.type
            WHEN 'BIGINT' THEN 'BigInt' WHEN 'TEXT' THEN 'Text' WHEN 'BLOB' THEN 'Binary'
            WHEN 'INTEGER' THEN iif(c.pk AND m.sql NOT LIKE '%WITHOUT ROWID%', 'BigInt', 'Integer')
            WHEN 'BOOLEAN' THEN 'Bool' WHEN 'TIMESTAMP' THEN 'Timestamp' ELSE c.type
        END AS kind
    FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '__diesel_schema_migrations'";

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, diesel::QueryableByName)]
pub(super) struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

/// All columns that a database has.
pub(super) fn columns(connection: &mut Conn) -> BTreeSet<Column> {
    let rows: Vec<Column> = match connection {
        Conn::Postgres(inner) => sql_query(POSTGRES).load(inner).unwrap(),
        Conn::Sqlite(inner) => sql_query(SQLITE).load(inner).unwrap(),
    };
    rows.into_iter().collect()
}

/// All columns that `diesel::table!` declares, read from the source.
fn declared(source: &str) -> BTreeSet<Column> {
    let mut columns = BTreeSet::new();
    for block in source.split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let (table, _) = lines.next().and_then(|line| line.split_once(" (")).unwrap();
        for line in lines.take_while(|line| *line != "}") {
            let (name, kind) = line
                .strip_suffix(',')
                .and_then(|line| line.split_once(" -> "))
                .unwrap_or_else(|| panic!("not a column of {table}: {line}"));
            let inner = kind
                .strip_prefix("Nullable<")
                .and_then(|kind| kind.strip_suffix('>'));
            columns.insert(Column {
                table: table.to_owned(),
                name: name.to_owned(),
                kind: inner.unwrap_or(kind).to_owned(),
                nullable: inner.is_some(),
            });
        }
    }
    columns
}

both_engines! {
    the_migrated_tables_are_those_of_the_schema,
}

async fn the_migrated_tables_are_those_of_the_schema(database: TestDb) {
    let mut files = files_below("src/db/schema", "rs");
    files.push("src/db/schema.rs".into());
    let read = |file| std::fs::read_to_string(file).unwrap();
    let declared = declared(&files.into_iter().map(read).collect::<String>());
    let migrated = columns(&mut database.db().connect().unwrap());
    assert!(declared.len() > 50, "only {} columns found", declared.len());
    let only_declared: Vec<_> = declared.difference(&migrated).collect();
    let only_migrated: Vec<_> = migrated.difference(&declared).collect();
    assert!(
        only_declared.is_empty() && only_migrated.is_empty(),
        "only in schema.rs: {only_declared:#?}\nonly in the migrations: {only_migrated:#?}"
    );
}
