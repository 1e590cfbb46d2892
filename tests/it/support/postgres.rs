//! The PostgreSQL server of the tests: the one that `TEST_DATABASE_URL` names, else one started
//! from this machine's own programs. Databases on it are copies of one migrated template.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use queqiao::db::{DatabaseUrl, Db};
use url::Url;

use super::cluster::{Cluster, Durability, StartError};

/// Any number that nobody else uses as an advisory lock on the server.
const TEMPLATE_LOCK: i64 = 7_114_702;

/// A server on which databases can be made.
pub(crate) struct Server {
    admin: Url,
    template: OnceLock<String>,
    /// Kept for its life: it ends with this process.
    _cluster: Option<Cluster>,
}

/// Whether there is a PostgreSQL. If not, says so once, past the capture of test output.
///
/// # Panics
/// If there has to be one (`CI=true`), or the one there is does not work.
pub(crate) fn is_there() -> bool {
    server().is_some()
}

/// The server that all tests of this process share.
///
/// # Panics
/// As [`is_there`].
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Option<Server>, String>> = OnceLock::new();
    match SERVER.get_or_init(find) {
        Ok(server) => server.as_ref(),
        Err(problem) => panic!("{problem}"),
    }
}

fn find() -> Result<Option<Server>, String> {
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        let admin = Url::parse(&url).map_err(|error| format!("TEST_DATABASE_URL: {error}"))?;
        return Ok(Some(Server::new(admin, None)));
    }
    match Cluster::start(Durability::ThrowAway) {
        Ok(cluster) => {
            let admin = Url::parse(&cluster.url("postgres")).map_err(|error| error.to_string())?;
            Ok(Some(Server::new(admin, Some(cluster))))
        }
        Err(StartError::Failed(problem)) => Err(format!("PostgreSQL did not start: {problem}")),
        Err(StartError::NotInstalled) => {
            let missing = "no PostgreSQL: set TEST_DATABASE_URL, or install the server's programs";
            if std::env::var("CI").is_ok_and(|ci| ci == "true") {
                return Err(missing.to_owned());
            }
            let line = format!("SKIPPED: the PostgreSQL half of the tests ({missing})\n");
            std::io::stderr()
                .write_all(line.as_bytes())
                .map_err(|error| error.to_string())?;
            Ok(None)
        }
    }
}

/// A database that nobody gets into until this is dropped.
pub(crate) struct LockedOut<'a> {
    server: &'a Server,
    name: String,
}

impl Drop for LockedOut<'_> {
    fn drop(&mut self) {
        self.server.admit(&self.name, true);
    }
}

impl Server {
    fn new(admin: Url, cluster: Option<Cluster>) -> Self {
        Self {
            admin,
            template: OnceLock::new(),
            _cluster: cluster,
        }
    }

    /// Makes a migrated database and returns its URL.
    pub(crate) fn create(&self, name: &str) -> String {
        let template = self.template.get_or_init(|| self.make_template());
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.connect().batch_execute(&sql).unwrap();
        self.url(name)
    }

    /// Drops a database, whoever is connected to it.
    pub(crate) fn drop(&self, name: &str) {
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        if let Err(error) = self.connect().batch_execute(&sql) {
            eprintln!("{name} stays behind: {error}");
        }
    }

    /// Ends all connections to a database, and lets nobody in until the guard is dropped.
    pub(crate) fn lock_out(&self, url: &str) -> LockedOut<'_> {
        let url = Url::parse(url).unwrap();
        let name = url.path().trim_start_matches('/').to_owned();
        self.admit(&name, false);
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        self.connect().batch_execute(&end).unwrap();
        LockedOut { server: self, name }
    }

    fn admit(&self, name: &str, everybody: bool) {
        let sql = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {everybody}");
        self.connect().batch_execute(&sql).unwrap();
    }

    fn connect(&self) -> PgConnection {
        PgConnection::establish(self.admin.as_str()).expect("the PostgreSQL of the tests answers")
    }

    fn url(&self, database: &str) -> String {
        let mut url = self.admin.clone();
        url.set_path(database);
        url.into()
    }

    /// The template is named after the migrations, so that a server which outlives the tests has
    /// one for each state of the migrations, not one for each run. It gets its name when it is
    /// complete; runs that start together wait for one another.
    fn make_template(&self) -> String {
        let name = format!("queqiao_template_{:016x}", hash_of_migrations());
        let mut connection = self.connect();
        let lock = format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})");
        connection.batch_execute(&lock).unwrap();
        let known = sql_query("SELECT count(*) AS count FROM pg_database WHERE datname = $1")
            .bind::<Text, _>(&name)
            .get_result::<Count>(&mut connection)
            .unwrap();
        if known.count == 0 {
            let draft = format!("{name}_draft");
            let create = format!("CREATE DATABASE {draft}");
            connection
                .batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)"))
                .and_then(|()| connection.batch_execute(&create))
                .unwrap();
            let url = DatabaseUrl::parse(&self.url(&draft)).unwrap();
            Db::open(&url, 1).unwrap().migrate().unwrap();
            let rename = format!("ALTER DATABASE {draft} RENAME TO {name}");
            connection.batch_execute(&rename).unwrap();
        }
        name
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn hash_of_migrations() -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in super::files_below("migrations/postgres", "sql") {
        file.hash(&mut hasher);
        std::fs::read(&file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a session of that database waits for a lock that another one holds.
pub(crate) fn waits_for_a_lock(database: &str) -> bool {
    use diesel::{Connection as _, RunQueryDsl as _};
    let mut conn = PgConnection::establish(database).unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
               AND datname = current_database()";
    let waiting = diesel::dsl::sql::<BigInt>(sql).get_result::<i64>(&mut conn);
    waiting.unwrap() > 0
}
