//! Modules beside each other import each other in one direction, so that each can be read, and changed, without
//! the ones that use it. And Diesel is known to the layers of the database alone.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::without_comments_and_literals;
use crate::support::files_below;

/// Where the rule holds: among what lies in each of these, and in every folder below.
const HOUSES: [&str; 4] = ["bridge", "models", "web", "cli"];
/// Who may name Diesel: `ids` says how an id is stored.
const KNOW_DIESEL: [&str; 3] = ["db", "models", "ids"];

type Module = Vec<String>;
/// The code of each module.
type Sources = BTreeMap<Module, String>;

fn module(path: &str) -> Module {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').map(str::to_owned).collect()
}

/// The code without what is only compiled for tests.
fn code(source: &str) -> String {
    let code = without_comments_and_literals(source);
    let tests = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
    code[..tests].to_owned()
}

fn is_of_tests(module: &Module) -> bool {
    module.iter().any(|name| name.ends_with("tests"))
}

fn sources() -> Sources {
    let files = files_below("src", "rs").into_iter();
    let all = files.map(|file| {
        let source = std::fs::read_to_string(&file).unwrap();
        (module(file.to_str().unwrap()), code(&source))
    });
    all.filter(|(module, _)| !is_of_tests(module)).collect()
}

/// Every path that begins with `crate` or `super`, the groups in it unfolded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = tokens(code);
    let mut found = Vec::new();
    for at in 0..words.len() {
        let is_inner = at > 0 && words[at - 1] == "::";
        if !is_inner && matches!(words[at], "crate" | "super") {
            unfold(&words, at, &[], &mut found);
        }
    }
    found
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            first if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            first => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Reads the path that begins at `at`; returns where it ends.
fn unfold(words: &[&str], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match words.get(at) {
            Some(&"{") => {
                at += 1;
                while words.get(at).is_some_and(|word| *word != "}") {
                    at = unfold(words, at, &path, found).max(at + 1);
                }
                return at + 1;
            }
            Some(word) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push((*word).to_owned());
                at += 1;
            }
            _ => break,
        }
        match words.get(at) {
            Some(&"::") => at += 1,
            _ => break,
        }
    }
    if path.len() > before.len() {
        found.push(path);
    }
    at
}

/// The module that a path leads into.
fn target(sources: &Sources, from: &Module, path: &[String]) -> Module {
    let (mut reached, mut at) = (Vec::new(), 1);
    if path[0] == "super" {
        reached.clone_from(from);
        at = 0;
        while path.get(at).is_some_and(|word| word == "super") {
            reached.pop();
            at += 1;
        }
    }
    for name in &path[at..] {
        reached.push(name.clone());
        if !sources.contains_key(&reached) {
            reached.pop();
            break;
        }
    }
    reached
}

/// Who imports whom among what lies in `house`.
fn imports(sources: &Sources, house: &Module) -> BTreeMap<String, BTreeSet<String>> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let room = |module: &Module| {
        let is_inside = module.len() > house.len() && module.starts_with(house);
        is_inside.then(|| module[house.len()].clone())
    };
    for (from, code) in sources {
        let Some(own) = room(from) else { continue };
        for path in paths(code) {
            let to = room(&target(sources, from, &path)).filter(|to| *to != own);
            imports.entry(own.clone()).or_default().extend(to);
        }
    }
    imports
}

/// A circle, as the names on the way around, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        imports: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        seen: &mut BTreeSet<String>,
        name: &str,
    ) -> bool {
        if let Some(at) = way.iter().position(|one| one == name) {
            way.drain(..at);
            return true;
        }
        if !seen.insert(name.to_owned()) {
            return false;
        }
        way.push(name.to_owned());
        let next = imports.get(name).into_iter().flatten();
        for to in next {
            if walk(imports, way, seen, to) {
                return true;
            }
        }
        way.pop();
        false
    }
    let mut seen = BTreeSet::new();
    imports.keys().find_map(|name| {
        let mut way = Vec::new();
        walk(imports, &mut way, &mut seen, name).then_some(way)
    })
}

fn circles(sources: &Sources) -> Vec<String> {
    let mut houses: BTreeSet<Module> = BTreeSet::new();
    for module in sources.keys() {
        let is_ours = HOUSES.contains(&module[0].as_str());
        houses.extend(
            (1..module.len())
                .filter(|_| is_ours)
                .map(|k| module[..k].to_vec()),
        );
    }
    let found = houses.iter().filter_map(|house| {
        let circle = circle(&imports(sources, house))?;
        Some(format!("in {}: {}", house.join("::"), circle.join(" → ")))
    });
    found.collect()
}

#[test]
fn modules_beside_each_other_import_in_one_direction() {
    let sources = sources();
    assert!(sources.len() > 300, "{}", sources.len());
    let found = circles(&sources);
    assert!(found.is_empty(), "circles:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let sources = |files: &[(&str, &str)]| -> Sources {
        let files = files.iter();
        files
            .map(|(path, source)| (module(path), code(source)))
            .collect()
    };
    let one_way = [
        ("src/bridge.rs", "mod a; mod b;"),
        ("src/bridge/a.rs", "use super::b::{Thing, other::*};"),
        (
            "src/bridge/b.rs",
            "use crate::db;\n#[cfg(test)]\nmod tests { use super::super::a; }",
        ),
    ];
    assert_eq!(circles(&sources(&one_way)), Vec::<String>::new());
    for back in [
        "use super::a;",
        "use crate::bridge::{c, a::Thing};",
        "fn f() -> crate::bridge::a::Thing {}",
    ] {
        let mut files = one_way.to_vec();
        files[2].1 = back;
        assert_eq!(circles(&sources(&files)), ["in bridge: a → b"], "{back}");
    }
    let deeper = [
        ("src/models/x.rs", ""),
        ("src/models/x/a.rs", "use super::b;"),
        ("src/models/x/b.rs", "use super::c::Thing;"),
        ("src/models/x/c.rs", "use super::super::x::a;"),
    ];
    assert_eq!(circles(&sources(&deeper)), ["in models::x: a → b → c"]);
}

#[test]
fn diesel_is_known_to_the_layers_of_the_database_alone() {
    let mut found = Vec::new();
    for (module, code) in sources() {
        let may = KNOW_DIESEL.contains(&module[0].as_str());
        if !may && tokens(&code).contains(&"diesel") {
            found.push(module.join("::"));
        }
    }
    assert!(found.is_empty(), "these name Diesel: {found:?}");
}
