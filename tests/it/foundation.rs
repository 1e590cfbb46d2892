//! The ground that the other tests stand on: databases apart from one another, a cluster that is
//! as durable as it says and leaves nothing behind.

use diesel::sql_types::Text;
use diesel::{Connection, ExpressionMethods, PgConnection, QueryDsl, RunQueryDsl, sql_query};
use queqiao::clock::Clock;
use queqiao::db::schema::projects;
use queqiao::db::{DatabaseUrl, Db, DbError, Engine};

use crate::support::cluster::{Cluster, Durability, StartError};
use crate::support::{TestDb, postgres};

async fn add_project(db: &Db) {
    let now = Clock::system().now();
    db.write(move |connection| {
        diesel::insert_into(projects::table)
            .values((projects::name.eq("one"), projects::created_at.eq(now)))
            .execute(connection)
            .map_err(DbError::from)
    })
    .await
    .unwrap();
}

async fn count_projects(db: &Db) -> i64 {
    db.read(|connection| {
        projects::table
            .count()
            .get_result(connection)
            .map_err(DbError::from)
    })
    .await
    .unwrap()
}

both_engines! {
    a_test_has_a_database_of_its_own,
    a_fresh_database_has_nothing_left_to_migrate,
    a_dropped_database_is_gone,
}

async fn a_test_has_a_database_of_its_own(engine: Engine) {
    let (mine, other) = (TestDb::new(engine), TestDb::new(engine));
    assert_eq!(mine.db().engine(), engine);
    add_project(mine.db()).await;
    let replica = Db::open(&mine.url(), 1).unwrap();
    assert_eq!(count_projects(&replica).await, 1);
    assert_eq!(count_projects(other.db()).await, 0);
}

async fn a_fresh_database_has_nothing_left_to_migrate(database: TestDb) {
    assert_eq!(database.db().migrate().unwrap(), Vec::<String>::new());
}

async fn a_dropped_database_is_gone(engine: Engine) {
    let database = TestDb::new(engine);
    let db = database.db().clone();
    assert!(db.connect().is_ok());
    drop(database);
    assert!(db.connect().is_err());
}

/// Each first start has a connection of its own, as processes that start together have.
#[test]
fn first_starts_side_by_side_on_one_file_all_come_up() {
    for _ in 0..8 {
        let directory = format!("queqiao-first-{:x}", rand::random::<u64>());
        let directory = std::env::temp_dir().join(directory);
        std::fs::create_dir(&directory).unwrap();
        let url = DatabaseUrl::sqlite_file(&directory.join("queqiao.db"));
        let barrier = std::sync::Barrier::new(4);
        let applied: Vec<usize> = std::thread::scope(|scope| {
            let start = || {
                scope.spawn(|| {
                    barrier.wait();
                    Db::open(&url, 1).unwrap().migrate().unwrap().len()
                })
            };
            let starts = [start(), start(), start(), start()];
            starts.map(|start| start.join().unwrap()).into()
        });
        let all = std::fs::read_dir("migrations/sqlite").unwrap().count();
        assert_eq!(applied.iter().sum::<usize>(), all, "{applied:?}");
        assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }
}

#[derive(diesel::QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    setting: String,
}

#[test]
fn a_durable_cluster_flushes_its_commits_and_leaves_nothing_behind() {
    let cluster = match Cluster::start(Durability::Durable) {
        Ok(cluster) => cluster,
        // Says that PostgreSQL is missing, where `TEST_DATABASE_URL` does not stand in for it.
        Err(StartError::NotInstalled) => {
            postgres::is_there();
            return;
        }
        Err(StartError::Failed(problem)) => panic!("{problem}"),
    };
    let mut connection = PgConnection::establish(&cluster.url("postgres")).unwrap();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = sql_query("SELECT setting FROM pg_settings WHERE name = $1")
            .bind::<Text, _>(name)
            .get_result::<Setting>(&mut connection)
            .unwrap();
        assert_eq!(row.setting, "on", "{name}");
    }
    let directory = cluster.directory().to_owned();
    assert!(directory.join("data").is_dir());
    drop(cluster);
    assert!(!directory.exists());
    assert!(
        PgConnection::establish(&format!(
            "postgres:///postgres?host={}",
            directory.display()
        ))
        .is_err()
    );
}
