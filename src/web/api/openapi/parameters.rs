//! Parameters that mean the same wherever they stand: the parts of the paths, and what filters have in common.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Object, Required};

use crate::bridge::limits::{ID_MAX, MESSAGE_TYPE_NAME_MAX, TAG_MAX};
use crate::web::cursor::{LIMIT_DEFAULT, LIMIT_MAX};

/// What a part of a path is.
struct Part {
    name: &'static str,
    description: &'static str,
    /// Characters of a text; null: a whole number from 1.
    most: Option<usize>,
    example: fn() -> Value,
}

const PARTS: &[Part] = &[
    Part {
        name: "app_id",
        description: "The AppID of an account of the project.",
        most: Some(ID_MAX),
        example: || json!("wx0123456789abcdef"),
    },
    Part {
        name: "staff_id",
        description: "The business's own id of a staff member.",
        most: Some(ID_MAX),
        example: || json!("e1001"),
    },
    Part {
        name: "identity_id",
        description: "The number of one openid in one account.",
        most: None,
        example: || json!(514),
    },
    Part {
        name: "name",
        description: "The name of a message type.",
        most: Some(MESSAGE_TYPE_NAME_MAX),
        example: || json!("order_created"),
    },
    Part {
        name: "message_id",
        description: "The number of a message to an endpoint.",
        most: None,
        example: || json!(9),
    },
    Part {
        name: "id",
        description: "The number of the object, as the API gave it.",
        most: None,
        example: || json!(7),
    },
];

/// A parameter of several query strings.
struct Shared {
    name: &'static str,
    description: &'static str,
    schema: fn(ObjectBuilder) -> ObjectBuilder,
    example: fn() -> Value,
}

const SHARED: &[Shared] = &[
    Shared {
        name: "limit",
        description: "How many items a page has at the most.",
        schema: |schema| {
            let schema = schema.schema_type(Type::Integer).minimum(Some(1));
            schema
                .maximum(Some(LIMIT_MAX))
                .default(Some(json!(LIMIT_DEFAULT)))
        },
        example: || json!(LIMIT_DEFAULT),
    },
    Shared {
        name: "cursor",
        description: "`next_cursor` of the page before, unchanged.",
        schema: |schema| schema.schema_type(Type::String),
        example: || Value::Null,
    },
    Shared {
        name: "app_id",
        description: "Only what is of the account with this AppID.",
        schema: |schema| schema.schema_type(Type::String).max_length(Some(ID_MAX)),
        example: || json!("wx0123456789abcdef"),
    },
    Shared {
        name: "staff_id",
        description: "Only what is of this staff member.",
        schema: |schema| schema.schema_type(Type::String).max_length(Some(ID_MAX)),
        example: || json!("e1001"),
    },
    Shared {
        name: "openid",
        description: "Only what is of this openid.",
        schema: |schema| schema.schema_type(Type::String).max_length(Some(ID_MAX)),
        example: || Value::Null,
    },
    Shared {
        name: "unionid",
        description: "Only what is of this unionid.",
        schema: |schema| schema.schema_type(Type::String).max_length(Some(ID_MAX)),
        example: || Value::Null,
    },
    Shared {
        name: "since",
        description: "From this time on: RFC 3339, or seconds since 1970.",
        schema: |schema| schema.schema_type(Type::String),
        example: || json!("2026-11-01T00:00:00Z"),
    },
    Shared {
        name: "until",
        description: "Before this time: RFC 3339, or seconds since 1970.",
        schema: |schema| schema.schema_type(Type::String),
        example: || json!("2026-12-01T00:00:00Z"),
    },
    Shared {
        name: "tag",
        description: "Only staff who have this tag.",
        schema: |schema| schema.schema_type(Type::String).max_length(Some(TAG_MAX)),
        example: || json!("warehouse"),
    },
    Shared {
        name: "reachable",
        description: "Only those who are reached, or only those who are not.",
        schema: |schema| schema.schema_type(Type::Boolean),
        example: || json!(false),
    },
];

/// Describes a parameter of a query string that has no description of its own.
pub(super) fn describe(parameter: &mut Parameter) {
    if parameter.description.is_some() {
        return;
    }
    let shared = SHARED.iter().find(|shared| shared.name == parameter.name);
    // A test looks whether each has a description.
    let Some(shared) = shared else { return };
    let example = Some((shared.example)()).filter(|example| !example.is_null());
    *parameter = ParameterBuilder::from(parameter.clone())
        .description(Some(shared.description))
        .schema(Some((shared.schema)(ObjectBuilder::new()).build()))
        .example(example)
        .build();
}

/// The parts of a path, in their order.
pub(super) fn of_path(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    // A test compares what a path names with what is described.
    names.filter_map(|name| PARTS.iter().find(|part| part.name == name).map(parameter))
}

fn parameter(part: &Part) -> Parameter {
    ParameterBuilder::new()
        .name(part.name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(part.description))
        .schema(Some(schema(part)))
        .example(Some((part.example)()))
        .build()
}

fn schema(part: &Part) -> Object {
    match part.most {
        Some(most) => ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(most))
            .build(),
        None => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .build(),
    }
}
