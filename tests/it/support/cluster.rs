//! A private PostgreSQL cluster, thrown away with the process that started it.
//!
//! It needs only the server's own programs. It listens on a Unix socket in a fresh directory, so
//! that it can meet no other cluster. Tests and benches both include this file.
#![allow(
    dead_code,
    reason = "the tests and the benches each use a part of this file"
)]

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use diesel::{Connection, PgConnection};
use rustix::process::{Pid, Signal, kill_process};

/// How long a slow machine may take for `initdb` and the first answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Holds the server for as long as its standard input is open: the end of the process that has
/// the other end, even by a kill, is the end of the cluster. Each line starts the server once more.
/// A server that has just been started still ignores the signal, so it is repeated until there is no
/// server.
const KEEPER: &str = r#"
initdb=$1 postgres=$2 dir=$3; shift 3
"$initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync \
    </dev/null >"$dir/log" 2>&1 || exit 1
serve() { "$postgres" -D "$dir/data" -k "$dir" "$@" </dev/null >>"$dir/log" 2>&1 & }
serve "$@"
while read -r _; do wait $!; serve "$@"; done
while kill -QUIT $! 2>/dev/null; do sleep 0.1; done
cd / && rm -rf "$dir"
"#;

const EITHER: &[&str] = &[
    "listen_addresses=",
    "port=5432",
    "max_connections=300",
    "log_checkpoints=off",
];
const FAST: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=32MB",
];
const DURABLE: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "min_wal_size=2GB",
];

/// Whether a commit has to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No: for tests.
    ThrowAway,
    /// Yes, as PostgreSQL does by default: for measurements.
    Durable,
}

/// Why there is no cluster.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The machine has no PostgreSQL server programs.
    NotInstalled,
    /// It has, and they did not work. The text has the server's log.
    Failed(String),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It ends its sessions and writes what it has.
    Fast,
    /// It ends at once, and recovers when it is started.
    Immediate,
    /// The kernel ends its first process; the others notice.
    Kill,
}

/// A running cluster; its end is the cluster's end.
pub(crate) struct Cluster {
    keeper: Child,
    directory: PathBuf,
}

impl Cluster {
    /// Makes a cluster and waits until it answers.
    ///
    /// # Errors
    /// If there is no server on this machine, or it does not come up in time.
    pub(crate) fn start(durability: Durability) -> Result<Self, StartError> {
        let programs = programs().ok_or(StartError::NotInstalled)?;
        let directory = fresh_directory(durability)?;
        let settings = match durability {
            Durability::ThrowAway => FAST,
            Durability::Durable => DURABLE,
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "keeper"]);
        command.args([programs.join("initdb"), programs.join("postgres")]);
        command.arg(&directory);
        for setting in EITHER.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // A group of its own: Ctrl-C in the terminal must not stop the keeper before it cleans up.
        command.current_dir(&directory).process_group(0);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        give_to_unprivileged_user(&mut command, &directory)?;
        let mut cluster = Self {
            keeper: command.spawn()?,
            directory,
        };
        cluster.wait_until_it_answers()?;
        Ok(cluster)
    }

    /// The URL of one of its databases; `postgres` is always there.
    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.directory.display();
        format!("postgres:///{database}?host={socket}&port=5432&user=postgres")
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops the server, and waits until its first process is gone.
    ///
    /// # Errors
    /// If it does not go.
    pub(crate) fn stop(&self, how: Stop) -> Result<(), StartError> {
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
            Stop::Kill => Signal::KILL,
        };
        let pid = self.pid()?;
        kill_process(pid, signal).map_err(io::Error::from)?;
        let started = Instant::now();
        while is_there(pid) {
            if started.elapsed() > DEADLINE {
                return Err(StartError::Failed(format!("{how:?} does not stop it")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts the server that was stopped, and waits until it answers. What a killed one has left may
    /// hold up the next one for a moment: then again.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub(crate) fn start_again(&mut self) -> Result<(), StartError> {
        let started = Instant::now();
        loop {
            self.keeper
                .stdin
                .as_mut()
                .ok_or_else(|| StartError::Failed("nobody keeps it".to_owned()))?
                .write_all(b"\n")?;
            let again = Instant::now();
            while again.elapsed() < Duration::from_millis(500) {
                if PgConnection::establish(&self.url("postgres")).is_ok() {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(20));
            }
            if self.pid().is_ok_and(is_there) {
                return self.wait_until_it_answers();
            }
            if started.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(StartError::Failed(log));
            }
        }
    }

    /// Its first process.
    fn pid(&self) -> Result<Pid, StartError> {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid"))?;
        let number = file
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        number
            .and_then(Pid::from_raw)
            .ok_or_else(|| StartError::Failed("it names no process".to_owned()))
    }

    fn wait_until_it_answers(&mut self) -> Result<(), StartError> {
        let url = self.url("postgres");
        let started = Instant::now();
        loop {
            let Err(refusal) = PgConnection::establish(&url) else {
                return Ok(());
            };
            if self.keeper.try_wait()?.is_some() || started.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(StartError::Failed(format!("{refusal}\n{log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper removes the directory, unless `initdb` failed.
        let _ = self.keeper.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether a process has not ended yet. One that has and that nobody has asked after is a zombie.
fn is_there(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

/// The directory of `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        places.push(String::from_utf8_lossy(&answer.stdout).trim().into());
    }
    let mut versions: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    for version in versions.iter().rev() {
        places.push(format!("/usr/lib/postgresql/{version}/bin").into());
    }
    places.into_iter().find(|place| {
        place.is_absolute() && place.join("initdb").is_file() && place.join("postgres").is_file()
    })
}

/// A new directory that only its owner may enter. Its path is short, because that of a Unix socket
/// has to be. What is to be durable goes where a reboot does not clear it: `/tmp` may be memory.
fn fresh_directory(durability: Durability) -> io::Result<PathBuf> {
    let parent = match durability {
        Durability::ThrowAway => Path::new("/tmp"),
        Durability::Durable => Path::new("/var/tmp"),
    };
    let process = std::process::id();
    let mut number = 0;
    loop {
        let directory = parent.join(format!("queqiao-pg-{process}-{number}"));
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`.
fn give_to_unprivileged_user(command: &mut Command, directory: &Path) -> Result<(), StartError> {
    if fs::metadata(directory)?.uid() != 0 {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let (user, group) = ["postgres", "nobody"]
        .iter()
        .find_map(|name| ids_of(&users, name))
        .ok_or_else(|| {
            StartError::Failed("running as root, and no user 'postgres' or 'nobody'".to_owned())
        })?;
    chown(directory, Some(user), Some(group))?;
    command.uid(user).gid(group);
    Ok(())
}

/// The user and group id of a name in the text of `/etc/passwd`.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        Some((user, fields.next()?.parse().ok()?))
    })
}
