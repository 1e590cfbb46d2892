//! The loop around a step: run it while there is work, then sleep until a signal, a time or a
//! poll; back off when it fails; stop between two steps at shutdown.

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::bridge::spool::Spool;
use crate::bridge::{Bridge, Step};
use crate::logging;

/// The first pause after a step failed, doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often to look for what is due by the minute or the hour.
const SELDOM: Duration = Duration::from_secs(30);
/// How often to look for processes that stand still.
const EACH_SECOND: Duration = Duration::from_secs(1);
/// How often the accounts beside the spool are brought up to date.
const ACCOUNTS: Duration = Duration::from_secs(5);
/// How often those look who are woken by others.
const WOKEN_ONLY: Duration = Duration::from_secs(600);

/// Starts every step of the bridge. They stop when `shutdown` becomes true; a step that is under
/// way is finished first.
pub fn start(bridge: &Bridge, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let often = Duration::from_millis(bridge.config.process.poll_ms);
    let seldom = often.max(SELDOM);
    let (woken, each_second) = (WOKEN_ONLY, EACH_SECOND);
    macro_rules! spawn {
        ($name:literal, $signal:ident, $poll:ident, $step:ident($($argument:expr),*)) => {{
            let (bridge, shutdown) = (bridge.clone(), shutdown.clone());
            workers.spawn(async move {
                let wake = &bridge.signals.$signal;
                run($name, wake, $poll, shutdown, || bridge.$step($($argument),*)).await;
            });
        }};
    }
    spawn!("process", events, often, process_step());
    spawn!("profile", profiles, often, profile_step());
    spawn!("import", imports, often, import_step(None));
    spawn!("erase", erasures, often, erase_step(None));
    spawn!("receipts", receipts, often, receipt_step());
    spawn!("templates", templates, seldom, template_step());
    spawn!("overdue", overdue, seldom, overdue_step());
    spawn!("webhooks", webhooks, often, webhook_step());
    spawn!("prune", kept, seldom, webhook_prune_step());
    spawn!("due", due, often, due_step());
    spawn!("ends", ends, seldom, ends_step());
    spawn!("stopped", due, each_second, stopped_step());
    let settings = &bridge.config.deliver;
    for _ in 0..settings.loops.saturating_add(settings.urgent_loops) {
        let (bridge, shutdown) = (bridge.clone(), shutdown.clone());
        workers.spawn(async move {
            // Woken by the one that looks, and by each other.
            let wake = &bridge.signals.deliveries;
            run("deliver", wake, woken, shutdown, || bridge.deliver_step()).await;
            bridge.record_last().await;
        });
    }
    let (bridge, mut shutdown) = (bridge.clone(), shutdown.clone());
    // Turns that are under way go on by themselves; a shutdown waits for them as for the steps.
    workers.spawn(async move {
        drop(shutdown.wait_for(|stop| *stop).await);
        bridge.webhooks_settled().await;
    });
    workers
}

/// Starts what empties the spool into the database and keeps the accounts beside it; they stop as the
/// others do.
pub fn start_spool(
    workers: &mut JoinSet<()>,
    bridge: &Bridge,
    spool: &Spool,
    shutdown: &watch::Receiver<bool>,
) {
    let often = Duration::from_millis(bridge.config.process.poll_ms);
    let (of, kept, stop) = (bridge.clone(), spool.clone(), shutdown.clone());
    workers.spawn(async move {
        let drain = || async {
            let step = kept.drain_step(&of.db).await;
            if matches!(step, Ok(Step::Worked)) {
                of.signals.events.notify_one();
            }
            step
        };
        run("spool", kept.wake(), often, stop, drain).await;
    });
    let (of, kept, stop) = (bridge.clone(), spool.clone(), shutdown.clone());
    workers.spawn(async move {
        let never = Notify::new();
        run("spool accounts", &never, ACCOUNTS, stop, || {
            kept.know_step(&of.db)
        })
        .await;
    });
}

/// Runs one step over and over.
async fn run<E, S, F>(
    name: &'static str,
    wake: &Notify,
    poll: Duration,
    mut shutdown: watch::Receiver<bool>,
    step: S,
) where
    E: Display,
    S: Fn() -> F,
    F: Future<Output = Result<Step, E>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        if *shutdown.borrow() {
            return;
        }
        // Registered before the step looks, so that a signal in between is not missed.
        let woken = wake.notified();
        let rest = match step().await {
            Ok(Step::Worked) => {
                pause = FIRST_PAUSE;
                continue;
            }
            Ok(Step::Idle) => poll,
            Ok(Step::Later(rest)) => rest.min(poll),
            Err(error) => {
                // In an outage every loop meets the same.
                if let Some(unsaid) = logging::now_and_then(&error.to_string()) {
                    tracing::error!(
                        worker.name = name,
                        %error,
                        unsaid,
                        "step failed, will be tried again"
                    );
                }
                let rest = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                tokio::select! {
                    () = tokio::time::sleep(rest) => continue,
                    _ = shutdown.wait_for(|stop| *stop) => return,
                }
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(rest) => {}
            _ = shutdown.wait_for(|stop| *stop) => return,
        }
    }
}
