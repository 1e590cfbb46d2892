//! The shapes of what events have as `data`, for the document that describes the API.

use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{EventKind, Follow, deliveries, erased, people, pushes, trouble, verification};

/// A shape, and those that it refers to, by name.
pub(crate) struct Shape {
    /// The shape itself.
    pub(crate) schema: RefOr<Schema>,
    /// It and all that it refers to.
    pub(crate) named: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    /// That of a type.
    pub(crate) fn of<T: ToSchema>() -> Self {
        let mut named = vec![(T::name().into_owned(), <T as PartialSchema>::schema())];
        T::schemas(&mut named);
        Self {
            schema: Ref::from_schema_name(T::name()).into(),
            named,
        }
    }

    fn any_of(shapes: impl IntoIterator<Item = Self>) -> Self {
        let (mut either, mut named) = (AnyOfBuilder::new(), Vec::new());
        for shape in shapes {
            either = either.item(shape.schema);
            named.extend(shape.named);
        }
        Self {
            schema: Schema::from(either.build()).into(),
            named,
        }
    }
}

/// The shape of the data of an event.
pub(crate) fn shape(kind: EventKind) -> Shape {
    match kind {
        EventKind::Followed | EventKind::Unfollowed => Shape::of::<Follow<'_>>(),
        EventKind::Linked => Shape::of::<people::Linked<'_>>(),
        EventKind::Erased => Shape::of::<erased::Erased<'_>>(),
        EventKind::Bound | EventKind::Unbound => Shape::of::<people::BindingData<'_>>(),
        EventKind::Sent | EventKind::Delivered | EventKind::Failed => {
            Shape::of::<deliveries::Data<'_>>()
        }
        EventKind::Message => Shape::of::<pushes::Received<'_>>(),
        EventKind::Alert => Shape::any_of([
            Shape::of::<trouble::Alert<'_>>(),
            Shape::of::<trouble::RouteAlert<'_>>(),
            Shape::of::<trouble::MovedAlert<'_>>(),
            Shape::of::<trouble::UndoneAlert<'_>>(),
            Shape::of::<verification::Alert<'_>>(),
        ]),
        EventKind::Disabled => Shape::of::<trouble::Disabled<'_>>(),
        EventKind::Raw => Shape::of::<pushes::Raw<'_>>(),
    }
}
