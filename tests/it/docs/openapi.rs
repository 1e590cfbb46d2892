//! The document that describes the API: it says what the table of routes, `docs/api.md` and `docs/webhooks.md` say, and
//! each operation is described as a whole. That the API answers as it says is looked at in every test of the API (see
//! `support::described`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use queqiao::bridge::webhooks::EventKind;
use queqiao::db::Engine;
use serde_json::Value;

use super::{API, API_ZH};
use crate::support::described::{document, faults, resolved};
use crate::support::routes::listed;
use crate::support::setup::Setup;

const WEBHOOKS: &str = include_str!("../../../docs/webhooks.md");
/// The document as it was when somebody last looked at what changed.
const SNAPSHOT: &str = "docs/openapi.json";
/// Set to write it anew.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

/// Every operation: method, path, and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// Who may use an operation, in the words of the table: the scopes of a key, or else the role of a user.
fn needs(operation: &Value) -> Vec<String> {
    let mut scopes = Vec::new();
    let mut role = None;
    for way in operation["security"].as_array().unwrap() {
        let (name, words) = way.as_object().unwrap().iter().next().unwrap();
        let word = words[0].as_str().unwrap().to_owned();
        match name.as_str() {
            "key" => scopes.push(word),
            _ => role = Some(word),
        }
    }
    match scopes.is_empty() {
        true => vec![role.unwrap_or_else(|| "nobody".to_owned())],
        false => scopes,
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.filter(|one| one["in"] == place)
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_document_has_the_routes_of_the_table_with_their_scopes() {
    let described: BTreeSet<_> = operations(&document())
        .into_iter()
        .map(|(method, path, operation)| (method, path, needs(&operation)))
        .collect();
    let table: BTreeSet<_> = listed()
        .into_iter()
        .map(|one| (one.method.to_owned(), one.path, one.scopes))
        .collect();
    assert_eq!(described, table);
}

/// The rows of the table "All operations", as `METHOD /path`, who, parameters, codes.
fn told(document: &str) -> BTreeMap<String, (String, BTreeSet<String>, BTreeSet<String>)> {
    let words = |cell: &str| -> BTreeSet<String> {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [operation, who, parameters, codes] = cells[..] else {
            return None;
        };
        let (operation, _) = operation.split_once('`')?;
        let (method, _) = operation.split_once(" /")?;
        ["GET", "PUT", "POST", "DELETE", "PATCH"]
            .contains(&method)
            .then(|| {
                let facts = (who.to_owned(), words(parameters), words(codes));
                (operation.to_owned(), facts)
            })
    });
    rows.collect()
}

#[test]
fn the_documents_list_the_same_operations_parameters_and_codes() {
    let described: BTreeMap<_, _> = operations(&document())
        .into_iter()
        .map(|(method, path, operation)| {
            let facts = (
                needs(&operation).join(", "),
                parameters(&operation, "query"),
                strings(&operation["x-codes"]),
            );
            (format!("{method} {path}"), facts)
        })
        .collect();
    for documented in [API, API_ZH] {
        assert_eq!(told(documented), described);
    }
}

#[test]
fn each_operation_is_described_as_a_whole() {
    let document = document();
    let known: BTreeSet<String> = queqiao::web::problem_codes()
        .map(|(word, _)| word.to_owned())
        .collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let summary = operation["summary"].as_str().unwrap();
        assert!(
            !summary.contains('`') || !summary.contains(&path),
            "{name}: {summary}"
        );
        assert!(ids.insert(operation["operationId"].to_string()), "{name}");
        let named: BTreeSet<String> = path
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(parameters(&operation, "path"), named, "{name}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let described = parameter["description"].as_str().unwrap_or_default();
            assert!(described.len() > 5, "{name}: {parameter}");
            assert!(parameter["schema"].is_object(), "{name}: {parameter}");
        }
        let own = strings(&operation["x-codes"]);
        assert!(own.is_subset(&known), "{name}: {own:?}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses
                .keys()
                .any(|status| status.starts_with(['2', '3'])),
            "{name}"
        );
        assert!(responses.contains_key("500"), "{name}");
        if let Some(content) = operation["requestBody"]["content"].as_object() {
            for (kind, content) in content {
                assert!(content["schema"].is_object(), "{name} {kind}");
            }
        }
    }
}

