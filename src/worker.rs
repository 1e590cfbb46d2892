//! The loop around a step: run it while there is work, then sleep until a signal, a time or a
//! poll; back off when it fails or panics; stop between two steps at shutdown.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::bridge::health::loops::{Loops, Running};
use crate::bridge::intake::spool::Spool;
use crate::bridge::steps::{StepName, Steps};
use crate::bridge::{Bridge, Step};
use crate::db::panics;
use crate::{logging, metrics};

/// The first pause after a step failed, doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the accounts beside the spool are brought up to date.
const ACCOUNTS: Duration = Duration::from_secs(5);

/// Starts every step of the bridge. They stop when `shutdown` becomes true; a step that is under
/// way is finished first.
pub fn start(bridge: &Bridge, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
    start_steps(bridge, StepName::ALL, shutdown)
}

/// Starts those of the steps that are about what this process has in its memory. A process that only serves needs no
/// more of them.
pub fn start_own(bridge: &Bridge, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
    start_steps(bridge, &[StepName::Stats], shutdown)
}

fn start_steps(
    bridge: &Bridge,
    names: &[StepName],
    shutdown: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let steps = Arc::new(Steps::of(bridge));
    for &step in names {
        for _ in 0..step.loops(&bridge.config) {
            let (bridge, shutdown) = (bridge.clone(), shutdown.clone());
            let steps = Arc::clone(&steps);
            workers.spawn(async move {
                let at = At {
                    name: step.as_str(),
                    loops: &bridge.loops,
                    wake: step.signal(&bridge.signals),
                    poll: step.poll(&bridge.config),
                };
                run(at, shutdown, || steps.run(step)).await;
                steps.finish(step).await;
            });
        }
    }
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
        let at = At {
            name: "spool",
            loops: &of.loops,
            wake: kept.wake(),
            poll: often,
        };
        run(at, stop, drain).await;
    });
    let (of, kept, stop) = (bridge.clone(), spool.clone(), shutdown.clone());
    workers.spawn(async move {
        let never = Notify::new();
        let at = At {
            name: "spool accounts",
            loops: &of.loops,
            wake: &never,
            poll: ACCOUNTS,
        };
        run(at, stop, || kept.know_step(&of.db)).await;
    });
}

/// What a loop has beside its step.
struct At<'a> {
    name: &'static str,
    loops: &'a Loops,
    /// Wakes it …
    wake: &'a Notify,
    /// … and how often it looks by itself.
    poll: Duration,
}

/// Runs one step over and over.
async fn run<E, S, F>(at: At<'_>, mut shutdown: watch::Receiver<bool>, step: S)
where
    E: Display,
    S: Fn() -> F,
    F: Future<Output = Result<Step, E>>,
{
    let mut pause = FIRST_PAUSE;
    let mut running = at.loops.begin(at.name);
    loop {
        if *shutdown.borrow() {
            return running.stopped();
        }
        // Registered before the step looks, so that a signal in between is not missed.
        let woken = at.wake.notified();
        let rest = match once(at.name, &mut running, &step).await {
            Some(Step::Worked) => {
                pause = FIRST_PAUSE;
                continue;
            }
            Some(Step::Idle) => at.poll,
            Some(Step::Later(rest)) => rest.min(at.poll),
            None => {
                let rest = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                tokio::select! {
                    () = tokio::time::sleep(rest) => continue,
                    _ = shutdown.wait_for(|stop| *stop) => return running.stopped(),
                }
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(rest) => {}
            _ = shutdown.wait_for(|stop| *stop) => return running.stopped(),
        }
    }
}

/// Runs a step once; none where it failed. A panic is its own failure only: what it had in hand is as after a
/// crash, and its leases run out.
async fn once<E, S, F>(name: &'static str, running: &mut Running, step: S) -> Option<Step>
where
    E: Display,
    S: Fn() -> F,
    F: Future<Output = Result<Step, E>>,
{
    let watched = AssertUnwindSafe(panics::watch(async { step().await }));
    // Work on the database panics on its own thread, and comes back as an error.
    let (done, has_panicked) = match watched.catch_unwind().await {
        Ok((done, has_panicked)) => (Some(done), has_panicked),
        Err(_) => (None, true),
    };
    if has_panicked {
        metrics::step_panicked(name);
        tracing::error!(worker.name = name, "step panicked, will be tried again");
    }
    let error = match done {
        // What panicked was one of several, and is put aside.
        Some(Ok(step)) => {
            running.went_on();
            return Some(step);
        }
        Some(Err(error)) if !has_panicked => error,
        _ => {
            running.panicked();
            return None;
        }
    };
    running.went_on();
    // In an outage every loop meets the same.
    if let Some(unsaid) = logging::now_and_then(&error.to_string()) {
        tracing::error!(worker.name = name, %error, unsaid, "step failed, will be tried again");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_step_that_panics_is_tried_again_and_others_hear_of_it() {
        let (loops, wake) = (Loops::default(), Notify::new());
        let at = At {
            name: "shaky",
            loops: &loops,
            wake: &wake,
            poll: Duration::from_secs(1),
        };
        let (stop, stopped) = watch::channel(false);
        let tries = Cell::new(0);
        run(at, stopped, || async {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 => panic!("no luck"),
                _ => stop.send_replace(true),
            };
            Ok::<_, String>(Step::Idle)
        })
        .await;
        assert_eq!((tries.get(), loops.amiss()), (2, None));
        let mut running = loops.begin("shaky");
        let unlucky = || async { panic!("no luck") as Result<Step, String> };
        for amiss in [None, None, Some("shaky"), Some("shaky")] {
            assert_eq!(once("shaky", &mut running, unlucky).await, None);
            assert_eq!(loops.amiss(), amiss);
        }
        // On the database's threads too.
        let unlucky = || async {
            let work = tokio::task::spawn_blocking(|| panic!("no luck"));
            work.await
                .map(|()| Step::Idle)
                .map_err(crate::db::DbError::from)
        };
        assert_eq!(once("shaky", &mut running, unlucky).await, None);
        assert_eq!(loops.amiss(), Some("shaky"));
        let failing = || async { Err::<Step, _>("not yet") };
        assert_eq!(once("shaky", &mut running, failing).await, None);
        assert_eq!(loops.amiss(), None);
        running.stopped();
    }
}
