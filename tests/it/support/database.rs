//! A fresh, migrated database for each test, on either engine.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::{Connection, SqliteConnection};
use queqiao::db::{DatabaseUrl, Db, Engine};

use super::{Fixture, postgres};

/// Connections of a test's own pool.
const POOL_SIZE: u32 = 4;

/// If this variable is set, databases stay, to be looked at, and each test says where its one is.
const KEEP: &str = "KEEP_TEST_DATABASE";

/// A database that no other test sees, gone when this is dropped.
pub(crate) struct TestDb {
    url: DatabaseUrl,
    text: String,
    db: Db,
    _storage: Storage,
}

/// What has to be cleaned away.
enum Storage {
    Postgres { name: String },
    Sqlite { directory: PathBuf },
}

impl TestDb {
    /// A new database with all migrations applied.
    pub(crate) fn new(engine: Engine) -> Self {
        let name = unique_name();
        let (text, storage) = match engine {
            Engine::Postgres => {
                let server = postgres::server().expect("a PostgreSQL, as postgres::is_there said");
                (server.create(&name), Storage::Postgres { name })
            }
            Engine::Sqlite => {
                let directory = std::env::temp_dir().join(name);
                std::fs::create_dir(&directory).unwrap();
                let file = directory.join("queqiao.db");
                std::fs::write(&file, sqlite_template()).unwrap();
                let text = format!("sqlite://{}", file.display());
                (text, Storage::Sqlite { directory })
            }
        };
        let url = DatabaseUrl::parse(&text).unwrap();
        Self {
            db: Db::open(&url, POOL_SIZE).unwrap(),
            url,
            text,
            _storage: storage,
        }
    }

    /// Where it is: for a second pool, as another replica has one.
    pub(crate) fn url(&self) -> DatabaseUrl {
        self.url.clone()
    }

    /// The same, as an operator writes it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A pool on it.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }
}

impl Fixture for TestDb {
    async fn on(engine: Engine) -> Self {
        Self::new(engine)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if std::env::var_os(KEEP).is_some() {
            match self {
                Self::Postgres { name } => eprintln!("kept: the database {name}"),
                Self::Sqlite { directory } => eprintln!("kept: {}", directory.display()),
            }
            return;
        }
        match self {
            Self::Postgres { name } => {
                if let Some(server) = postgres::server() {
                    server.drop(name);
                }
            }
            Self::Sqlite { directory } => remove(directory),
        }
    }
}

/// Removes a directory. A pool's own thread may still be opening a connection in it, which makes
/// files while the others go: then again.
fn remove(directory: &Path) {
    let mut tries = 0;
    while let Err(error) = std::fs::remove_dir_all(directory) {
        if error.kind() != ErrorKind::DirectoryNotEmpty || tries == 100 {
            eprintln!("{} stays behind: {error}", directory.display());
            return;
        }
        tries += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Unique on a server that several runs share.
fn unique_name() -> String {
    static STARTED: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let started = STARTED.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos()
    });
    let process = std::process::id();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("queqiao_test_{started:x}_{process}_{number}")
}

/// The bytes of a migrated SQLite file: migrating once and copying spares each test the flushes.
fn sqlite_template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let directory = std::env::temp_dir().join(unique_name());
        std::fs::create_dir(&directory).unwrap();
        let _clean_up = Storage::Sqlite {
            directory: directory.clone(),
        };
        let file = directory.join("queqiao.db");
        let db = Db::open(&DatabaseUrl::sqlite_file(&file), 1).unwrap();
        db.migrate().unwrap();
        let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        let database = connection.serialize_database_to_buffer();
        database.try_as_slice().unwrap().to_vec()
    })
}
