//! What the database lacks, and what others hold, costs no event and keeps nobody from going on.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ExecuteCopyFromDsl as _, PgConnection};
use queqiao::bridge::Bridge;
use queqiao::db::{Conn, Db, DbError, Engine, Limits, Options};
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{MP, OA, SEND, Stage};
use crate::support::postgres;
use crate::support::program::eventually;

const FULL: &str = "could not extend file: No space left on device, database or disk is full";
const UNKNOWN: &str = "the moon is full";

async fn execute(stage: &Stage, sql: String) {
    let done = stage.app.database.db().write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(&sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(&sql)?,
        }
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

/// Rows of the table are refused with this text, where that is so.
async fn refuse(stage: &Stage, table: &str, text: &str, when: &str) {
    let sql = match stage.app.bridge.db.engine() {
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
    execute(stage, sql).await;
}

async fn take_again(stage: &Stage, table: &str) {
    let sql = match stage.app.bridge.db.engine() {
        Engine::Postgres => format!("DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse()"),
        Engine::Sqlite => "DROP TRIGGER refuse".to_owned(),
    };
    execute(stage, sql).await;
}

async fn states(stage: &Stage) -> Vec<Value> {
    let events = stage.app.all_pages(&stage.key, "/events", 50).await;
    events.iter().map(|event| event["state"].clone()).collect()
}

both_engines! {
    a_full_disk_puts_no_event_aside,
    a_batch_ends_by_bytes_too,
    an_event_at_fault_is_put_aside_and_replayed_with_others_of_its_filter,
    a_full_disk_is_told_by_its_own_code_and_by_readyz,
}

async fn a_full_disk_puts_no_event_aside(stage: Stage) {
    for text in [FULL, UNKNOWN] {
        stage.follows(1).await;
        stage.follows(2).await;
        refuse(&stage, "identities", text, "TRUE").await;
        for _ in 0..4 {
            stage.app.bridge.process_step().await.unwrap_err();
        }
        assert!(states(&stage).await.contains(&json!("waiting")));
        assert!(!states(&stage).await.contains(&json!("failed")), "{text}");
        take_again(&stage, "identities").await;
        stage.app.drain().await;
        assert!(
            states(&stage)
                .await
                .iter()
                .all(|state| state == "processed")
        );
        let gone = "DELETE FROM events; DELETE FROM identities";
        execute(&stage, gone.to_owned()).await;
    }
}

async fn a_batch_ends_by_bytes_too(stage: Stage) {
    stage.follows(1).await;
    for number in 0..7 {
        let text = format!("{number}{}", "x".repeat(900_000));
        stage.world().send_text(OA, 1, &text).await.unwrap();
    }
    stage.follows(2).await;
    let waiting = async || {
        states(&stage)
            .await
            .iter()
            .filter(|state| **state == "waiting")
            .count()
    };
    assert_eq!(waiting().await, 9);
    stage.app.bridge.process_step().await.unwrap();
    assert_eq!(
        waiting().await,
        4,
        "the follow and four of these in one transaction"
    );
    stage.app.bridge.process_step().await.unwrap();
    assert_eq!(waiting().await, 0);
    let last = stage
        .app
        .all_pages(&stage.key, "/events", 50)
        .await
        .remove(1);
    let whole = stage
        .app
        .get(&stage.key, &format!("/events/{}", last["id"]))
        .await
        .ok(200);
    assert!(whole["raw"].as_str().unwrap().len() > 900_000);
    assert_eq!(whole["openid"], json!(population::openid(OA, 1)));
}

async fn an_event_at_fault_is_put_aside_and_replayed_with_others_of_its_filter(stage: Stage) {
    let bad = population::openid(OA, 1);
    refuse(
        &stage,
        "identities",
        UNKNOWN,
        &format!("NEW.openid = '{bad}'"),
    )
    .await;
    stage.follows(1).await;
    stage.follows(2).await;
    stage.app.bridge.process_step().await.unwrap();
    let failed = stage
        .app
        .get(&stage.key, "/events?state=failed")
        .await
        .ok(200);
    assert_eq!(failed["items"].as_array().unwrap().len(), 1);
    assert_eq!(failed["items"][0]["openid"], json!(bad));
    // The made-up followers have left nothing.
    let people = stage.app.all_pages(&stage.key, "/people", 50).await;
    assert_eq!(people.len(), 1, "{people:?}");
    take_again(&stage, "identities").await;
    let replay = async |body: Value| stage.app.post(&stage.key, "/events/replay", body).await;
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
    stage.app.drain().await;
    assert!(
        states(&stage)
            .await
            .iter()
            .all(|state| state == "processed")
    );
    assert_eq!(
        stage.app.all_pages(&stage.key, "/people", 50).await.len(),
        2
    );
}

async fn a_full_disk_is_told_by_its_own_code_and_by_readyz(stage: Stage) {
    let ready = async || {
        let request = stage.app.request(reqwest::Method::GET, "/readyz");
        stage.app.send(request).await
    };
    assert_eq!(ready().await.status, 200);
    refuse(&stage, "staff", FULL, "TRUE").await;
    let put = stage
        .app
        .put(&stage.key, "/staff/full1", json!({"name": "x"}))
        .await;
    put.refused(503, "not_writable", "");
    assert!(put.headers.contains_key("retry-after"));
    // A full SQLite file refuses the row of readyz itself; a trigger does not.
    if stage.app.bridge.db.engine() == Engine::Postgres {
        let answer = ready().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text.contains("store"), "{answer:?}");
    }
    // Other rows still find room: that says nothing of this kind.
    stage.follows(1).await;
    take_again(&stage, "staff").await;
    if stage.app.bridge.db.engine() == Engine::Postgres {
        assert_eq!(ready().await.status, 503);
    }
    stage
        .app
        .put(&stage.key, "/staff/full1", json!({"name": "x"}))
        .await
        .ok(201);
    assert_eq!(ready().await.status, 200, "there is room again");
}

/// Another process, whose connections wait no longer than this.
async fn impatient(stage: &Stage) -> Bridge {
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
    let mut config = (*stage.app.bridge.config).clone();
    config.database.lock_timeout_ms = 400;
    Bridge::new(
        Db::open(&stage.app.database.url(), options).unwrap(),
        stage.app.clock.clone(),
        stage.app.bridge.wechat.clone(),
        stage.app.bridge.vault.clone(),
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
fn frozen(stage: &Stage, rows: &str) -> PgConnection {
    let mut connection = PgConnection::establish(stage.app.database.text()).unwrap();
    let sql = format!("BEGIN; SELECT 1 FROM {rows} FOR UPDATE");
    connection.batch_execute(&sql).unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_go_on_while_a_frozen_process_holds_one_of_them() {
    if !postgres::is_there() {
        return;
    }
    let stage = Stage::with(Engine::Postgres, Default::default()).await;
    stage.follows(1).await;
    stage.app.drain().await;
    let held = population::openid(OA, 1);
    let _frozen = frozen(&stage, &format!("identities WHERE openid = '{held}'"));
    let other = impatient(&stage).await;
    stage.app.simulator.world().unfollow(OA, 1).await.unwrap();
    stage.follows(2).await;
    stage.follows(3).await;
    other.process_step().await.unwrap();
    let waiting = states(&stage).await;
    let waiting = waiting.iter().filter(|state| *state == "waiting").count();
    assert_eq!(waiting, 1, "only the one that is held");
    // It is stepped over, so nobody waits for it again.
    stage.follows(4).await;
    let begun = std::time::Instant::now();
    other.process_step().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(400));
    assert!(!states(&stage).await.contains(&json!("failed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_does_nothing_is_ended_by_the_server() {
    if !postgres::is_there() {
        return;
    }
    let stage = Stage::with(Engine::Postgres, Default::default()).await;
    stage.follows(1).await;
    stage.app.drain().await;
    let _stopped = stopped_in_a_transaction(&impatient(&stage).await, "identities");
    stage.app.simulator.world().unfollow(OA, 1).await.unwrap();
    // Patient connections, whose own limits are seconds, get on as soon as the other has lost its lock.
    stage.app.bridge.process_step().await.unwrap();
    assert!(
        states(&stage)
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
    let stage = Stage::with(Engine::Postgres, Default::default()).await;
    stage.follows(1).await;
    stage.app.drain().await;
    let mut connection = stage.app.bridge.db.connect().unwrap();
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
    let bridge = stage.app.bridge.clone();
    assert_eq!(bridge.db.end_stopped(Duration::ZERO).await.unwrap(), 0);
    stage.app.simulator.world().unfollow(OA, 1).await.unwrap();
    let waiting = tokio::spawn(async move { bridge.process_step().await });
    eventually("a session that was ended", async || {
        let db = &stage.app.bridge.db;
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
        states(&stage)
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
    let stage = Stage::with(Engine::Postgres, Default::default()).await;
    stage.staff("s1", 1).await;
    stage.notify("s1").await;
    stage.app.drain().await;
    let stopped = stopped_in_a_transaction(&impatient(&stage).await, "budgets");
    let list = stage.notify("s1").await;
    stage.app.bridge.deliver_step().await.unwrap();
    assert_eq!(stage.calls(SEND), 2, "without a step more");
    drop(stopped);
    stage.app.drain().await;
    assert_eq!(stage.delivery(&list).await["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_counted_is_given_back_and_sent_once() {
    if !postgres::is_there() {
        return;
    }
    let stage = Stage::with(Engine::Postgres, Default::default()).await;
    stage.staff("s1", 1).await;
    stage.notify("s1").await;
    stage.app.drain().await;
    let list = stage.notify("s1").await;
    let frozen = frozen(&stage, "budgets");
    let other = impatient(&stage).await;
    other.deliver_step().await.unwrap_err();
    assert_eq!(stage.calls(SEND), 1);
    drop(frozen);
    let before = stage.app.clock.now();
    stage.app.bridge.deliver_step().await.unwrap();
    assert_eq!(stage.calls(SEND), 2, "no lease has to run out first");
    assert_eq!(stage.app.clock.now(), before);
    stage.app.drain().await;
    let delivery = stage.delivery(&list).await;
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
    let stage = Stage::with_settings(Engine::Postgres, Default::default(), |config| {
        config.database.api_connections = 2;
        config.database.api_timeout_ms = 1_500;
    })
    .await;
    let mut holder = PgConnection::establish(stage.app.database.text()).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE staff IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let reads = (0..12).map(|_| stage.app.get(&stage.key, "/staff"));
    let reads = futures_util::future::join_all(reads);
    let pushes = async {
        for person in 1..=10 {
            stage.follows(person).await;
        }
        let accounts = stage.app.bridge.accounts.reload(OA).await.unwrap();
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
    assert_eq!(states(&stage).await.len(), 10);
}
