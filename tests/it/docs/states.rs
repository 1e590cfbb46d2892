//! The page about a delivery's states, against the list of arrows in the code: the diagram, the table below it and the
//! list name the same ways from one state to another, in both languages.

use std::collections::BTreeSet;

use queqiao::models::delivery::DeliveryState;
use queqiao::models::delivery::transitions::Arrow;

use super::read;
use crate::support::files_below;

/// The page, and how its table of arrows begins.
const PAGES: [(&str, &str); 2] = [
    ("docs/delivery-states.md", "| from | to | function |"),
    ("docs/zh-CN/delivery-states.md", "| 从 | 到 | 函数 |"),
];

/// What begins a delivery, or ends one for good, in a diagram.
const OUTSIDE: &str = "[*]";

/// The ways of the list, from where to where and by what, in order; those of one arrow are several.
fn listed() -> Vec<(String, String, String)> {
    let ways = Arrow::ALL.iter().flat_map(|arrow| {
        let from: Vec<&str> = match arrow.from() {
            [] => vec![OUTSIDE],
            states => states.iter().map(|state| state.as_str()).collect(),
        };
        from.into_iter().map(|from| {
            let (to, name) = (arrow.to().as_str(), arrow.name());
            (from.to_owned(), to.to_owned(), name.to_owned())
        })
    });
    let mut ways: Vec<_> = ways.collect();
    ways.sort();
    ways
}

/// The arrows of the first diagram of a page.
fn drawn(page: &str) -> Vec<(String, String)> {
    let (_, diagram) = page.split_once("```mermaid\n").unwrap();
    let (diagram, _) = diagram.split_once("```").unwrap();
    let arrows = diagram.lines().filter_map(|line| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let to = rest.split_once(": ").map_or(rest, |(to, _)| to);
        Some((from.to_owned(), to.to_owned()))
    });
    arrows.collect()
}

/// The rows of the table of arrows.
fn tabled(page: &str, head: &str) -> Vec<(String, String, String)> {
    let (_, table) = page.split_once(head).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let word = |at: usize| cells[at].trim_matches('`').to_owned();
        let from = match cells[0].starts_with('`') {
            true => word(0),
            false => OUTSIDE.to_owned(),
        };
        (from, word(1), word(2))
    })
    .collect()
}

#[test]
fn the_diagram_the_table_and_the_code_name_the_same_arrows() {
    let listed = listed();
    for (path, head) in PAGES {
        let page = read(path);
        let mut table = tabled(&page, head);
        table.sort();
        assert_eq!(table, listed, "{path}");

        let (ends, mut arrows): (Vec<_>, Vec<_>) =
            drawn(&page).into_iter().partition(|(_, to)| to == OUTSIDE);
        arrows.sort();
        let ways: Vec<_> = listed
            .iter()
            .map(|(from, to, _)| (from.clone(), to.clone()))
            .collect();
        assert_eq!(arrows, ways, "{path}");

        let ends: BTreeSet<&str> = ends.iter().map(|(state, _)| state.as_str()).collect();
        let is_left =
            |state: &&DeliveryState| Arrow::ALL.iter().any(|one| one.from().contains(state));
        let never_left = DeliveryState::ALL.iter().filter(|state| !is_left(state));
        let never_left: BTreeSet<&str> = never_left.map(|state| state.as_str()).collect();
        assert_eq!(ends, never_left, "{path}");
    }
}

#[test]
fn each_arrow_is_a_function_of_its_name() {
    let sources: String = files_below("src/models/delivery/transitions", "rs")
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    // What `record` makes of a late `taken` and a late `arrived`.
    let made_by_record = [Arrow::MsgidLearnt, Arrow::ArrivalLearnt];
    for arrow in Arrow::ALL {
        let name = arrow.name();
        let is_defined =
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("fn {name}<"));
        assert_eq!(is_defined, !made_by_record.contains(arrow), "{name}");
    }
}
