//! The benchmark of lists knows every list and every filter that a handler reads.

use std::collections::BTreeMap;

use crate::support::files_below;
use crate::support::lists::LISTS;

/// The filters of each handler's file that has a list: the fields beside `limit` and `cursor` of what it
/// reads from the query.
fn read_by_handlers() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for file in files_below("src/web/api", "rs") {
        let source = std::fs::read_to_string(&file).unwrap();
        if source.contains("Query<PageQuery>") {
            found.insert(file.display().to_string(), Vec::new());
        }
        for block in source.split("struct ").skip(1) {
            let Some((_, fields)) = block.split_once('{') else {
                continue;
            };
            let (fields, _) = fields.split_once("\n}").unwrap_or((fields, ""));
            let is_query = ["limit", "cursor"]
                .iter()
                .all(|field| fields.contains(&format!("    {field}: Option<String>,")));
            if is_query {
                found.insert(file.display().to_string(), filters(fields));
            }
        }
    }
    found
}

fn filters(fields: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut renamed = None;
    for line in fields.lines().map(str::trim) {
        if let Some((_, name)) = line.split_once("rename = \"") {
            renamed = name.split('"').next().map(str::to_owned);
        } else if let Some((name, _)) = line.split_once(": ").filter(|_| !line.starts_with("//")) {
            let name = name.rsplit(' ').next().unwrap_or(name).to_owned();
            names.push(renamed.take().unwrap_or(name));
        }
    }
    names.retain(|name| name != "limit" && name != "cursor");
    names.sort_unstable();
    names
}

#[test]
fn the_benchmark_knows_every_filter_of_every_list() {
    let measured: BTreeMap<String, Vec<String>> = LISTS
        .iter()
        .map(|list| {
            let names = list.filters.iter().map(|(name, _)| (*name).to_owned());
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            (list.source.to_owned(), names)
        })
        .collect();
    let mut read = read_by_handlers();
    // Bodies, not lists.
    for body in [
        "src/web/api/deliveries/retry.rs",
        "src/web/api/events/replay.rs",
    ] {
        read.remove(body);
    }
    // For owners, not for keys, and of a thousand rows at most.
    read.remove("src/web/api/users.rs");
    assert_eq!(
        read, measured,
        "a list or a filter was added: add it to benches/lists/cases.rs, with rows in benches/lists/fill.rs \
         for which it is hard, and see that `cargo bench --bench lists` still passes"
    );
}
