//! What the database lacks, and what others hold, costs no event and keeps nobody from going on.

use queqiao::bridge::steps::StepName;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ExecuteCopyFromDsl as _, PgConnection};
use queqiao::bridge::Bridge;
use queqiao::db::{Conn, Db, DbError, Engine, Limits, Options};
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{MP, OA, SEND, TestProject};
use crate::support::postgres;
use crate::support::program::eventually;

const FULL: &str = "could not extend file: No space left on device, database or disk is full";
const UNKNOWN: &str = "the moon is full";

async fn execute(project: &TestProject, sql: String) {
    let done = project.app.database.db().write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(&sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(&sql)?,
        }
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

/// Rows of the table are refused with this text, where that is so.
async fn refuse(project: &TestProject, table: &str, text: &str, when: &str) {
    let sql = match project.app.bridge.db.engine() {
        Engine::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION '{text}' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW WHEN ({when}) \
             EXECUTE FUNCTION refuse()"
        ),
        Engine::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN {when} \
             BEGIN SELECT RAISE(ABORT, '{text}'); END"
        ),
    };
    execute(project, sql).await;
}

async fn take_again(project: &TestProject, table: &str) {
    let sql = match project.app.bridge.db.engine() {
        Engine::Postgres => format!("DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse()"),
        Engine::Sqlite => "DROP TRIGGER refuse".to_owned(),
    };
    execute(project, sql).await;
}

async fn states(project: &TestProject) -> Vec<Value> {
    let events = project.app.all_pages(&project.key, "/events", 50).await;
    events.iter().map(|event| event["state"].clone()).collect()
}

both_engines! {
    a_full_disk_puts_no_event_aside,
    a_batch_ends_by_bytes_too,
    an_event_at_fault_is_put_aside_and_replayed_with_others_of_its_filter,
    a_full_disk_is_told_by_its_own_code_and_by_readyz,
}

async fn a_full_disk_puts_no_event_aside(project: TestProject) {
    for text in [FULL, UNKNOWN] {
        project.follows(1).await;
        project.follows(2).await;
        refuse(&project, "identities", text, "TRUE").await;
        for _ in 0..4 {
            project.app.bridge.run(StepName::Process).await.unwrap_err();
        }
        assert!(states(&project).await.contains(&json!("waiting")));
        assert!(!states(&project).await.contains(&json!("failed")), "{text}");
        take_again(&project, "identities").await;
        project.app.drain().await;
        assert!(
            states(&project)
                .await
                .iter()
                .all(|state| state == "processed")
        );
        let gone = "DELETE FROM events; DELETE FROM identities";
        execute(&project, gone.to_owned()).await;
    }
}

async fn a_batch_ends_by_bytes_too(project: TestProject) {
    project.follows(1).await;
    for number in 0..7 {
        let text = format!("{number}{}", "x".repeat(900_000));
        project.world().send_text(OA, 1, &text).await.unwrap();
    }
    project.follows(2).await;
    let waiting = async || {
        states(&project)
            .await
            .iter()
            .filter(|state| **state == "waiting")
            .count()
    };
    assert_eq!(waiting().await, 9);
    project.app.bridge.run(StepName::Process).await.unwrap();
    assert_eq!(
        waiting().await,
        4,
        "the follow and four of these in one transaction"
    );
    project.app.bridge.run(StepName::Process).await.unwrap();
    assert_eq!(waiting().await, 0);
    let last = project
        .app
        .all_pages(&project.key, "/events", 50)
        .await
        .remove(1);
    let whole = project
        .app
        .get(&project.key, &format!("/events/{}", last["id"]))
        .await
        .ok(200);
    assert!(whole["raw"].as_str().unwrap().len() > 900_000);
    assert_eq!(whole["openid"], json!(population::openid(OA, 1)));
}

