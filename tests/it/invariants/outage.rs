//! What is answered while the database is away: soon, and with few lines in the log.

use std::time::{Duration, Instant};

use queqiao::db::Engine;
use reqwest::Method;

use super::TestProject;
use crate::support::program::eventually;
use crate::support::{logs, postgres};

/// An answer comes within a second; twice that on a machine that is busy.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_soon_and_with_one_line_a_second() {
    if !postgres::is_there() {
        return;
    }
    logs::capture();
    let project = TestProject::with_settings(Engine::Postgres, Default::default(), |config| {
        config.intake.hold_ms = 300;
    })
    .await;
    let app = &project.app;
    project.follows(1).await;
    app.drain().await;
    let server = postgres::server().unwrap();
    let away = server.lock_out(app.database.text());
    // What is known of the account is old, and cannot be read again.
    app.advance(Duration::from_secs(60));
    let lines = || logs::lines_with("requests fail").len();
    let (told, begun) = (lines(), Instant::now());
    let in_time = |asked: Instant, tries: u32| {
        let took = asked.elapsed();
        assert!(took < SOON * tries, "{took:?}");
    };
    for _ in 0..5 {
        let asked = Instant::now();
        let answers = (0..10).map(|_| app.get(&project.key, "/staff"));
        for answer in futures_util::future::join_all(answers).await {
            answer.refused(503, "unavailable", "");
        }
        in_time(asked, 1);
        let asked = Instant::now();
        let ready = app.send(app.request(Method::GET, "/readyz")).await;
        assert_eq!(ready.status, 503);
        in_time(asked, 1);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let lines = lines() - told;
    assert!(
        (1..=seconds + 2).contains(&lines),
        "{lines} lines in {seconds} s"
    );
    let asked = Instant::now();
    let push = project
        .world()
        .follow(super::OA, 2, queqiao::simulator::Origin::search());
    let push = push.await.unwrap();
    assert!(!push.verdict.is_accepted(), "{push:?}");
    // WeChat tries four times.
    in_time(asked, 4);
    drop(away);
    project.follows(3).await;
    app.get(&project.key, "/staff").await.ok(200);
    // Its connection is tried again after some seconds at the most.
    eventually("a service that is ready", async || {
        let ready = app.send(app.request(Method::GET, "/readyz")).await;
        (ready.status == 200).then_some(())
    })
    .await;
}

both_engines! {
    a_step_that_panics_stops_no_other_and_readyz_names_it,
}

async fn a_step_that_panics_stops_no_other_and_readyz_names_it(engine: Engine) {
    // No date is so far away.
    let project = TestProject::with_settings(engine, Default::default(), |config| {
        config.profile.lease_seconds = i64::MAX.cast_unsigned();
    })
    .await;
    let (shutdown, stopping) = tokio::sync::watch::channel(false);
    let mut workers = queqiao::worker::start(&project.app.bridge, &stopping);
    let ready = async || {
        project
            .app
            .send(project.app.request(Method::GET, "/readyz"))
            .await
    };
    assert_eq!(ready().await.status, 200);
    project.follows(1).await;
    let answer = eventually("a step that does not go on", async || {
        project.app.advance(Duration::from_secs(1));
        let answer = ready().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(
        answer.text.contains("the step profile does not go on"),
        "{answer:?}"
    );
    project.follows(2).await;
    eventually("the events", async || {
        let events = project.events().await;
        events
            .iter()
            .all(|event| event["state"] == "processed")
            .then_some(())
    })
    .await;
    shutdown.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}
