//! Examples of bodies and answers, made of the examples of their fields: so each has the shape that the document says.

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Schema, SchemaType, Type};
use utoipa::openapi::{Components, Object, OpenApi, RefOr};

use super::operations::operations;
use super::problems::PROBLEM;

/// How deep an example goes.
const DEPTH_MAX: usize = 24;
/// Where the schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// Adds an example to each body and answer that has a schema and none.
pub(super) fn add(document: &mut OpenApi) {
    let components = document.components.clone().unwrap_or_default();
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            let body = operation.request_body.iter_mut();
            let bodies = body.filter_map(|body| match body {
                RefOr::T(body) => Some(body.content.values_mut()),
                RefOr::Ref(_) => None,
            });
            let answers = operation.responses.responses.values_mut();
            let answers = answers.filter_map(|answer| match answer {
                // What a problem looks like is said once, at its schema.
                RefOr::T(answer) if !answer.content.contains_key(PROBLEM) => {
                    Some(answer.content.values_mut())
                }
                RefOr::T(_) => None,
                RefOr::Ref(_) => None,
            });
            for content in bodies.flatten().chain(answers.flatten()) {
                if let RefOr::T(content) = content
                    && content.example.is_none()
                    && let Some(schema) = &content.schema
                {
                    content.example = Some(sample(&components, schema, 0));
                }
            }
        }
    }
}

fn sample(components: &Components, schema: &RefOr<Schema>, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    let schema = match schema {
        RefOr::T(schema) => schema,
        RefOr::Ref(target) => {
            let name = target.ref_location.strip_prefix(SCHEMAS);
            let found = name.and_then(|name| components.schemas.get(name));
            return found.map_or(Value::Null, |schema| sample(components, schema, depth + 1));
        }
    };
    match schema {
        Schema::Object(object) => of_object(components, object, depth),
        Schema::Array(array) => match &array.items {
            utoipa::openapi::schema::ArrayItems::RefOrSchema(items) => {
                json!([sample(components, items, depth + 1)])
            }
            utoipa::openapi::schema::ArrayItems::False => json!([]),
        },
        Schema::AllOf(all) => {
            let mut whole = Map::new();
            for part in &all.items {
                if let Value::Object(fields) = sample(components, part, depth + 1) {
                    whole.extend(fields);
                }
            }
            Value::Object(whole)
        }
        Schema::OneOf(one) => first(components, &one.items, depth),
        Schema::AnyOf(any) => first(components, &any.items, depth),
        _ => Value::Null,
    }
}

/// Of several, the one that is not null.
fn first(components: &Components, items: &[RefOr<Schema>], depth: usize) -> Value {
    let samples = items.iter().map(|item| sample(components, item, depth + 1));
    samples
        .into_iter()
        .find(|sample| !sample.is_null())
        .unwrap_or_default()
}

fn of_object(components: &Components, object: &Object, depth: usize) -> Value {
    if let Some(example) = object.example.as_ref().or_else(|| object.examples.first()) {
        return example.clone();
    }
    if let Some(first) = object.enum_values.iter().flatten().next() {
        return first.clone();
    }
    let types = match &object.schema_type {
        SchemaType::Type(one) => std::slice::from_ref(one),
        SchemaType::Array(several) => several.as_slice(),
        SchemaType::AnyValue => return json!({}),
    };
    let format = object.format.as_ref().and_then(|format| {
        let format = serde_json::to_value(format).ok()?;
        format.as_str().map(str::to_owned)
    });
    match types.iter().find(|one| **one != Type::Null) {
        Some(Type::String) => match format.as_deref() {
            Some("date-time") => json!("2026-11-20T01:02:03Z"),
            Some("date") => json!("2026-11-20"),
            _ => json!("…"),
        },
        Some(Type::Integer | Type::Number) => {
            json!(object.minimum.as_ref().map_or(json!(1), |it| json!(it)))
        }
        Some(Type::Boolean) => json!(true),
        Some(Type::Object) => {
            let mut fields: Map<String, Value> = object
                .properties
                .iter()
                .map(|(name, property)| (name.clone(), sample(components, property, depth + 1)))
                .collect();
            if let Some(others) = &object.additional_properties
                && let AdditionalProperties::RefOr(schema) = others.as_ref()
            {
                fields.insert("…".to_owned(), sample(components, schema, depth + 1));
            }
            Value::Object(fields)
        }
        _ => Value::Null,
    }
}
