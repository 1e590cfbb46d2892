//! What the tables of the documents promise, against the code: routes, codes, metrics, settings with
//! their defaults, and the fields that requests take. In both directions, so that nothing is promised
//! that is not there, and nothing is there that nobody is told of. Both languages are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use queqiao::models::delivery::Reason;
use serde_json::{Map, Value, json};

use super::app::DocsApp;
use super::{API, API_ZH, PAIRS, read, shell};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const OPERATIONS_ZH: &str = include_str!("../../../docs/zh-CN/operations.md");

/// The tables of settings: the document, how the table begins, and its word for a default that is empty.
const DEFAULTS: [(&str, &str, &str); 2] = [
    (OPERATIONS, "\n| setting | default |", "empty"),
    (OPERATIONS_ZH, "\n| 配置项 | 默认值 |", "空"),
];

/// How a table of the fields of a request begins.
const FIELDS: [&str; 2] = ["| field | rule |", "| 字段 | 规则 |"];

/// Every document that is there in both languages. Any of them may name calls, settings and metrics.
fn documents() -> Vec<(&'static str, String)> {
    let paths = PAIRS
        .iter()
        .flat_map(|&(english, chinese)| [english, chinese]);
    paths.map(|path| (path, read(path))).collect()
}

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The cells of each row of the tables of a document, without the rows of dashes.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect());
    rows.filter(|cells: &Vec<&str>| !cells[0].starts_with("---"))
        .collect()
}

/// The words of a text that stand in backticks.
fn coded(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// `{id}` and `{delivery_id}` are the same place.
fn without_names(path: &str) -> String {
    let mut plain = String::new();
    for (at, piece) in path.split(['{', '}']).enumerate() {
        plain += if at % 2 == 0 { piece } else { "{}" };
    }
    plain
}

#[test]
fn every_route_has_a_heading_with_its_scope() {
    let routes: BTreeSet<_> = crate::support::routes::listed()
        .into_iter()
        .map(|one| {
            let scope = one.scopes[0].clone();
            (one.method.to_owned(), without_names(&one.path), scope)
        })
        .collect();
    assert!(routes.len() > 50, "{routes:?}");
    for document in [API, API_ZH] {
        assert_eq!(told_routes(document), routes);
    }
}

/// The calls that a document of the API has, with their scopes.
fn told_routes(document: &str) -> BTreeSet<(String, String, String)> {
    let mut told = BTreeSet::new();
    for heading in document
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
    {
        if let Some((method, path)) = shell::endpoint(heading) {
            let scope = heading.rsplit(" · ").next().unwrap();
            let scope = scope.split([' ', ',']).next().unwrap().to_owned();
            told.insert((method, without_names(&path), scope));
        }
    }
    // Short ones are rows of a table: the calls, the scope, what comes of it.
    for cells in rows(document) {
        for (method, path) in coded(cells[0]).filter_map(|call| call.split_once(' ')) {
            if path.starts_with('/') {
                let scope = cells[1].split(", ").next().unwrap().to_owned();
                told.insert((method.to_owned(), without_names(path), scope));
            }
        }
    }
    told
}

#[test]
fn every_call_that_is_mentioned_exists() {
    let table = source("web/api.rs");
    let paths = table
        .split("at(\"/v1")
        .skip(1)
        .map(|rest| without_names(rest.split('"').next().unwrap()));
    let paths: BTreeSet<String> = paths.collect();
    for (name, document) in documents() {
        for (method, path) in coded(&document).filter_map(|call| call.split_once(' ')) {
            let path = path.split([' ', '?']).next().unwrap();
            let is_call =
                ["GET", "POST", "PUT", "DELETE"].contains(&method) && path.starts_with('/');
            let is_ours = !path.starts_with("/_sim") && !path.starts_with("/cgi-bin");
            if is_call && is_ours && !path.contains('…') {
                let path = path.strip_prefix("/api/v1").unwrap_or(path);
                let is_there = paths.iter().any(|known| is_of(path, known));
                assert!(is_there, "{name}: `{method} {path}` is no call");
            }
        }
    }
}

/// Whether a path, with or without ids filled in, is that one.
fn is_of(path: &str, known: &str) -> bool {
    let (path, known) = (path.split('/'), known.split('/'));
    path.clone().count() == known.clone().count()
        && path
            .zip(known)
            .all(|(given, known)| known == "{}" || given == known)
}

#[test]
fn every_code_is_in_the_table_with_its_status() {
    let mut codes = BTreeSet::new();
    for line in source("web/error/code.rs").lines() {
        let line = line.trim();
        let Some((_, line)) = line.split_once(" = \"").filter(|_| line.ends_with("\";")) else {
            continue;
        };
        let (word, line) = line.split_once("\", ").unwrap();
        let status = match line.split(',').next().unwrap() {
            "BAD_REQUEST" => 400,
            "UNAUTHORIZED" => 401,
            "FORBIDDEN" => 403,
            "NOT_FOUND" => 404,
            "METHOD_NOT_ALLOWED" => 405,
            "REQUEST_TIMEOUT" => 408,
            "CONFLICT" => 409,
            "PAYLOAD_TOO_LARGE" => 413,
            "UNSUPPORTED_MEDIA_TYPE" => 415,
            "UNPROCESSABLE_ENTITY" => 422,
            "TOO_MANY_REQUESTS" => 429,
            "INTERNAL_SERVER_ERROR" => 500,
            "BAD_GATEWAY" => 502,
            "SERVICE_UNAVAILABLE" => 503,
            other => panic!("{other}: add its number here"),
        };
        codes.insert((status, word.to_owned()));
    }
    assert!(codes.len() > 30, "{codes:?}");
    for document in [API, API_ZH] {
        let mut told = BTreeSet::new();
        for cells in rows(document) {
            if let Ok(status) = cells[0].parse::<u16>() {
                let words = coded(cells[1]).filter(|word| is_word(word));
                told.extend(words.map(|word| (status, word.to_owned())));
            }
        }
        assert_eq!(told, codes);
    }
}

#[test]
fn every_metric_is_in_the_table() {
    let metrics = source("metrics.rs");
    let described = metrics
        .lines()
        .map(|line| line.trim().trim_matches(['"', ',']));
    let described: BTreeSet<&str> = described
        .filter(|line| line.starts_with("queqiao_") && is_word(line))
        .collect();
    assert!(described.len() > 20, "{described:?}");
    for document in [OPERATIONS, OPERATIONS_ZH] {
        let told: BTreeSet<&str> = rows(document)
            .iter()
            .flat_map(|cells| coded(cells[0]))
            .filter(|word| word.starts_with("queqiao_"))
            .collect();
        assert_eq!(told, described);
    }
    for (name, document) in documents() {
        for word in coded(&document) {
            if word.starts_with("queqiao_") && is_word(word) {
                assert!(described.contains(word), "{name}: {word} is no metric");
            }
        }
    }
}

/// Every setting with its default, by its whole name.
fn settings() -> BTreeMap<String, Value> {
    fn walk(prefix: &str, table: &Map<String, Value>, into: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            if let Value::Object(table) = value {
                walk(&format!("{name}."), table, into);
            }
            into.insert(name, value.clone());
        }
    }
    let defaults =
        config::File::from_str(&source("config/defaults.toml"), config::FileFormat::Toml);
    let defaults = config::Config::builder()
        .add_source(defaults)
        .build()
        .unwrap();
    let defaults: Value = defaults.try_deserialize().unwrap();
    let mut settings = BTreeMap::new();
    walk("", defaults.as_object().unwrap(), &mut settings);
    settings
}

