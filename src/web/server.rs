//! The server below the routes: its listeners, its threads, and what bounds every connection.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, error::DispatchError};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{
    IntoServiceFactory as _, Service as _, ServiceFactory, ServiceFactoryExt as _,
    apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};

use super::callback::Refusals;
use super::connection::{Connection, Connections, Phase};
use super::stray::Strays;
use super::{Routes, State, auth, body, configure, limit, rates};
use crate::config;

/// How long a connection may be idle between two requests, and how long the first head may take.
const IDLE: Duration = Duration::from_secs(5);
/// How long a refused body is read past before its connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// Connections that wait in the system's queue; the standard library asks for 128.
const BACKLOG: i32 = 2_048;
/// Threads where their number is not said: the server takes no more.
const THREADS_MAX: usize = 512;

/// What all threads share.
#[derive(Clone)]
struct Shared {
    state: web::Data<State>,
    strays: web::Data<Strays>,
    refused_pushes: web::Data<Refusals>,
    refused_keys: web::Data<auth::Refusals>,
    rates: web::Data<rates::Rates>,
    large_bodies: web::Data<body::LargeBodies>,
    connections: Connections,
    stalled: Duration,
    stopping: GracefulShutdownSignal,
}

impl Shared {
    fn provide(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.state.clone())
            .app_data(self.strays.clone())
            .app_data(self.large_bodies.clone())
            .app_data(self.refused_pushes.clone())
            .app_data(self.refused_keys.clone())
            .app_data(self.rates.clone());
    }
}

/// A bound socket and what is served on it.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// What is served.
    pub routes: Routes,
}

/// Serves on bound listeners until the server's handle stops it.
///
/// # Errors
/// If a listener cannot be used.
pub fn serve(listeners: Vec<Listener>, state: State) -> std::io::Result<Server> {
    let settings = state.bridge.config.server.clone();
    let threads = threads(&settings);
    let (of_each, most) = limit::connections(&state.bridge.config, threads);
    let mut builder = ServerBuilder::default()
        .workers(threads)
        .max_concurrent_connections(of_each)
        .shutdown_timeout(settings.shutdown_seconds)
        .disable_signals();
    let shared = Shared {
        large_bodies: web::Data::new(body::LargeBodies::new(&state.bridge.config.api)),
        state: web::Data::from(Arc::new(with_reads_of_its_own(state))),
        strays: web::Data::new(Strays::default()),
        refused_pushes: web::Data::new(Refusals::default()),
        refused_keys: web::Data::new(auth::Refusals::default()),
        rates: web::Data::new(rates::Rates::default()),
        connections: Connections::new(most, settings.max_connections_per_address),
        stalled: Duration::from_secs(settings.stalled_seconds),
        stopping: builder.graceful_shutdown_signal(),
    };
    for Listener { socket, routes } in listeners {
        let address = socket.local_addr()?;
        rustix::net::listen(&socket, BACKLOG)?;
        let shared = shared.clone();
        let factory = move || service(&shared, routes, address);
        builder = builder.listen("queqiao", socket, factory)?;
    }
    Ok(builder.run())
}

fn threads(settings: &config::Server) -> usize {
    match settings.workers {
        0 => {
            std::thread::available_parallelism().map_or(2, |threads| threads.get().min(THREADS_MAX))
        }
        threads => threads,
    }
}

/// What the API is asked for must not keep callbacks and the work behind them waiting.
fn with_reads_of_its_own(mut state: State) -> State {
    let database = &state.bridge.config.database;
    let most = Duration::from_millis(database.api_timeout_ms);
    state.bridge.db = state.bridge.db.for_guests(database.api_connections, most);
    state
}

/// What one thread does with the connections of one listener.
fn service(
    shared: &Shared,
    routes: Routes,
    address: SocketAddr,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
+ use<> {
    let recipients = shared.state.bridge.config.deliver.max_recipients;
    let app = App::new()
        .configure(|config| shared.provide(config))
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
        .configure(|config| configure(config, routes, recipients))
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    let (stalled, stopping) = (shared.stalled, shared.stopping.clone());
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(IDLE.min(stalled))
        .client_request_timeout(IDLE.min(stalled))
        .client_disconnect_timeout(LINGER)
        .local_addr(address)
        .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
            data.insert(connection.phase());
        })
        .h1(map_config(app, |()| AppConfig::default()));
    let watched = apply_fn_factory(http, move |(connection, peer): (Connection, _), http| {
        let phase = connection.phase();
        let served = http.call((connection, peer));
        async move {
            tokio::select! {
                biased;
                served = served => served,
                () = phase.stalled(stalled) => Ok(()),
            }
        }
    });
    let connections = shared.connections.clone();
    fn_service(move |stream: TcpStream| ready(admit(stream, &connections))).and_then(watched)
}

fn admit(
    stream: TcpStream,
    connections: &Connections,
) -> Result<(Connection, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().map_err(DispatchError::Io)?;
    let counted = connections.count(peer.ip());
    let counted = counted.ok_or_else(|| {
        let error = std::io::Error::other("too many connections of one address");
        DispatchError::Io(error)
    })?;
    let _ = stream.set_nodelay(true);
    Ok((Connection::new(stream, counted), Some(peer)))
}
