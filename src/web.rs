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
mod rates;
mod stray;

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, error::DispatchError};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory as _, Service as _, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::http::header::ContentType;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;

use callback::Refusals;
use connection::{Addresses, Connection, Phase};
use stray::Strays;

use crate::bridge::Bridge;
use crate::bridge::receive::Intake;

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

/// Which routes a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Callbacks, the API and health.
    All,
    /// Health and metrics: for a process that only works.
    HealthOnly,
}

/// How long a connection may be idle between two requests, and how long the first head may take.
const IDLE: Duration = Duration::from_secs(5);
/// How long a refused body is read past before its connection is closed.
const LINGER: Duration = Duration::from_secs(1);

/// Serves on a bound listener until the server's handle stops it.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(listener: TcpListener, state: State, routes: Routes) -> std::io::Result<Server> {
    let settings = state.bridge.config.server.clone();
    let state = web::Data::from(Arc::new(with_reads_of_its_own(state)));
    let strays = web::Data::new(Strays::default());
    let refused_pushes = web::Data::new(Refusals::default());
    let refused_keys = web::Data::new(auth::Refusals::default());
    let rates = web::Data::new(rates::Rates::default());
    let desk = web::Data::new(body::Desk::new(&state.bridge.config.api));
    let recipients = state.bridge.config.deliver.max_recipients;
    let addresses = Addresses::default();
    let address = listener.local_addr()?;
    let stalled = Duration::from_secs(settings.stalled_seconds);
    let most = settings.max_connections_per_address;
    let mut builder = ServerBuilder::default();
    if settings.workers > 0 {
        builder = builder.workers(settings.workers);
    }
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder
        .shutdown_timeout(settings.shutdown_seconds)
        .disable_signals();
    let factory = move || {
        let app = App::new()
            .app_data(state.clone())
            .app_data(strays.clone())
            .app_data(desk.clone())
            .app_data(refused_pushes.clone())
            .app_data(refused_keys.clone())
            .app_data(rates.clone())
            .wrap_fn(|request, service| {
                let phase = request.request().conn_data::<Rc<Phase>>().cloned();
                phase.iter().for_each(|phase| phase.begin());
                let answer = service.call(request);
                async move {
                    let answer = answer.await;
                    phase.iter().for_each(|phase| phase.end());
                    answer
                }
            })
            .configure(|config| configure(config, routes, recipients));
        let app = app
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(IDLE)
            .client_request_timeout(IDLE)
            .client_disconnect_timeout(LINGER)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
                data.insert(connection.phase());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let addresses = addresses.clone();
        fn_service(move |stream: TcpStream| ready(accept(stream, &addresses, most, stalled)))
            .and_then(http)
    };
    Ok(builder.listen("queqiao", listener, factory)?.run())
}

/// The connection of a socket, with its limits, and the address it comes from.
fn accept(
    stream: TcpStream,
    addresses: &Addresses,
    most: usize,
    stalled: Duration,
) -> Result<(Connection, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    let counted = match (peer, most) {
        (_, 0) | (None, _) => None,
        (Some(peer), most) => Some(addresses.count(peer.ip(), most).ok_or_else(|| {
            let error = std::io::Error::other("too many connections of one address");
            DispatchError::Io(error)
        })?),
    };
    let _ = stream.set_nodelay(true);
    Ok((Connection::new(stream, stalled, counted), peer))
}

/// What the API is asked for must not keep callbacks and the work behind them waiting.
fn with_reads_of_its_own(mut state: State) -> State {
    let database = &state.bridge.config.database;
    let most = Duration::from_millis(database.api_timeout_ms);
    state.bridge.db = state.bridge.db.for_guests(database.api_connections, most);
    state
}

fn configure(config: &mut web::ServiceConfig, routes: Routes, max_recipients: usize) {
    // In the order in which they are tried: the callbacks are the many.
    if routes == Routes::All {
        config.route(
            "/readyz/callbacks",
            web::get().to(health::ready_for_callbacks),
        );
        config.service(
            // nginx and its like append a slash.
            web::resource(["/callback/{app_id}", "/callback/{app_id}/"])
                .route(web::post().to(callback::receive))
                .route(web::get().to(callback::verify)),
        );
    }
    config
        .route("/", web::get().to(welcome))
        .route("/healthz", web::get().to(health::alive))
        .route("/readyz", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics));
    if routes == Routes::All {
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
