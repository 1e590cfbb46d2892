//! Where in a database a text stands: every column of every table is looked through.

use diesel::sql_types::{BigInt, Text};
use diesel::{RunQueryDsl, sql_query};
use queqiao::db::{Conn, Db};

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    place: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

const POSTGRES: &str = "SELECT table_name::text AS place, column_name::text AS name, \
    data_type::text AS kind FROM information_schema.columns WHERE table_schema = 'public'";
const SQLITE: &str = "SELECT m.name AS place, c.name AS name, c.type AS kind \
    FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";

/// The columns in which the word stands, with the number of rows: `events.body: 3`.
pub(crate) fn places_of(db: &Db, word: &str) -> Vec<String> {
    let conn = &mut db.connect().unwrap();
    let columns: Vec<Column> = match conn {
        Conn::Postgres(conn) => sql_query(POSTGRES).load(conn).unwrap(),
        Conn::Sqlite(conn) => sql_query(SQLITE).load(conn).unwrap(),
    };
    assert!(columns.len() > 100, "{} columns", columns.len());
    let mut places = Vec::new();
    for Column { place, name, kind } in columns {
        let (text, position) = match (&conn, kind.as_str()) {
            (Conn::Postgres(_), "bytea") => (format!("encode(\"{name}\", 'escape')"), "STRPOS"),
            (Conn::Postgres(_), _) => (format!("CAST(\"{name}\" AS TEXT)"), "STRPOS"),
            (Conn::Sqlite(_), _) => (format!("CAST(\"{name}\" AS TEXT)"), "INSTR"),
        };
        let sql =
            format!("SELECT COUNT(*) AS n FROM \"{place}\" WHERE {position}({text}, '{word}') > 0");
        let count: Count = match conn {
            Conn::Postgres(conn) => sql_query(sql).get_result(conn).unwrap(),
            Conn::Sqlite(conn) => sql_query(sql).get_result(conn).unwrap(),
        };
        if count.n > 0 {
            places.push(format!("{place}.{name}: {}", count.n));
        }
    }
    places.sort();
    places
}
