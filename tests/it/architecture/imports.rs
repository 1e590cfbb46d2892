//! Imports point down only, which keeps each layer understandable without the ones above it.

use std::collections::BTreeSet;
use std::path::Path;

use super::paths::mentions;
use crate::support::files_below;

/// From the ground up. A module may import what is below it, and its neighbours.
const LAYERS: &[&[&str]] = &[
    &["ids", "clock", "files"],
    &["config", "vault", "wechat", "metrics", "logging"],
    &["db"],
    &["models"],
    &["bridge"],
    &["web", "worker"],
    &["cli", "fuzzing"],
];

/// Beside the layers: what talks to the rest over HTTP alone, and all that it may import.
const APART: &[(&str, &[&str])] = &[
    ("simulator", &["wechat", "ids"]),
    ("load", &["wechat", "ids", "simulator"]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn apart(module: &str) -> Option<&'static [&'static str]> {
    let found = APART.iter().find(|(name, _)| *name == module);
    found.map(|(_, allowed)| *allowed)
}

fn is_known(module: &str) -> bool {
    layer(module).is_some() || apart(module).is_some()
}

fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    if let Some(allowed) = apart(from) {
        return allowed.contains(&to);
    }
    if apart(to).is_some() {
        return from == "cli";
    }
    if matches!((from, to), ("web", "worker") | ("worker", "web")) {
        return false;
    }
    matches!((layer(from), layer(to)), (Some(from), Some(to)) if to <= from)
}

/// The module path of a source file: `src/db/engine.rs` is `db`, `engine`.
fn module_path(file: &Path) -> Vec<String> {
    let below = file.strip_prefix("src").unwrap().with_extension("");
    let parts = below.iter();
    parts
        .map(|part| part.to_str().unwrap().to_owned())
        .collect()
}

fn violations(file: &str, source: &str) -> Vec<String> {
    let path = module_path(Path::new(file));
    let from = path[0].as_str();
    // The two roots may name everything.
    if from == "lib" || from == "main" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for mention in mentions(source, path.len()) {
        let to = mention.module.as_str();
        if !may_import(from, to) && (is_known(to) || !mention.climbed) {
            found.push(format!("{file}:{}: {from} imports {to}", mention.line));
        }
    }
    found
}

#[test]
fn imports_point_down_only() {
    let mut found = Vec::new();
    for file in files_below("src", "rs") {
        let source = std::fs::read_to_string(&file).unwrap();
        found.extend(violations(file.to_str().unwrap(), &source));
    }
    assert!(
        found.is_empty(),
        "imports that point up:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_module_has_its_layer() {
    let modules: BTreeSet<String> = files_below("src", "rs")
        .iter()
        .map(|file| module_path(file).swap_remove(0))
        .filter(|module| module != "lib" && module != "main")
        .collect();
    assert!(modules.contains("db"), "{modules:?}");
    for module in modules {
        assert!(is_known(&module), "give src/{module}.rs a place in LAYERS");
    }
}

#[test]
fn an_import_that_points_up_is_reported_with_its_place() {
    let found = |file, source| violations(file, source);
    assert_eq!(
        found(
            "src/db/error.rs",
            "use crate::ids::EventId;\nuse crate::{db, models::event};"
        ),
        ["src/db/error.rs:2: db imports models"]
    );
    assert_eq!(
        found("src/wechat.rs", "use super::bridge;"),
        ["src/wechat.rs:1: wechat imports bridge"]
    );
    for (file, source, ok) in [
        ("src/web/auth.rs", "use crate::worker;", false),
        ("src/worker.rs", "use crate::web;", false),
        ("src/worker.rs", "use crate::bridge;", true),
        ("src/simulator.rs", "use crate::db;", false),
        ("src/simulator.rs", "use crate::clock;", false),
        ("src/simulator/api.rs", "use crate::{ids, wechat};", true),
        ("src/load.rs", "use crate::simulator;", true),
        ("src/load.rs", "use crate::config;", false),
        ("src/bridge.rs", "use crate::simulator;", false),
        ("src/cli/demo.rs", "use crate::simulator;", true),
        ("src/cli/demo.rs", "use crate::Reexported;", false),
        ("src/cli/demo.rs", "use crate::*;", false),
        ("src/clock.rs", "mod tests { use super::*; }", true),
    ] {
        assert_eq!(found(file, source).is_empty(), ok, "{file}: {source}");
    }
}
