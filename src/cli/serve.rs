//! `queqiao serve`: the service.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::context::{self, Service};
use super::listeners;
use super::role::Role;
use crate::bridge::Bridge;
use crate::bridge::intake::Intake;
use crate::bridge::intake::spool::Spool;
use crate::bridge::users::first_owner::FIRST_OWNER;
use crate::cli::terminal::say;
use crate::config::Config;
use crate::web::{self, Listener, State};
use crate::{metrics, worker};

/// How often a database that does not answer at the start is asked again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often the first owner is tried to be made while the database does not take it.
const FIRST_OWNER_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// What this process does.
    #[arg(long, value_enum, default_value_t)]
    role: Role,
    /// Address and port to listen on, instead of the configured one.
    #[arg(long)]
    bind: Option<String>,
}

pub(super) async fn run(mut config: Config, args: Args) -> Result<()> {
    if let Some(bind) = args.bind {
        config.server.bind = bind;
    }
    web::raise_descriptors();
    let listeners = listeners::bind(&config.server, args.role)?;
    let takes_callbacks = args.role != Role::Worker;
    let server = config.server.clone();
    let service = context::open_service(config, takes_callbacks).await?;
    // Whoever reads that it listens may stop it.
    let stop = stop_signal()?;
    listeners::announce(&listeners, &server)?;
    if listeners.iter().any(|listener| listener.routes.api) {
        tokio::spawn(add_first_owner(service.bridge.clone(), service.is_up));
    }
    serve(service, listeners, args.role, stop).await
}

/// Where nobody can sign in yet, makes the owner who can, and shows the password on the terminal, this once. It waits for
/// a database that is brought up to date first.
async fn add_first_owner(bridge: Bridge, mut is_up: bool) {
    if !bridge.config.users.local {
        return;
    }
    loop {
        if is_up {
            match bridge.add_first_owner().await {
                Ok(None) => return,
                Ok(Some(password)) => {
                    say!("There was no user yet, so an owner was made, who signs in with");
                    say!("  name      {FIRST_OWNER}");
                    say!("  password  {}", password.expose_secret());
                    say!(
                        "It is shown only now. To make another: queqiao users password {FIRST_OWNER}"
                    );
                    return;
                }
                Err(error) => tracing::debug!(%error, "the first owner is made later"),
            }
        }
        tokio::time::sleep(FIRST_OWNER_AGAIN).await;
        is_up = true;
    }
}

/// Serves until `stop` completes, then lets what is in flight come to its end.
pub(super) async fn serve(
    service: Service,
    listeners: Vec<Listener>,
    role: Role,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let Service {
        bridge,
        spool,
        mut is_up,
    } = service;
    let (intake, writer) = Intake::start(bridge.db.clone(), &bridge.config.intake, spool.clone())?;
    let state = State {
        bridge: bridge.clone(),
        intake,
        metrics: metrics::install().ok(),
    };
    let server = web::serve(listeners, state)?;
    let handle = server.handle();
    let (shutdown, stopping) = watch::channel(false);
    let start = || workers(&bridge, spool.as_ref(), role, &stopping);
    let mut workers = match is_up {
        true => start(),
        false => JoinSet::new(),
    };
    tracing::info!(?role, "serving");
    let mut served = tokio::spawn(server);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            ended = &mut served => {
                ended.context("the HTTP server ended")??;
                return Ok(());
            }
            up = wait_for_database(&bridge), if !is_up => {
                up?;
                is_up = true;
                workers = start();
            }
        }
    }
    tracing::info!("shutting down");
    // First no more callbacks and requests, each in flight answered; then the steps, each
    // finished; then the writer, which ends when the last handler that feeds it is gone.
    handle.stop(true).await;
    served.await.context("the HTTP server ended")??;
    shutdown.send_replace(true);
    let patience = Duration::from_secs(bridge.config.server.shutdown_seconds);
    let finished = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, finished).await.is_err() {
        tracing::warn!("some work did not finish in time; its leases will run out");
    }
    let written = tokio::task::spawn_blocking(move || writer.join());
    if tokio::time::timeout(patience, written).await.is_err() {
        tracing::warn!("the database did not take the last events in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The work of a role.
fn workers(
    bridge: &Bridge,
    spool: Option<&Spool>,
    role: Role,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut workers = match role {
        Role::All | Role::Worker => worker::start(bridge, stopping),
        Role::Web => worker::start_own(bridge, stopping),
    };
    if let Some(spool) = spool {
        worker::start_spool(&mut workers, bridge, spool, stopping);
    }
    workers
}

/// Brings the database up to date as soon as it answers.
async fn wait_for_database(bridge: &Bridge) -> Result<()> {
    loop {
        let db = bridge.db.clone();
        let migrated = tokio::task::spawn_blocking(move || db.migrate()).await?;
        match migrated {
            Ok(_) => return Ok(()),
            // It may also go away while it is brought up to date, or take nothing yet.
            Err(error) if error.may_pass() => tokio::time::sleep(TRY_AGAIN).await,
            Err(error) => return Err(error).context("bringing the database up to date"),
        }
    }
}

/// Completes at the first interrupt or termination signal.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
