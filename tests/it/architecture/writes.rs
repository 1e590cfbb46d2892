//! Who changes the database: the rooms of the bridge. What speaks HTTP or prints for a terminal reads, calls one
//! of them and answers, so that a rule is in one place, whoever asks.

use super::paths::without_comments_and_literals;
use crate::support::files_below;

/// Where nothing is written.
const READERS: [&str; 2] = ["src/web", "src/cli"];
/// What opens a transaction that writes, whatever its database is called there.
const OPENERS: [&str; 4] = ["write", "write_once", "write_then", "in_rounds"];
/// What gives a connection on which anything can be done.
const CONNECT: &str = "connect";
/// Asks before there is a bridge whether anything is sealed.
const EXCEPTIONS: [&str; 1] = ["src/cli/context.rs: connect"];

/// Those of them that are in a source: as a method with an argument, which the `write` of a lock has not, or as
/// a function of `Db`.
fn openers(source: &str) -> Vec<&'static str> {
    let code = without_comments_and_literals(source);
    let code: String = code.split_whitespace().collect();
    let is_named = |name: &str| {
        let function = format!("Db::{name}");
        code.split(&function).skip(1).any(ends_a_name)
    };
    let is_called = |name: &str| {
        let method = format!(".{name}(");
        let mut arguments = code.split(&method).skip(1);
        arguments.any(|rest| !rest.starts_with(')'))
    };
    let mut found: Vec<_> = OPENERS.to_vec();
    found.retain(|name| is_called(name) || is_named(name));
    if code.contains(&format!("db.{CONNECT}(")) || is_named(CONNECT) {
        found.push(CONNECT);
    }
    found
}

/// Whether a name ended before this.
fn ends_a_name(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

#[test]
fn only_the_bridge_changes_the_database() {
    let mut found = Vec::new();
    for folder in READERS {
        for file in files_below(folder, "rs") {
            let source = std::fs::read_to_string(&file).unwrap();
            let calls = openers(&source).into_iter();
            found.extend(calls.map(|name| format!("{}: {name}", file.display())));
        }
    }
    assert_eq!(
        found, EXCEPTIONS,
        "make the transaction a function of a room of src/bridge, with a typed error, and call that"
    );
}

#[test]
fn what_opens_a_transaction_that_writes_is_found() {
    for (source, name) in [
        (
            "state.bridge.db.write(move |conn| staff::put(conn))",
            "write",
        ),
        (
            "state\n    .bridge\n    .db\n    .write(move |conn| put(conn))",
            "write",
        ),
        (
            "let base = &bridge.db;\nbase.write_once(work).await",
            "write_once",
        ),
        ("bridge.db.write_then(work, then)", "write_then"),
        ("bridge.db.in_rounds(round)", "in_rounds"),
        ("Db::write(&bridge.db, work)", "write"),
        ("let work = Db::write_once;", "write_once"),
        ("account::any(&mut db.connect()?)", "connect"),
    ] {
        assert_eq!(openers(source), [name], "{source}");
    }
    for source in [
        "state.bridge.db.read(project::list)",
        "state.bridge.db.snapshot(move |conn| staff::find(conn))",
        "// bridge.db.write(work)",
        "say!(\"db.write(\")",
        "entries.write().unwrap()",
    ] {
        assert_eq!(openers(source), [""; 0], "{source}");
    }
}