async fn an_event_at_fault_is_put_aside_and_replayed_with_others_of_its_filter(
    project: TestProject,
) {
    let bad = population::openid(OA, 1);
    refuse(
        &project,
        "identities",
        UNKNOWN,
        &format!("NEW.openid = '{bad}'"),
    )
    .await;
    project.follows(1).await;
    project.follows(2).await;
    project.app.bridge.run(StepName::Process).await.unwrap();
    let failed = project
        .app
        .get(&project.key, "/events?state=failed")
        .await
        .ok(200);
    assert_eq!(failed["items"].as_array().unwrap().len(), 1);
    assert_eq!(failed["items"][0]["openid"], json!(bad));
    // The made-up followers have left nothing.
    let people = project.app.all_pages(&project.key, "/people", 50).await;
    assert_eq!(people.len(), 1, "{people:?}");
    take_again(&project, "identities").await;
    let replay = async |body: Value| project.app.post(&project.key, "/events/replay", body).await;
    for other in [
        json!({"app_id": MP}),
        json!({"kind": "text"}),
        json!({"until": "2020-01-01T00:00:00Z"}),
    ] {
        assert_eq!(replay(other).await.ok(202)["taken"], 0);
    }
    replay(json!({"state": "processed"}))
        .await
        .refused(422, "invalid_field", "state");
    replay(json!({"limit": 501}))
        .await
        .refused(422, "invalid_field", "limit");
    replay(json!({"app_id": "wx00000000000000ff"}))
        .await
        .refused(422, "unknown_app_id", "app_id");
    let answer = replay(json!({"app_id": OA, "kind": "event.subscribe", "state": "failed"}))
        .await
        .ok(202);
    assert_eq!(
        (&answer["taken"], &answer["next_cursor"]),
        (&json!(1), &json!(null))
    );
    project.app.drain().await;
    assert!(
        states(&project)
            .await
            .iter()
            .all(|state| state == "processed")
    );
    assert_eq!(
        project
            .app
            .all_pages(&project.key, "/people", 50)
            .await
            .len(),
        2
    );
}

async fn a_full_disk_is_told_by_its_own_code_and_by_readyz(project: TestProject) {
    let ready = async || {
        let request = project.app.request(reqwest::Method::GET, "/readyz");
        project.app.send(request).await
    };
    assert_eq!(ready().await.status, 200);
    refuse(&project, "staff", FULL, "TRUE").await;
    let put = project
        .app
        .put(&project.key, "/staff/full1", json!({"name": "x"}))
        .await;
    put.refused(503, "not_writable", "");
    assert!(put.headers.contains_key("retry-after"));
    // A full SQLite file refuses the row of readyz itself; a trigger does not.
    if project.app.bridge.db.engine() == Engine::Postgres {
        let answer = ready().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text.contains("store"), "{answer:?}");
    }
    // Other rows still find room: that says nothing of this kind.
    project.follows(1).await;
    take_again(&project, "staff").await;
    if project.app.bridge.db.engine() == Engine::Postgres {
        assert_eq!(ready().await.status, 503);
    }
    project
        .app
        .put(&project.key, "/staff/full1", json!({"name": "x"}))
        .await
        .ok(201);
    assert_eq!(ready().await.status, 200, "there is room again");
}

/// Another process, whose connections wait no longer than this.
async fn impatient(project: &TestProject) -> Bridge {
    let short = Duration::from_millis(400);
    let limits = Limits {
        lock: short,
        idle_in_transaction: short,
        ..Limits::default()
    };
    let options = Options {
        pool_size: 4,
        limits,
    };
    let mut config = (*project.app.bridge.config).clone();
    config.database.lock_timeout_ms = 400;
    Bridge::new(
        Db::open(&project.app.database.url(), options).unwrap(),
        project.app.clock.clone(),
        project.app.bridge.wechat.clone(),
        project.app.bridge.vault.clone(),
        Arc::new(config),
    )
}

/// A transaction that has locked rows and goes no further, on a connection of this process, which the server ends.
fn stopped_in_a_transaction(process: &Bridge, rows: &str) -> Conn {
    let mut connection = process.db.connect().unwrap();
    let Conn::Postgres(inner) = &mut connection else {
        panic!("this is PostgreSQL");
    };
    let sql = format!("BEGIN; SELECT 1 FROM {rows} FOR UPDATE");
    inner.batch_execute(&sql).unwrap();
    connection
}

