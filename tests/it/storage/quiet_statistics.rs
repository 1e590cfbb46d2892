//! On PostgreSQL: the statistics were collected at a quiet time, when nothing was due, and then a queue fills. Until
//! they are collected again, which takes a minute or more, the planner believes that hardly a row is due. What is first
//! is read from the queue's index all the same, never by reading and sorting all that is due.

use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use queqiao::db::{Conn, DbError, Engine, QueryResult};
use queqiao::models::delivery;

use super::fixture::{StorageFixture, at};
use super::outbox::claiming;
use crate::support::{Fixture, postgres};

/// How many rows become due.
const DUE: i64 = 20_000;
/// How many of them one batch takes, and how many rows it may read for that.
const BATCH: (i64, i64) = (10, 200);

#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// How many rows of a table this transaction has read so far, by indexes and without.
fn read(conn: &mut Conn, table: &str) -> i64 {
    let query = sql_query(
        "SELECT seq_tup_read + COALESCE(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables \
         WHERE schemaname = 'public' AND relname = $1",
    );
    let query = query.bind::<diesel::sql_types::Text, _>(table);
    query.get_result::<Read>(conn).unwrap().rows
}

/// Counts the rows of `table` that `work` reads.
fn rows_read<T>(
    conn: &mut Conn,
    table: &str,
    work: impl FnOnce(&mut Conn) -> QueryResult<T>,
) -> i64 {
    conn.transaction(|conn| {
        let before = read(conn, table);
        work(conn)?;
        Ok::<_, DbError>(read(conn, table) - before)
    })
    .unwrap()
}

fn run(conn: &mut Conn, text: &str) {
    sql_query(text).execute(conn).unwrap();
}

async fn storage() -> Option<StorageFixture> {
    if !postgres::is_there() {
        return None;
    }
    let storage = StorageFixture::on(Engine::Postgres).await;
    // The server would collect statistics by itself.
    run(
        &mut storage.conn(),
        "ALTER TABLE deliveries SET (autovacuum_enabled = false)",
    );
    Some(storage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_deliveries_are_read_from_their_index() {
    let Some(storage) = storage().await else {
        return;
    };
    let conn = &mut storage.conn();
    let (project, account) = (storage.project, storage.official);
    let notification = storage.notification(conn);
    let insert = |conn: &mut Conn, state: &str, due_at: &str, count: i64| {
        run(
            conn,
            &format!(
                "INSERT INTO deliveries (notification_id, project_id, staff_id, account_id, identity_id, openid, \
                 route, priority, state, attempts, spent, begun_at, due_at, created_at) \
                 SELECT {notification}, {project}, 's' || n, {account}, n, 'o' || n, 0, 1, '{state}', 0, 0, \
                 '2026-01-01', {due_at}, '2026-01-01' FROM generate_series(1, {count}) n"
            ),
        );
    };
    insert(conn, "delivered", "NULL", 5_000);
    run(conn, "ANALYZE deliveries");
    insert(conn, "queued", "timestamp '2026-01-01'", DUE);
    let heads = rows_read(conn, "deliveries", |conn| {
        assert_eq!(delivery::heads(conn, at(0))?.len(), 1);
        Ok(())
    });
    let claim = claiming(conn, 0, BATCH.0);
    let claimed = rows_read(conn, "deliveries", |conn| {
        assert_eq!(delivery::claim_due(conn, &claim)?.len(), 10);
        Ok(())
    });
    assert!(
        heads < BATCH.1 && claimed < BATCH.1,
        "{heads} and {claimed} rows"
    );
}
