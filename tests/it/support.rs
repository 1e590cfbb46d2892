//! What the tests stand on: a PostgreSQL, a fresh database per test, one body for both engines, and
//! one builder ([`Setup`]) for what a story begins with.

pub(crate) mod api;
pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod described;
pub(crate) mod lists;
pub(crate) mod logs;
pub(crate) mod numbers;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod project;
pub(crate) mod provider;
pub(crate) mod receiver;
pub(crate) mod routes;
pub(crate) mod rows;
pub(crate) mod search;
pub(crate) mod setup;

use std::path::PathBuf;

use queqiao::db::Engine;

pub(crate) use app::TestApp;
pub(crate) use database::TestDb;
pub(crate) use project::{ApiFixture, TestProject};
pub(crate) use setup::Setup;

/// What a test of [`both_engines`] is given: something fresh on one engine.
pub(crate) trait Fixture: Sized {
    /// Sets it up on `engine`. PostgreSQL is asked for only where there is one.
    async fn on(engine: Engine) -> Self;
}

impl Fixture for Engine {
    async fn on(engine: Engine) -> Self {
        engine
    }
}

/// Sets up what `test` is given on `engine`, and runs it.
pub(crate) async fn run<F: Fixture>(test: impl AsyncFnOnce(F), engine: Engine) {
    test(F::on(engine).await).await;
}

/// Makes of each function that is named a module of the same name with two tests, `sqlite` and
/// `postgres`. A function that nobody names here is dead code, and the lints say so.
///
/// Its argument may be of any [`Fixture`] type. Without a PostgreSQL the second test is skipped,
/// visibly, or fails under `CI=true`.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use queqiao::db::Engine;

            use $crate::support::{postgres, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(super::$name, Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if postgres::is_there() {
                    run(super::$name, Engine::Postgres).await;
                }
            }
        }
    )+};
}

/// The files below a directory of this crate whose name ends in `.extension`, sorted, as paths
/// relative to the crate.
pub(crate) fn files_below(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::from(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
