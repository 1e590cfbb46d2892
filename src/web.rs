//! The HTTP edge: every route on one screen.

mod api;
mod auth;
mod body;
mod callback;
mod connection;
mod cursor;
mod error;
mod headers;
mod health;
mod limit;
mod rates;
mod server;
mod stray;

use actix_web::guard::{self, Guard};
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, Route, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::bridge::Bridge;
use crate::bridge::intake::Intake;

pub use api::document;
pub use error::problem_codes;
pub use limit::raise_descriptors;
pub use server::{Listener, serve};

/// What the handlers work with.
#[derive(Clone)]
pub struct State {
    /// The steps of the data path.
    pub bridge: Bridge,
    /// The way into the events table.
    pub intake: Intake,
    /// Renders this process's metrics, where they are recorded.
    pub metrics: Option<PrometheusHandle>,
}

/// What is served on a listener, beside health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// WeChat's callbacks.
    pub callbacks: bool,
    /// The API.
    pub api: bool,
    /// Metrics.
    pub metrics: bool,
}

impl Routes {
    /// Everything.
    pub const ALL: Self = Self {
        callbacks: true,
        api: true,
        metrics: true,
    };
}

/// A route of GET, which answers HEAD too (RFC 9110, 9.3.2): monitors ask so. The server leaves the body out.
fn looked_up() -> Route {
    web::route().guard(is_look_up())
}

fn is_look_up() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

fn configure(config: &mut web::ServiceConfig, routes: Routes, max_recipients: usize) {
    // In the order in which they are tried: the callbacks are the many.
    if routes.callbacks {
        config.route(
            "/readyz/callbacks",
            looked_up().to(health::ready_for_callbacks),
        );
        config.service(
            // nginx and its like append a slash.
            web::resource(["/callback/{app_id}", "/callback/{app_id}/"])
                .route(web::post().to(callback::receive))
                .route(looked_up().to(callback::verify)),
        );
    }
    config
        .route("/healthz", looked_up().to(health::alive))
        .route("/readyz", looked_up().to(health::ready));
    if routes.metrics {
        config.route("/metrics", looked_up().to(health::metrics));
    }
    if routes.api {
        config.route("/", looked_up().to(welcome));
        config.configure(api::page);
        config.service(api::scope(max_recipients));
    }
    config.default_service(web::to(stray::nowhere));
}

/// `GET /`: for somebody who opens the address to see what is there.
async fn welcome() -> HttpResponse {
    let text = format!(
        "This is Queqiao. Its API is under /api/v1. {}\n",
        api::DOCUMENTED
    );
    HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(text)
}

/// For `fuzzing`: what is read as a cursor of a list is written as the same one.
#[doc(hidden)]
pub fn fuzz_cursor(text: &str) {
    cursor::fuzz(text);
}