/// The codes that there are, and no others, are those of the operations, of paths that are none, and of methods.
#[test]
fn every_code_is_that_of_an_operation() {
    let mut used: BTreeSet<String> = ["no_such_route", "method_not_allowed"]
        .map(str::to_owned)
        .into();
    for (_, _, operation) in operations(&document()) {
        for response in operation["responses"].as_object().unwrap().values() {
            let content = &resolved(response)["content"]["application/problem+json"]["schema"];
            for part in content["allOf"].as_array().into_iter().flatten() {
                used.extend(strings(&part["properties"]["code"]["enum"]));
            }
        }
    }
    let known: BTreeSet<String> = queqiao::web::problem_codes()
        .map(|(word, _)| word.to_owned())
        .collect();
    assert_eq!(used, known);
}

#[test]
fn the_examples_have_the_shapes_that_are_described() {
    let document = document();
    let mut examples = 0;
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        let contents = responses
            .map(|response| &resolved(response)["content"])
            .chain([&operation["requestBody"]["content"]]);
        for (kind, content) in contents.filter_map(Value::as_object).flatten() {
            let example = &content["example"];
            if kind != "application/json" {
                continue;
            }
            assert!(!example.is_null(), "{method} {path} {kind} has no example");
            let faults = faults(&content["schema"], example);
            assert!(
                faults.is_empty(),
                "{method} {path}: {faults:#?} in {example:#}"
            );
            examples += 1;
        }
    }
    assert!(examples > 80, "{examples}");
}

/// Every type of event is described, and the bodies that docs/webhooks.md shows are such.
#[test]
fn the_webhooks_are_those_of_the_documents() {
    let document = document();
    let webhooks = document["webhooks"].as_object().unwrap();
    let described: BTreeSet<&str> = webhooks.keys().map(String::as_str).collect();
    let kinds = EventKind::ALL.iter().map(|kind| kind.as_str());
    assert_eq!(described, kinds.chain(["ping", "notification"]).collect());
    let mut shown = BTreeSet::new();
    for block in WEBHOOKS.split("```json\n").skip(1) {
        let block = block.split("```").next().unwrap();
        if block.contains("{…}") {
            continue;
        }
        for body in serde_json::Deserializer::from_str(block).into_iter::<Value>() {
            let body = body.unwrap();
            let kind = body["type"].as_str().unwrap_or_default().to_owned();
            let Some(item) = webhooks.get(&kind) else {
                continue;
            };
            let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
            let faults = faults(schema, &body);
            assert!(faults.is_empty(), "{kind}: {faults:#?} in {body:#}");
            shown.insert(kind);
        }
    }
    assert!(shown.len() > 7, "{shown:?}");
}

#[test]
fn the_document_is_the_one_that_was_last_looked_at() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SNAPSHOT);
    let now = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &now).unwrap();
    }
    let was = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        was == now,
        "the document of the API has changed: run this test with {UPDATE}=1, and look at the difference of {SNAPSHOT}"
    );
}

/// The page loads nothing from elsewhere, and asks for no key.
#[actix_web::test]
async fn the_page_is_whole_without_a_network() {
    let project = Setup::on(Engine::Sqlite).project("p").start().await;
    let app = &project.app;
    let get = async |path: &str| app.send(app.request(reqwest::Method::GET, path)).await;
    let served: Value = get("/openapi.json").await.ok(200);
    assert_eq!(served, document());
    let page = get("/docs/api/").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for file in page.text.split(attribute).skip(1) {
            let file = file.split('"').next().unwrap();
            assert!(!file.contains("//"), "{file}");
            let file = get(&format!("/docs/api/{}", file.trim_start_matches("./"))).await;
            assert_eq!(file.status, 200);
            files += 1;
        }
    }
    assert!(files > 3, "{}", page.text);
    let start = get("/docs/api/swagger-initializer.js").await;
    assert!(start.text.contains("/openapi.json"), "{}", start.text);
    assert_eq!(get("/docs/api/none.js").await.status, 404);
}
