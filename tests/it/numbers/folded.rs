//! Rows that are folded into numbers: whoever does it, whatever stops it, and when the numbers end.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use queqiao::bridge::steps::StepName;
use queqiao::db::{Conn, DbError, Engine};
use serde_json::json;

use crate::support::{TestProject, postgres};

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

async fn count(project: &TestProject, sql: &'static str) -> i64 {
    let read = project.app.database.db().read(move |conn| {
        let found: Count = match conn {
            Conn::Postgres(conn) => diesel::sql_query(sql).get_result(conn)?,
            Conn::Sqlite(conn) => diesel::sql_query(sql).get_result(conn)?,
        };
        Ok::<_, DbError>(found.count)
    });
    read.await.unwrap()
}

async fn execute(project: &TestProject, sql: &'static str) {
    let write = project.app.database.db().write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    write.await.unwrap();
}

const CHANGES: &str = "SELECT COUNT(*) AS count FROM stats_changes";
const NUMBERS: &str = "SELECT COUNT(*) AS count FROM daily_stats WHERE metric = 'events'";

both_engines! {
    a_fold_that_fails_loses_nothing_and_a_batch_is_one_row_for_each_number,
    two_fold_at_the_same_time,
    numbers_are_kept_as_long_as_is_set,
}

async fn a_fold_that_fails_loses_nothing_and_a_batch_is_one_row_for_each_number(
    project: TestProject,
) {
    for person in 1..=20 {
        project.follows(person).await;
    }
    project.app.bridge.run(StepName::Process).await.unwrap();
    assert_eq!(
        count(&project, CHANGES).await,
        1,
        "20 events of one kind and day"
    );
    execute(
        &project,
        "ALTER TABLE daily_stats RENAME TO daily_stats_away",
    )
    .await;
    project.app.bridge.run(StepName::Stats).await.unwrap_err();
    execute(
        &project,
        "ALTER TABLE daily_stats_away RENAME TO daily_stats",
    )
    .await;
    assert_eq!(count(&project, CHANGES).await, 1);
    project.app.bridge.run(StepName::Stats).await.unwrap();
    assert_eq!(
        (
            count(&project, CHANGES).await,
            count(&project, NUMBERS).await
        ),
        (0, 1)
    );
    project.assert_counted("folded").await;
}

async fn two_fold_at_the_same_time(project: TestProject) {
    let (other, _server) = project.app.replica();
    for round in 0..5 {
        for person in 1..=5 {
            let text = format!("{round}");
            project.follows(round * 5 + person).await;
            project
                .world()
                .send_text(crate::support::setup::OA, round * 5 + person, &text)
                .await
                .unwrap();
        }
        let bridge = &project.app.bridge;
        let (one, two, three, four) = tokio::join!(
            bridge.run(StepName::Process),
            other.run(StepName::Process),
            bridge.run(StepName::Stats),
            other.run(StepName::Stats),
        );
        for done in [one, two, three, four] {
            done.unwrap();
        }
    }
    project.app.drain().await;
    project.app.bridge.run(StepName::Stats).await.unwrap();
    assert_eq!(count(&project, CHANGES).await, 0);
    let numbers = project.assert_counted("folded by two").await;
    let events = numbers
        .iter()
        .filter(|([_, metric, ..], _)| metric == "events");
    assert_eq!(events.map(|(_, count)| count).sum::<i64>(), 50);
}

async fn numbers_are_kept_as_long_as_is_set(engine: Engine) {
    let keep = |config: &mut queqiao::config::Config| config.stats.keep_days = 31;
    let project = TestProject::with_settings(engine, Default::default(), keep).await;
    project.follows(1).await;
    project.app.drain().await;
    let follows = async || {
        let stats = project.stats("from=2020-01-01&to=2020-01-02").await;
        let zone = stats["time_zone"].as_str().unwrap();
        let today = queqiao::clock::TimeZone::named(zone).unwrap();
        let today = today.day(project.app.clock.now());
        let stats = project.stats(&format!("from={}", today.later(-60))).await;
        let all = stats["series"].as_array().unwrap();
        all.iter().find(|one| one["metric"] == "follows").unwrap()["total"].clone()
    };
    for days in [0, 29] {
        project.app.advance(Duration::from_secs(days * 86_400));
        project.app.bridge.run(StepName::Stats).await.unwrap();
        assert_eq!(
            (follows().await, count(&project, NUMBERS).await),
            (json!(1), 1),
            "{days}"
        );
    }
    project.app.advance(Duration::from_secs(5 * 86_400));
    project.app.bridge.run(StepName::Stats).await.unwrap();
    assert_eq!(count(&project, NUMBERS).await, 0);
    // The event is still there, and its day is not counted again.
    let all = ("1970-01-01".parse().unwrap(), "2100-01-01".parse().unwrap());
    let counted = project
        .app
        .bridge
        .recount(project.project, all)
        .await
        .unwrap();
    assert_eq!(counted, Default::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_counts_the_same_waits_for_nobody() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.reachable("s1", 1).await;
    project.reachable("s2", 2).await;
    let first = project.notify("s1").await;
    let second = project.notify("s2").await;
    // A transaction of another process has counted, and goes no further for now.
    let id = project.delivery(&first).await["id"].as_i64().unwrap();
    let mut holder = PgConnection::establish(project.app.database.text()).unwrap();
    holder
        .batch_execute(&format!(
            "BEGIN; UPDATE deliveries SET state = 'failed', reason = 'gave_up', due_at = NULL, \
             finished_at = created_at WHERE id = {id}"
        ))
        .unwrap();
    project.app.bridge.run(StepName::Deliver).await.unwrap();
    project.app.bridge.run(StepName::Receipts).await.unwrap();
    project.app.bridge.run(StepName::Stats).await.unwrap();
    assert_eq!(project.delivery(&second).await["state"], "sent");
    project.app.drain().await;
    assert_eq!(project.delivery(&second).await["state"], "delivered");
    project.app.bridge.run(StepName::Stats).await.unwrap();
    project.assert_counted("while another counts").await;
    holder.batch_execute("COMMIT").unwrap();
    project.assert_counted("after it").await;
    project.app.bridge.run(StepName::Stats).await.unwrap();
    project.assert_counted("folded").await;
}
