//! What the benchmarks share: child processes that die with the benchmark, and the project's own
//! program as an operator would start it.

#![allow(dead_code, reason = "each benchmark uses its part")]

#[path = "../../tests/it/support/cluster.rs"]
pub(crate) mod cluster;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use queqiao::db::{DatabaseUrl, Db};

pub(crate) const APP_ID: &str = "wx00000000000000a1";
pub(crate) const MINI_APP_ID: &str = "wx00000000000000b2";
pub(crate) const TOKEN: &str = "benchtoken7";
pub(crate) const AES_KEY: &str = "Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH";
pub(crate) const SECRET: &str = "benchsecret";

/// A child process that is ended with its owner.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
}

impl Running {
    /// Starts a command that prints `listening on http://ADDRESS` when it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("its output is ours");
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let line = lines
                .next()
                .expect("it says where it listens")
                .expect("it prints text");
            if let Some((_, address)) = line.split_once("listening on http://") {
                break address.trim_end_matches('/').to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Resident memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.status_mib("VmRSS:")
    }

    /// Resident memory at its highest, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.status_mib("VmHWM:")
    }

    /// Processor time used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.proc_file("stat");
        // After the name in parentheses: the 12th and the 13th, in hundredths of a second.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    fn proc_file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }

    fn status_mib(&self, field: &str) -> f64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .and_then(|kib| kib.parse().ok())
            .unwrap_or_default();
        kib / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that is removed with its owner.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        // Not /tmp, which may be memory: commits are to reach a disk.
        let path = Path::new("/var/tmp").join(format!("queqiao-bench-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One installation: a database and a data directory.
pub(crate) struct Installation {
    pub(crate) scratch: Scratch,
    pub(crate) database_url: String,
    pub(crate) wechat: String,
}

impl Installation {
    pub(crate) fn new(database_url: Option<String>, wechat: &str) -> Self {
        let scratch = Scratch::new();
        let database_url =
            database_url.unwrap_or_else(|| format!("sqlite://{}/queqiao.db", scratch.0.display()));
        let installation = Self {
            scratch,
            database_url,
            wechat: wechat.to_owned(),
        };
        installation.run(&["projects", "add", "bench"]);
        for (app_id, kind) in [(APP_ID, "official_account"), (MINI_APP_ID, "mini_program")] {
            installation.run(&[
                "accounts",
                "add",
                app_id,
                "--kind",
                kind,
                "--mode",
                "compatible",
                "--token",
                TOKEN,
                "--aes-key",
                AES_KEY,
                "--secret",
                SECRET,
            ]);
        }
        installation
    }

    /// The program with this installation's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_queqiao"));
        command
            .args(arguments)
            .env("DATABASE_URL", &self.database_url)
            .env("QUEQIAO_DATA_DIR", &self.scratch.0)
            .env("QUEQIAO_WECHAT__BASE_URL", &self.wechat)
            .env("QUEQIAO_BUDGETS__TEMPLATE_SEND__PER_DAY", "0")
            .env("RUST_LOG", "warn");
        command
    }

    /// Runs a command to its end and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "queqiao {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn serve(&self, role: &str) -> Running {
        Running::start(self.command(&["serve", "--role", role, "--bind", "127.0.0.1:0"]))
    }

    pub(crate) fn db(&self) -> Db {
        let url = DatabaseUrl::parse(&self.database_url).expect("a database URL");
        Db::open(&url, 2).expect("the database answers")
    }
}

/// Waits until `done`, looking again every few milliseconds; panics after `patience`.
pub(crate) fn wait_until(patience: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < patience,
            "{what} took longer than {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A simulated WeChat in which so many people follow the service account.
pub(crate) fn simulator(people: u32, more: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queqiao"));
    command.args(["simulate", "--bind", "127.0.0.1:0"]);
    command.args(["--service", APP_ID, "--mini-program", MINI_APP_ID]);
    command.args(["--secret", SECRET, "--token", TOKEN, "--aes-key", AES_KEY]);
    let people = people.to_string();
    command.args(["--people", &people, "--followers", &people]);
    command.args(more);
    Running::start(command)
}

/// Leaves the cluster with WAL files to use again, as a server has that has run for a while:
/// commits wait whenever a new one is made.
pub(crate) fn recycle_wal(cluster: &cluster::Cluster) {
    const FILES: usize = 100;
    let mut conn = PgConnection::establish(&cluster.url("postgres")).expect("PostgreSQL");
    let mut run = |text: &str| {
        diesel::sql_query(text)
            .execute(&mut conn)
            .expect("PostgreSQL answers");
    };
    for _ in 0..FILES {
        run("SELECT pg_logical_emit_message(true, 'queqiao', '')");
        run("SELECT pg_switch_wal()");
    }
    run("CHECKPOINT");
}

/// A fresh database on the cluster.
pub(crate) fn database(cluster: &cluster::Cluster, name: &str) -> String {
    let mut conn = PgConnection::establish(&cluster.url("postgres")).expect("PostgreSQL");
    diesel::sql_query(format!("CREATE DATABASE {name}"))
        .execute(&mut conn)
        .expect("a database");
    cluster.url(name)
}
