//! Whether the API answers as its document says: every answer of every test is compared with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::app::Answer;

/// The document, in which an object has no more than it says.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = document();
    let open = parts(&document);
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for (name, schema) in schemas {
        if !open.contains(name) {
            close(schema);
        }
    }
    document
});

/// By operation and status.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The document.
pub(crate) fn document() -> Value {
    serde_json::to_value(queqiao::web::document()).unwrap()
}

/// The schemas that are parts of others: what these add is no more than they say.
fn parts(document: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(document, &mut |value| {
        for part in value["allOf"].as_array().into_iter().flatten() {
            if let Some(name) = part["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
                names.insert(name.to_owned());
            }
        }
    });
    names
}

fn walk(value: &Value, see: &mut impl FnMut(&Value)) {
    see(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|inner| walk(inner, see)),
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, see)),
        _ => {}
    }
}

fn close(schema: &mut Value) {
    if (schema["properties"].is_object() || schema["allOf"].is_array())
        && schema["additionalProperties"].is_null()
    {
        schema["unevaluatedProperties"] = json!(false);
    }
}

/// What a reference of the document means, or the value itself.
pub(crate) fn resolved(value: &Value) -> &Value {
    let target = value["$ref"]
        .as_str()
        .map(|target| target.trim_start_matches('#'));
    target.map_or(value, |target| STRICT.pointer(target).unwrap())
}

/// The operation that a path below `/api/v1` means, with its template.
fn operation(method: &Method, path: &str) -> Option<(String, &'static Value)> {
    let paths = STRICT["paths"].as_object().unwrap();
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        let same = |(part, asked): (&&str, &&str)| match part.starts_with('{') {
            true => !asked.is_empty(),
            false => part == asked,
        };
        parts.len() == asked.len() && parts.iter().zip(&asked).all(same)
    };
    let found = paths.iter().filter(|(template, _)| fits(template));
    // The one with the fewest names.
    let (template, item) = found.min_by_key(|(template, _)| template.matches('{').count())?;
    let method = match *method {
        Method::HEAD => "get".to_owned(),
        _ => method.as_str().to_lowercase(),
    };
    let operation = item.get(&method)?;
    Some((format!("{method} {template}"), operation))
}

/// Compares an answer with the document.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let Some((name, operation)) = operation(method, path) else {
        assert!(
            [400, 401, 404, 405].contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        return;
    };
    let status = answer.status.to_string();
    let response = resolved(&operation["responses"][&status]);
    assert!(
        response.is_object(),
        "{name}: the document has no {status}: {answer:?}"
    );
    if *method == Method::HEAD {
        return;
    }
    let empty = Map::new();
    let content = response["content"].as_object().unwrap_or(&empty);
    let Some(kind) = answer.headers.get("content-type") else {
        assert!(
            content.is_empty() && answer.text.is_empty(),
            "{name} {status}: {answer:?}"
        );
        return;
    };
    let kind = kind.to_str().unwrap().split(';').next().unwrap();
    let schema = &content
        .get(kind)
        .unwrap_or_else(|| panic!("{name} {status} is no {kind}"))["schema"];
    if !kind.ends_with("json") {
        return;
    }
    let validator = cached(format!("{name} {status}"), schema);
    let json = answer.json();
    let faults = faults_of(&validator, &json);
    assert!(
        faults.is_empty(),
        "{name} {status}: {faults:#?} in {json:#}"
    );
}

/// What a value has that a schema of the document does not say, or lacks.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    faults_of(&validator_of(schema), value)
}

fn faults_of(validator: &Validator, value: &Value) -> Vec<String> {
    let faults = validator.iter_errors(value);
    faults
        .map(|fault| format!("{fault} at {}", fault.instance_path()))
        .collect()
}

fn cached(name: String, schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(name);
    Arc::clone(validator.or_insert_with(|| Arc::new(validator_of(schema))))
}

fn validator_of(schema: &Value) -> Validator {
    let mut whole = schema.clone();
    close(&mut whole);
    whole["components"] = STRICT["components"].clone();
    jsonschema::draft202012::new(&whole).unwrap()
}
