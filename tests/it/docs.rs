//! The documents, carried out: every command of the API that they show is called as written, and
//! what they say of its answer is compared with the answer.

mod app;
mod links;
mod markdown;
mod openapi;
mod shape;
mod shell;
mod simulator;
mod states;
mod tables;
mod typed;

use std::fs;
use std::path::Path;

use app::DocsApp;
use markdown::{Block, Example};
use serde_json::Value;
use shell::Command;

use crate::support::files_below;

const API: &str = include_str!("../../docs/api.md");
const API_ZH: &str = include_str!("../../docs/zh-CN/api.md");
const README: &str = include_str!("../../README.md");
const README_ZH: &str = include_str!("../../README.zh-CN.md");
const SETUP: &str = include_str!("../../docs/setup.md");
const SETUP_ZH: &str = include_str!("../../docs/zh-CN/setup.md");

/// Every document that is there in both languages, the English one first. A translation that is added is added here.
const PAIRS: &[(&str, &str)] = &[
    ("README.md", "README.zh-CN.md"),
    ("SECURITY.md", "SECURITY.zh-CN.md"),
    ("docs/api.md", "docs/zh-CN/api.md"),
    ("docs/architecture.md", "docs/zh-CN/architecture.md"),
    ("docs/delivery-states.md", "docs/zh-CN/delivery-states.md"),
    ("docs/miniprogram.md", "docs/zh-CN/miniprogram.md"),
    ("docs/operations.md", "docs/zh-CN/operations.md"),
    ("docs/performance.md", "docs/zh-CN/performance.md"),
    ("docs/reliability.md", "docs/zh-CN/reliability.md"),
    ("docs/setup.md", "docs/zh-CN/setup.md"),
    ("docs/simulator.md", "docs/zh-CN/simulator.md"),
    ("docs/webhooks.md", "docs/zh-CN/webhooks.md"),
    ("docs/wechat.md", "docs/zh-CN/wechat.md"),
];

/// Most lines of a README: what needs more is in the documents that it leads to.
const README_LINES: usize = 150;

/// A document, by its path from the root of the repository.
fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(whole).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The calls of each example of a document that has any, and the answers that are shown to them.
fn shown(document: &str) -> (Vec<Vec<Command>>, Vec<Option<Value>>) {
    markdown::examples(document)
        .into_iter()
        .map(|example| (shell::commands(&example.script), example.answer))
        .filter(|(calls, _)| !calls.is_empty())
        .map(|(calls, answer)| (calls, answer.as_deref().map(shape::read)))
        .unzip()
}

/// Calls everything that a document shows, in its order. Returns how many calls those were.
async fn carry_out(docs: &mut DocsApp, document: &str) -> usize {
    let mut calls = 0;
    for example in markdown::examples(document) {
        let told = example.answer.as_deref().map(shape::read);
        for command in shell::commands(&example.script) {
            let answer = docs.call(&example.heading, &command).await;
            calls += 1;
            if let Some(told) = &told {
                shape::compare(told, &answer, &format!("{}: {command:?}", example.heading));
            }
        }
    }
    calls
}

/// Headings such as `GET /people` whose section shows no call of that method and path.
fn not_shown(document: &str) -> Vec<String> {
    let examples: Vec<Example> = markdown::examples(document);
    let shown = |method: &str, path: &str| {
        examples
            .iter()
            .flat_map(|example| shell::commands(&example.script))
            .any(|command| command.is_call_of(method, path))
    };
    markdown::blocks(document)
        .iter()
        .filter_map(|block| match block {
            Block::Heading(text) => {
                shell::endpoint(text).map(|(method, path)| (text, method, path))
            }
            Block::Code { .. } => None,
        })
        .filter(|(_, method, path)| !shown(method, path))
        .map(|(text, ..)| text.clone())
        .collect()
}

both_engines! {
    the_api_is_as_documented,
    the_readme_is_true,
    the_setup_is_true,
}

async fn the_api_is_as_documented(docs: DocsApp) {
    let mut docs = docs;
    docs.settle_in().await;
    let calls = carry_out(&mut docs, API).await;
    assert!(calls > 30, "{calls} calls");
}

async fn the_readme_is_true(docs: DocsApp) {
    let mut docs = docs;
    let calls = carry_out(&mut docs, README).await;
    assert!(calls >= 6, "{calls} calls");
}

async fn the_setup_is_true(docs: DocsApp) {
    let mut docs = docs;
    assert!(carry_out(&mut docs, SETUP).await > 25);
}

#[test]
fn every_endpoint_that_has_a_heading_is_shown() {
    for document in [API, API_ZH] {
        assert_eq!(not_shown(document), Vec::<String>::new());
    }
}

#[test]
fn both_languages_show_the_same_calls_and_answers() {
    for (english, chinese) in PAIRS {
        let (calls, answers) = shown(&read(english));
        let (translated_calls, translated_answers) = shown(&read(chinese));
        assert_eq!(calls, translated_calls, "{chinese}");
        for (at, (told, translated)) in answers.iter().zip(&translated_answers).enumerate() {
            let place = format!("{chinese}: {:?}", calls[at]);
            assert_eq!(told.is_some(), translated.is_some(), "{place}");
            if let (Some(told), Some(translated)) = (told, translated) {
                shape::compare(told, translated, &place);
            }
        }
    }
}

#[test]
fn every_translation_is_in_a_pair() {
    for path in files_below("docs/zh-CN", "md") {
        let path = path.to_str().unwrap();
        let is_paired = PAIRS.iter().any(|(_, chinese)| *chinese == path);
        assert!(is_paired, "{path} is not in PAIRS");
    }
}

#[test]
fn a_readme_is_a_front_page() {
    for (name, readme) in [("README.md", README), ("README.zh-CN.md", README_ZH)] {
        let lines = readme.lines().count();
        assert!(lines <= README_LINES, "{name} has {lines} lines");
    }
}

#[test]
fn the_shell_function_is_the_same_wherever_it_is_shown() {
    let shown = [README, README_ZH, SETUP, SETUP_ZH].map(|document| {
        let mut lines = document.lines().filter(|line| line.starts_with("api() {"));
        (lines.next(), lines.next())
    });
    let (function, _) = shown[0];
    assert!(function.is_some());
    for found in shown {
        assert_eq!(found, (function, None));
    }
}
