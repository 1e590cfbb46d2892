//! The document that describes the API (OpenAPI 3.1), `/openapi.json`, and a page on which to try it, `/docs/api`.
//!
//! What an operation takes and answers is said at its handler (`#[utoipa::path]`) and at the types of its bodies.
//! What many have in common is added by `complete`: the scopes of the route table, the parts of the paths,
//! the problems that any such request may meet, and examples.

mod complete;
mod operations;
mod page;
mod parameters;
mod problems;
mod samples;
mod webhooks;

use std::sync::LazyLock;

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

pub(in crate::web) use page::page;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Queqiao",
        description = "The API of Queqiao, an event bridge for WeChat official accounts. docs/api.md of its source \
                       explains it, with rules and examples for each operation.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/api/v1")),
    paths(
        super::sessions::create,
        super::subscriptions::create,
        super::identities::create,
        super::credits::low,
        super::staff::list,
        super::staff::import::create,
        super::staff::export::find,
        super::staff::put,
        super::staff::find,
        super::staff::delete,
        super::staff::bindings::create,
        super::staff::bindings::delete,
        super::staff::invitations::create,
        super::staff::invitations::list,
        super::staff::invitations::revoke,
        super::credits::of_staff,
        super::explain::find,
        super::people::list,
        super::people::find,
        super::erasures::create,
        super::erasures::find,
        super::message_types::list,
        super::message_types::put,
        super::message_types::find,
        super::message_types::delete,
        super::message_types::preview::create,
        super::notifications::create,
        super::notifications::list,
        super::notifications::preflight::create,
        super::notifications::find,
        super::notifications::cancel::create,
        super::deliveries::list,
        super::deliveries::search::search,
        super::deliveries::retry::many,
        super::deliveries::search::find,
        super::deliveries::retry::one,
        super::events::list,
        super::events::replay::many,
        super::events::find,
        super::events::replay,
        super::accounts::list,
        super::accounts::resume,
        super::moved::list,
        super::moved::rebind,
        super::imports::create,
        super::access_token::lend,
        super::access_token::report,
        super::templates::list,
        super::templates::sync,
        super::webhooks::create,
        super::webhooks::list,
        super::webhooks::find,
        super::webhooks::put,
        super::webhooks::delete,
        super::webhooks::rotate,
        super::webhooks::test,
        super::webhooks::messages::replay,
        super::webhooks::messages::list,
        super::webhooks::messages::retry,
        super::stats::find,
        super::audit::list,
        super::imports::find,
        super::sign_in::create,
        super::sign_in::find,
        super::sign_in::delete,
        super::sign_in::oidc::begin,
        super::sign_in::oidc::finish,
        super::sign_in::password::put,
        super::users::create,
        super::users::list,
        super::users::find,
        super::users::put,
        super::users::delete,
        super::users::sessions::delete,
    ),
    components(schemas(crate::web::error::Shown)),
)]
struct Described;

/// The document that describes the API.
pub fn document() -> &'static OpenApi {
    &DOCUMENT
}

static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| {
    let mut document = Described::openapi();
    complete::complete(&mut document, &super::table(1).demands);
    samples::add(&mut document);
    problems::share(&mut document);
    webhooks::add(&mut document);
    document
});