/// The same on a connection that is not this program's: no limit ends it.
fn frozen(project: &TestProject, rows: &str) -> PgConnection {
    let mut connection = PgConnection::establish(project.app.database.text()).unwrap();
    let sql = format!("BEGIN; SELECT 1 FROM {rows} FOR UPDATE");
    connection.batch_execute(&sql).unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_go_on_while_a_frozen_process_holds_one_of_them() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.follows(1).await;
    project.app.drain().await;
    let held = population::openid(OA, 1);
    let _frozen = frozen(&project, &format!("identities WHERE openid = '{held}'"));
    let other = impatient(&project).await;
    project.app.simulator.world().unfollow(OA, 1).await.unwrap();
    project.follows(2).await;
    project.follows(3).await;
    other.run(StepName::Process).await.unwrap();
    let waiting = states(&project).await;
    let waiting = waiting.iter().filter(|state| *state == "waiting").count();
    assert_eq!(waiting, 1, "only the one that is held");
    // It is stepped over, so nobody waits for it again.
    project.follows(4).await;
    let begun = std::time::Instant::now();
    other.run(StepName::Process).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(400));
    assert!(!states(&project).await.contains(&json!("failed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_does_nothing_is_ended_by_the_server() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.follows(1).await;
    project.app.drain().await;
    let _stopped = stopped_in_a_transaction(&impatient(&project).await, "identities");
    project.app.simulator.world().unfollow(OA, 1).await.unwrap();
    // Patient connections, whose own limits are seconds, get on as soon as the other has lost its lock.
    project.app.bridge.run(StepName::Process).await.unwrap();
    assert!(
        states(&project)
            .await
            .iter()
            .all(|state| state == "processed")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_in_the_middle_of_a_statement_holds_up_nobody() {
    use queqiao::db::schema::sweeps;
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.follows(1).await;
    project.app.drain().await;
    let mut connection = project.app.bridge.db.connect().unwrap();
    let (go_on, gone_on) = std::sync::mpsc::channel::<()>();
    let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    let process = std::thread::spawn(move || {
        let Conn::Postgres(conn) = &mut connection else {
            panic!("this is PostgreSQL");
        };
        conn.transaction(|conn| {
            conn.batch_execute("SELECT 1 FROM identities FOR UPDATE")?;
            diesel::copy_from(sweeps::table)
                .from_raw_data((sweeps::name, sweeps::position), |_| {
                    stop.send(()).unwrap();
                    // It stands still, and the server waits for what it has to say.
                    gone_on.recv().unwrap();
                    diesel::QueryResult::Ok(())
                })
                .execute(conn)
        })
    });
    stopped.recv().await.unwrap();
    // Nobody needs what it holds yet.
    let bridge = project.app.bridge.clone();
    assert_eq!(bridge.db.end_stopped(Duration::ZERO).await.unwrap(), 0);
    project.app.simulator.world().unfollow(OA, 1).await.unwrap();
    let waiting = tokio::spawn(async move { bridge.run(StepName::Process).await });
    eventually("a session that was ended", async || {
        let db = &project.app.bridge.db;
        assert_eq!(
            db.end_stopped(Duration::from_secs(60)).await.unwrap(),
            0,
            "not at once"
        );
        (db.end_stopped(Duration::ZERO).await.unwrap() == 1).then_some(())
    })
    .await;
    waiting.await.unwrap().unwrap();
    assert!(
        states(&project)
            .await
            .iter()
            .all(|state| state == "processed")
    );
    go_on.send(()).unwrap();
    process.join().unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_on_after_a_process_was_stopped_while_it_counted_them() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.reachable("s1", 1).await;
    project.notify("s1").await;
    project.app.drain().await;
    let stopped = stopped_in_a_transaction(&impatient(&project).await, "budgets");
    let list = project.notify("s1").await;
    project.app.bridge.run(StepName::Deliver).await.unwrap();
    assert_eq!(project.calls(SEND), 2, "without a step more");
    drop(stopped);
    project.app.drain().await;
    assert_eq!(project.delivery(&list).await["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_counted_is_given_back_and_sent_once() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with(Engine::Postgres, Default::default()).await;
    project.reachable("s1", 1).await;
    project.notify("s1").await;
    project.app.drain().await;
    let list = project.notify("s1").await;
    let frozen = frozen(&project, "budgets");
    let other = impatient(&project).await;
    other.run(StepName::Deliver).await.unwrap_err();
    assert_eq!(project.calls(SEND), 1);
    drop(frozen);
    let before = project.app.clock.now();
    project.app.bridge.run(StepName::Deliver).await.unwrap();
    assert_eq!(project.calls(SEND), 2, "no lease has to run out first");
    assert_eq!(project.app.clock.now(), before);
    project.app.drain().await;
    let delivery = project.delivery(&list).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        delivery["attempts"].as_array().unwrap().len(),
        1,
        "{delivery}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_are_answered_while_every_read_of_the_api_is_stuck() {
    if !postgres::is_there() {
        return;
    }
    let project = TestProject::with_settings(Engine::Postgres, Default::default(), |config| {
        config.database.api_connections = 2;
        config.database.api_timeout_ms = 1_500;
    })
    .await;
    let mut holder = PgConnection::establish(project.app.database.text()).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE staff IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let reads = (0..12).map(|_| project.app.get(&project.key, "/staff"));
    let reads = futures_util::future::join_all(reads);
    let pushes = async {
        for person in 1..=10 {
            project.follows(person).await;
        }
        let accounts = project.app.bridge.accounts.reload(OA).await.unwrap();
        assert!(accounts.is_some());
        std::time::Instant::now()
    };
    let begun = std::time::Instant::now();
    let stuck = async {
        let answers = reads.await;
        (answers, std::time::Instant::now())
    };
    let ((answers, ended), pushed) = tokio::join!(stuck, pushes);
    assert!(pushed < ended, "no push waits for a read");
    assert!(ended - begun < Duration::from_secs(5));
    for answer in answers {
        answer.refused(503, "too_slow", "");
        assert!(answer.headers.contains_key("retry-after"));
    }
    drop(holder);
    assert_eq!(states(&project).await.len(), 10);
}
