//! Transactions and the pool: all or nothing, one writer at a time on SQLite, no damage by panics,
//! by callers who go away, or by a server that hangs up.

use std::sync::mpsc;

use diesel::sql_types::Integer;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use queqiao::db::{Conn, Db, DbError, Engine};
use queqiao::models::project;
use tokio::sync::oneshot;

use super::fixture::at;
use crate::support::{Fixture, TestDb, postgres};

fn add(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    project::create(conn, name, at(0))?;
    Ok(())
}

async fn names(db: &Db) -> Vec<String> {
    let all = db.read(project::list).await;
    all.unwrap()
        .into_iter()
        .map(|project| project.name)
        .collect()
}

/// A write that has begun and stays open until it is told to end.
struct Open {
    end: mpsc::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), DbError>>,
}

impl Open {
    async fn begin(db: &Db, name: &'static str) -> Self {
        let (end, told) = mpsc::channel::<()>();
        let (begun, beginning) = oneshot::channel();
        let db = db.clone();
        let task = tokio::spawn(async move {
            db.write_once(move |conn| {
                add(conn, name)?;
                begun.send(()).unwrap();
                told.recv().unwrap();
                Ok::<_, DbError>(())
            })
            .await
        });
        beginning.await.unwrap();
        Self { end, task }
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

both_engines! {
    an_error_undoes_everything,
    a_panic_undoes_everything_and_leaves_the_pool_usable,
    readers_see_what_was_there_while_one_writes,
    writers_all_get_their_turn,
    a_caller_who_goes_away_leaves_no_gap_in_the_pool,
}

async fn an_error_undoes_everything(database: TestDb) {
    let db = database.db();
    let failed = db
        .write(|conn| {
            add(conn, "one")?;
            add(conn, "two")?;
            add(conn, "one")
        })
        .await;
    assert!(matches!(failed, Err(DbError::Query(_))), "{failed:?}");
    assert!(names(db).await.is_empty());
    db.write(|conn| add(conn, "three")).await.unwrap();
    assert_eq!(names(db).await, ["three"]);
}

async fn a_panic_undoes_everything_and_leaves_the_pool_usable(database: TestDb) {
    let db = database.db();
    for _ in 0..8 {
        let panicked = db
            .write(|conn| {
                add(conn, "one")?;
                if names_in(conn) == 1 {
                    panic!("on purpose")
                }
                Ok::<_, DbError>(())
            })
            .await;
        assert!(matches!(panicked, Err(DbError::Panicked)), "{panicked:?}");
    }
    assert!(names(db).await.is_empty());
    db.write(|conn| add(conn, "two")).await.unwrap();
    assert_eq!(names(db).await, ["two"]);
}

async fn readers_see_what_was_there_while_one_writes(database: TestDb) {
    let db = database.db();
    db.write(|conn| add(conn, "before")).await.unwrap();
    let open = Open::begin(db, "during").await;
    for _ in 0..6 {
        assert_eq!(names(db).await, ["before"]);
    }
    open.end().await;
    assert_eq!(names(db).await, ["before", "during"]);
}

async fn writers_all_get_their_turn(database: TestDb) {
    let db = database.db().clone();
    let writers: Vec<_> = (0..40)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(move |conn| {
                    // A read before the write: on SQLite this is what fails unless the write
                    // lock was taken at once.
                    project::list(conn)?;
                    add(conn, &format!("p{number}"))
                })
                .await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(names(&db).await.len(), 40);
}

async fn a_caller_who_goes_away_leaves_no_gap_in_the_pool(engine: Engine) {
    // Threads for the abandoned closure and one other: a second closure that waited for a
    // connection on its thread would leave none for anything else.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let database = TestDb::on(engine).await;
    let db = Db::open(&database.url(), 1).unwrap();
    let abandoned = {
        let db = db.clone();
        runtime
            .spawn(async move { Open::begin(&db, "abandoned").await })
            .await
            .unwrap()
    };
    abandoned.task.abort();
    assert!(abandoned.task.await.unwrap_err().is_cancelled());
    let (second, third) = (db.clone(), db.clone());
    let second = runtime.spawn(async move { second.write(|conn| add(conn, "second")).await });
    runtime.spawn(tokio::task::yield_now()).await.unwrap();
    let free = runtime.spawn_blocking(|| "free").await.unwrap();
    assert_eq!(free, "free");
    abandoned.end.send(()).unwrap();
    second.await.unwrap().unwrap();
    let seen = runtime
        .spawn(async move { names(&third).await })
        .await
        .unwrap();
    assert_eq!(seen, ["abandoned", "second"]);
    runtime.shutdown_background();
}

fn names_in(conn: &mut Conn) -> usize {
    project::list(conn).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_the_write_lock_is_taken_before_the_first_statement() {
    let database = TestDb::on(Engine::Sqlite).await;
    let open = Open::begin(database.db(), "first").await;
    // Another process: a connection outside the pool, which does not wait for its turn.
    let mut other = database.db().connect().unwrap();
    sql_query("PRAGMA busy_timeout = 0")
        .execute(&mut other)
        .unwrap();
    let refused = sql_query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    open.end().await;
    sql_query("BEGIN IMMEDIATE").execute(&mut other).unwrap();
    sql_query("ROLLBACK").execute(&mut other).unwrap();
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_closed_is_replaced() {
    if !postgres::is_there() {
        return;
    }
    let database = TestDb::on(Engine::Postgres).await;
    let db = Db::open(&database.url(), 1).unwrap();
    let pid = |conn: &mut Conn| {
        let row: Backend = sql_query("SELECT pg_backend_pid() AS pid").get_result(conn)?;
        Ok::<_, DbError>(row.pid)
    };
    let before = db.read(pid).await.unwrap();
    sql_query(format!("SELECT pg_terminate_backend({before}, 5000)"))
        .execute(&mut database.db().connect().unwrap())
        .unwrap();
    // Nobody meets the dead connection: it is looked at before it is handed out.
    let after = db.write(pid).await.unwrap();
    assert_ne!(after, before);
}
