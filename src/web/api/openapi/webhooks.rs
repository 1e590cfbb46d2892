//! What endpoints are posted: the events that they subscribe to, the test, and notifications of the channel `webhook`.

use serde_json::json;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Required, ResponseBuilder};

use crate::bridge::deliver::endpoint::Notified;
use crate::bridge::webhooks::outbox::described::{self, Shape};
use crate::bridge::webhooks::{EventKind, PING};

/// The type of a notification of the channel `webhook`.
const NOTIFICATION: &str = "notification";

/// Adds them.
pub(super) fn add(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    let mut paths = PathsBuilder::new();
    let events = EventKind::ALL
        .iter()
        .map(|&kind| (kind.as_str(), Some(described::shape(kind))));
    let others = [
        (PING, None),
        (NOTIFICATION, Some(Shape::of::<Notified<'_>>())),
    ];
    for (kind, shape) in events.chain(others) {
        let data = match shape {
            Some(shape) => {
                components.schemas.extend(shape.named);
                shape.schema
            }
            None => ping().into(),
        };
        let body = ObjectBuilder::new()
            .property(
                "type",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some([kind])),
            )
            .property(
                "timestamp",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
            )
            .property("data", data);
        let body = ["type", "timestamp", "data"]
            .into_iter()
            .fold(body, ObjectBuilder::required);
        let content = ContentBuilder::new().schema(Some(body.build())).build();
        paths = paths.path(
            kind,
            PathItem::new(HttpMethod::Post, operation(kind, content)),
        );
    }
    document.webhooks = Some(paths.build());
}

fn ping() -> utoipa::openapi::schema::Object {
    ObjectBuilder::new()
        .property(
            "webhook_id",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1)),
        )
        .required("webhook_id")
        .build()
}

fn operation(kind: &str, content: utoipa::openapi::Content) -> Operation {
    let body = RequestBodyBuilder::new()
        .content("application/json", content)
        .required(Some(Required::True));
    let taken = "Taken. What any other answer leads to: docs/webhooks.md.";
    OperationBuilder::new()
        .operation_id(Some(format!("webhook_{}", kind.replace('.', "_"))))
        .summary(Some(format!("`{kind}`")))
        .parameters(Some([
            header("webhook-id", "The same in every try: remember those that you have taken."),
            header("webhook-timestamp", "Seconds since 1970: refuse old ones."),
            header("webhook-signature", "`v1,` and the HMAC-SHA256 of id, timestamp and body, as Standard Webhooks have it."),
        ]))
        .request_body(Some(body.build()))
        .response("2XX", ResponseBuilder::new().description(taken))
        .securities(Some(Vec::<SecurityRequirement>::new()))
        .build()
}

fn header(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(match name {
            "webhook-id" => Some(json!("msg_0123456789abcdef0123456789abcdef")),
            "webhook-timestamp" => Some(json!("1767240006")),
            _ => None,
        })
        .build()
}