#[test]
fn every_setting_that_is_named_exists() {
    let settings = settings();
    let sections: BTreeSet<&str> = settings
        .keys()
        .filter_map(|name| name.split('.').next())
        .collect();
    for (path, document) in documents() {
        // The name of WeChat's host looks like a setting.
        for word in coded(&document).filter(|word| *word != "api.weixin.qq.com") {
            let name = word.split([' ', '=']).next().unwrap();
            let Some((section, _)) = name.split_once('.') else {
                continue;
            };
            let is_name = name
                .chars()
                .all(|c| c.is_ascii_lowercase() || "._".contains(c));
            if sections.contains(section) && is_name && !name.ends_with(".toml") {
                let is_there = settings.contains_key(name);
                assert!(is_there, "{path}: `{word}` is no setting");
            }
        }
    }
}

#[test]
fn every_default_that_is_told_is_the_default() {
    let settings = settings();
    for (document, header, empty) in DEFAULTS {
        let mut told = 0;
        let table = document.split(header).nth(1).unwrap();
        for cells in rows(table.split("\n\n").next().unwrap()) {
            let names = coded(cells[0]).filter_map(|name| Some((name, settings.get(name)?)));
            for (name, default) in names {
                let default = match default {
                    Value::String(text) if text.is_empty() => empty.to_owned(),
                    Value::String(text) => format!("`{text}`"),
                    other => other.to_string(),
                };
                let shown = cells[1].split([',', ':', ' ', '，', '：']).next().unwrap();
                // An address has colons.
                let shown = if cells[1].starts_with('`') {
                    cells[1]
                } else {
                    shown
                };
                assert_eq!(shown, default, "{name}");
                told += 1;
            }
        }
        assert!(told >= 20, "{told} defaults");
    }
}

