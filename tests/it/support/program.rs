//! The real program: run to its end, or served until a signal. It is another process, so what it
//! does is waited for by looking again, never longer than [`DEADLINE`].

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use queqiao::db::Engine;

use super::TestDb;

/// How long a slow machine may take for anything.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where the program runs: a database and a data directory of its own.
pub(crate) struct Program {
    pub(crate) database: TestDb,
    pub(crate) directory: PathBuf,
    /// Where it finds WeChat.
    pub(crate) wechat: String,
    /// Other settings, as variables.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// How many descriptors it may have: at first, and if it asks for more.
    pub(crate) descriptors: Option<(u32, u32)>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it printed, if it did what it was asked.
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "{self:?}");
        self.out
    }
}

impl Program {
    pub(crate) fn new(engine: Engine) -> Self {
        let directory = format!("queqiao-cli-{:x}", rand::random::<u64>());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir(&directory).unwrap();
        Self {
            database: TestDb::new(engine),
            directory,
            wechat: "http://127.0.0.1:9/".to_owned(),
            settings: Vec::new(),
            descriptors: None,
        }
    }

    /// The program, ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_queqiao");
        let mut command = match self.descriptors {
            None => Command::new(program),
            Some((soft, hard)) => {
                let limit = format!("ulimit -S -n {soft} && ulimit -H -n {hard}");
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\""), program]);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUEQIAO_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env("DATABASE_URL", self.database.text())
            .env("QUEQIAO_WECHAT__BASE_URL", &self.wechat)
            .env("QUEQIAO_SERVER__WORKERS", "1")
            .env("RUST_LOG", "warn,queqiao=trace")
            .env("NO_PROXY", "*")
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let done = self.command(arguments).output().unwrap();
        Said {
            status: done.status,
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// Starts a command that serves, and waits until it listens, on a free port.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        if !arguments.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (found, url) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let out = thread::spawn(move || {
            let mut text = String::new();
            for line in out.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let url = url.trim_end_matches('/').to_owned();
                    let _ = found.send((url, text.clone()));
                }
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        let mut err = child.stderr.take().unwrap();
        let err = thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let listens = url.recv_timeout(DEADLINE);
        let (url, before) = listens.expect("it listens in time");
        let readers = Some([out, err]);
        Running {
            child,
            url,
            before,
            readers,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A process that serves; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Scheme, host and port.
    pub(crate) url: String,
    /// What it said before.
    before: String,
    readers: Option<[JoinHandle<String>; 2]>,
}

impl Running {
    /// Where else it listens, and for what: `the API`, `/metrics`, `the API and /metrics`.
    pub(crate) fn url_for(&self, what: &str) -> Option<&str> {
        let said = format!("listening for {what} on ");
        self.before
            .lines()
            .find_map(|line| line.strip_prefix(&said))
    }

    /// Asks it to stop, as a service manager does.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let done = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(done.success());
    }

    /// Forgets how much memory it had at its highest, and says how much it has, in KiB.
    pub(crate) fn forget_peak(&self) -> u64 {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
        self.status("VmRSS:")
    }

    /// Memory at its highest since then, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.trim().strip_suffix("kB"));
        value.unwrap().trim().parse().unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself; what it said.
    pub(crate) fn ended(mut self) -> Said {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < DEADLINE, "it does not end");
            thread::sleep(LOOK_AGAIN);
        };
        let [out, err] = self.readers.take().unwrap();
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        Said { status, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What another process will have brought about some time: looked at again and again until then.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "{what} does not come");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
