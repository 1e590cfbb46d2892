//! Who writes a state: of a delivery, only the functions that are named after the arrows of its diagram.

use std::path::Path;

use crate::support::files_below;

/// Where `deliveries.state` is written.
const HOME: &str = "src/models/delivery/transitions/";

/// What a statement says that writes it: SQL, and the query builder.
fn writes(source: &str) -> bool {
    let text = source
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("\\ ", "");
    let sets = |statement: &str| {
        let head = statement.split(" WHERE ").next().unwrap_or_default();
        let head = head.split(" FROM ").next().unwrap_or_default();
        head.contains(" state = ") || head.contains(" state=")
    };
    let mut updates = text.split("UPDATE deliveries").skip(1);
    let mut built = text.split(".set(").skip(1);
    text.contains("INSERT INTO deliveries")
        || text.contains("insert_into(deliveries")
        || updates.any(sets)
        || built.any(|rest| {
            let until = rest.split(".execute(").next().unwrap_or_default();
            until.contains("deliveries::state.eq(")
        })
}

#[test]
fn only_the_functions_of_arrows_write_the_state_of_a_delivery() {
    let files = ["rs", "sql"]
        .into_iter()
        .flat_map(|kind| files_below("src", kind));
    let writers: Vec<_> = files
        .filter(|file| writes(&with_statements(file)))
        .map(|file| relative(&file))
        .collect();
    assert!(!writers.is_empty());
    let strays: Vec<_> = writers
        .iter()
        .filter(|file| !file.starts_with(HOME))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    // Each of the files there does, so what is looked for is what stands there.
    let theirs = ["rs", "sql"]
        .into_iter()
        .flat_map(|kind| files_below("src/models/delivery/transitions", kind));
    let theirs: Vec<_> = theirs.map(|file| relative(&file)).collect();
    assert_eq!(writers, theirs);
}

/// A file, with the statements that stand in files beside it.
fn with_statements(file: &Path) -> String {
    let source = std::fs::read_to_string(file).unwrap();
    let mut parts = source.split("include_str!(\"");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, behind) = part.split_once("\")").unwrap();
        if name.ends_with(".sql") {
            whole += &std::fs::read_to_string(file.with_file_name(name)).unwrap();
        }
        whole += behind;
    }
    whole
}

#[test]
fn what_writes_a_state_is_found() {
    for text in [
        "UPDATE deliveries SET reason = 'x', state = 'sent' WHERE id = 1",
        "\"UPDATE deliveries SET \\\n   state = r.state FROM {rows}\"",
        "INSERT INTO deliveries (id)",
        "diesel::update(all).set((deliveries::reason.eq(1), deliveries::state.eq(2))).execute(conn)",
    ] {
        assert!(writes(text), "{text}");
    }
    for text in [
        "UPDATE deliveries SET reason = 'x' WHERE state = 'sent'",
        "UPDATE deliveries SET due_at = r.now FROM {rows} WHERE deliveries.state = 'queued'",
        "deliveries::table.filter(deliveries::state.eq(1)).set(deliveries::due_at.eq(2))",
    ] {
        assert!(!writes(text), "{text}");
    }
}

fn relative(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = file.strip_prefix(root).unwrap_or(file);
    path.display().to_string()
}