/// In the text, as `section.name` (7) or `section.name = 7`; in Chinese the parentheses are wide.
#[test]
fn every_default_in_the_text_is_the_default() {
    let settings = settings();
    let mut told = 0;
    for (path, document) in documents() {
        for (name, default) in &settings {
            let default = default.to_string();
            for before in [
                format!("`{name}` ("),
                format!("`{name}`（"),
                format!("`{name} = "),
            ] {
                for rest in document.split(&before).skip(1) {
                    let shown: String = rest
                        .chars()
                        .take_while(|c| c.is_ascii_digit() || *c == ',')
                        .collect();
                    let is_whole = rest[shown.len()..].starts_with([')', '）', '`']);
                    let shown = shown.replace(',', "");
                    // Another value is an example, and three digits are the status of an answer.
                    let is_example = before.contains('=');
                    let is_status = shown.len() == 3 && shown.starts_with(['4', '5']);
                    if is_whole && !shown.is_empty() && !is_example && !is_status {
                        assert_eq!(shown, default, "{path}: {name}");
                        told += 1;
                    }
                }
            }
        }
    }
    assert!(told >= 20, "{told} defaults");
}

/// The fields of the table that follows each heading of a request with a body.
fn documented_fields(document: &str) -> Vec<(String, String, BTreeSet<String>)> {
    let mut heading = None;
    let (mut found, mut open) = (Vec::new(), false);
    for line in document.lines() {
        if let Some(text) = line.strip_prefix("### ") {
            heading =
                shell::endpoint(text).filter(|(method, _)| method == "POST" || method == "PUT");
            open = false;
        } else if FIELDS.iter().any(|header| line.starts_with(header)) {
            if let Some((method, path)) = heading.take() {
                found.push((method, path, BTreeSet::new()));
                open = true;
            }
        } else if open && line.starts_with("| `") {
            let cell = line.trim_matches('|').split(" | ").next().unwrap();
            let names = coded(cell).map(|name| name.split(['[', '.']).next().unwrap().to_owned());
            if let Some((.., fields)) = found.last_mut() {
                fields.extend(names);
            }
        } else if !line.starts_with('|') {
            open = false;
        }
    }
    found
}

#[test]
fn both_languages_tell_of_the_same_fields() {
    assert_eq!(documented_fields(API_ZH), documented_fields(API));
}

/// The tables that say what the reason of a delivery means.
const REASONS: [(&str, &str); 2] = [
    (API, "\n| `reason` | state | meaning |"),
    (API_ZH, "\n| `reason` | 状态 | 含义 |"),
];

#[test]
fn every_reason_of_a_delivery_is_explained_once() {
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    for (document, head) in REASONS {
        let (_, table) = document.split_once(head).unwrap();
        let table = table.split("\n\n").next().unwrap();
        let told: Vec<&str> = rows(table)
            .iter()
            .flat_map(|cells| coded(cells[0]))
            .collect();
        let once: BTreeSet<&str> = told.iter().copied().collect();
        assert_eq!(once.len(), told.len(), "{told:?}");
        assert_eq!(once, known);
    }
}

both_engines! {
    every_field_that_is_told_is_taken,
}

async fn every_field_that_is_told_is_taken(docs: DocsApp) {
    let mut docs = docs;
    docs.settle_in().await;
    let fields = documented_fields(API);
    assert!(fields.len() >= 3, "{fields:?}");
    for (method, path, fields) in fields {
        // A table of identities or staff is described by its rows.
        let of_rows = path.ends_with("/identities") || path == "/staff/import";
        let ask = async |field: &str| {
            let body = json!({field: []});
            let body = if of_rows {
                json!({"rows": [body]})
            } else {
                body
            };
            let answer = docs.try_out(&method, &path, &body).await;
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            if of_rows {
                answer["rows"][0].clone()
            } else {
                answer
            }
        };
        for field in &fields {
            let problem = ask(field).await;
            let is_above_rows =
                of_rows && ["rows", "dry_run", "create_staff"].contains(&field.as_str());
            let expected = is_above_rows == (problem["code"] == "unknown_field");
            assert!(expected, "{method} {path} {field}: {problem}");
        }
        let problem = ask("no_such_field").await;
        assert_eq!(
            problem["code"], "unknown_field",
            "{method} {path}: {problem}"
        );
        // Its detail names all that there are.
        let detail = problem["detail"].as_str().unwrap();
        for field in coded(detail).filter(|field| *field != "no_such_field") {
            assert!(
                fields.contains(field),
                "{method} {path}: nobody is told of {field}"
            );
        }
        for field in fields.iter().filter(|_| of_rows) {
            let is_above_rows = ["rows", "dry_run", "create_staff"].contains(&field.as_str());
            let is_named = detail.contains(field);
            assert_ne!(is_named, is_above_rows, "{method} {path} {field}: {detail}");
        }
    }
}
