//! The migrations of the two engines stay side by side, and go both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use queqiao::db::{Conn, Engine};
use sha2::{Digest, Sha256};

use super::schema::columns;
use crate::support::{TestDb, files_below};

/// What was released: each file below `migrations/` with its SHA-256, as `sha256sum` prints it.
const RELEASED: &str = include_str!("migrations.sha256");
/// What to do where a file and its line differ.
const RULE: &str = "Never edit, rename or remove a released migration, not even a comment in it: \
    databases that have it would never get the change. Put it back as it was (git checkout), and add \
    a new migration that corrects it. For a new migration, add its lines to \
    tests/it/architecture/migrations.sha256; this prints the whole file, to be compared with git diff: \
    (cd migrations && sha256sum */*/*.sql) > tests/it/architecture/migrations.sha256";

fn directory(engine: Engine) -> &'static Path {
    Path::new(match engine {
        Engine::Postgres => "migrations/postgres",
        Engine::Sqlite => "migrations/sqlite",
    })
}

fn names(engine: Engine) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory(engine)).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

/// Reverts everything, or applies everything, and returns how many migrations that were.
fn migrate(connection: &mut Conn, engine: Engine, up: bool) -> usize {
    let source = FileBasedMigrations::from_path(directory(engine)).unwrap();
    let done = match (connection, up) {
        (Conn::Postgres(inner), true) => inner.run_pending_migrations(source),
        (Conn::Postgres(inner), false) => inner.revert_all_migrations(source),
        (Conn::Sqlite(inner), true) => inner.run_pending_migrations(source),
        (Conn::Sqlite(inner), false) => inner.revert_all_migrations(source),
    };
    done.unwrap().len()
}

#[test]
fn both_engines_have_the_same_migrations_each_with_a_way_back() {
    let postgres = names(Engine::Postgres);
    assert!(!postgres.is_empty());
    assert_eq!(postgres, names(Engine::Sqlite));
    for engine in [Engine::Postgres, Engine::Sqlite] {
        for name in names(engine) {
            for file in ["up.sql", "down.sql"] {
                let path = directory(engine).join(&name).join(file);
                assert!(path.is_file(), "{} is missing", path.display());
            }
        }
    }
}

/// Each file below `migrations/` with its SHA-256.
fn checksums() -> BTreeMap<String, String> {
    let files = files_below("migrations", "sql").into_iter();
    let sums = files.map(|file| {
        let sum = Sha256::digest(std::fs::read(&file).unwrap());
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = file.strip_prefix("migrations").unwrap().to_str().unwrap();
        (name.to_owned(), sum)
    });
    sums.collect()
}

#[test]
fn no_released_migration_is_edited() {
    let lines = RELEASED.lines().map(|line| {
        let (sum, name) = line.split_once("  ").unwrap();
        (name.to_owned(), sum.to_owned())
    });
    let released: BTreeMap<String, String> = lines.collect();
    assert_eq!(released.len(), RELEASED.lines().count(), "one line a file");
    let found = checksums();
    let mut wrong = Vec::new();
    for (name, sum) in &released {
        match found.get(name) {
            Some(now) if now == sum => {}
            Some(_) => wrong.push(format!("{name} was edited")),
            None => wrong.push(format!("{name} is gone")),
        }
    }
    let new = found.keys().filter(|name| !released.contains_key(*name));
    wrong.extend(new.map(|name| format!("{name} is new, and has no line yet")));
    assert!(wrong.is_empty(), "{wrong:#?}\n{RULE}");
}

/// What another process writes between a count and the triggers that keep it from then on would be
/// in neither. On SQLite a migration is the only writer.
#[test]
fn writers_wait_while_a_table_is_filled_that_triggers_keep() {
    for name in names(Engine::Postgres) {
        let sql = directory(Engine::Postgres).join(&name).join("up.sql");
        let sql = std::fs::read_to_string(sql).unwrap();
        // Behind it, statements belong to functions.
        let before = sql.split("CREATE FUNCTION").next().unwrap();
        if let Some((before, _)) = before.split_once("\nINSERT INTO")
            && sql.contains("CREATE TRIGGER")
        {
            assert!(before.contains("\nLOCK TABLE"), "{name}");
        }
    }
}

both_engines! {
    migrations_go_down_and_up_again,
}

async fn migrations_go_down_and_up_again(database: TestDb) {
    let engine = database.db().engine();
    let mut connection = database.db().connect().unwrap();
    let before = columns(&mut connection);
    assert!(!before.is_empty());
    let count = names(engine).len();
    assert_eq!(migrate(&mut connection, engine, false), count);
    assert_eq!(columns(&mut connection), BTreeSet::new());
    assert_eq!(migrate(&mut connection, engine, true), count);
    assert_eq!(columns(&mut connection), before);
}
