//! The programs under test as child processes: started, stopped, continued, killed, each by its own number.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::dice::Dice;
use super::leftovers;

/// How long a slow machine may take to start anything.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines of a log that a failure shows.
const TAIL: usize = 12;

/// A program with its log, which may be started many times.
pub(crate) struct Process {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    program: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Process {
    /// A program that listens on `port`; not started yet.
    pub(crate) fn new(
        program: &Path,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        log: PathBuf,
        port: u16,
    ) -> Self {
        Self {
            arguments,
            environment,
            program: program.to_owned(),
            log,
            child: None,
            port,
        }
    }

    /// Listens on another port from its next start on: the one that others were told.
    pub(crate) fn listen_on(&mut self, port: u16) {
        let (old, new) = (self.port.to_string(), port.to_string());
        for argument in &mut self.arguments {
            if argument.ends_with(&format!(":{old}")) {
                *argument = argument.replace(&old, &new);
            }
        }
        self.port = port;
    }

    /// Starts it, and does not wait for it.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.kill();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = Command::new(&self.program);
        clean(&mut command);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().context("starting the program")?;
        leftovers::started(child.id());
        self.child = Some(child);
        Ok(())
    }

    /// Starts it, and waits until `path` is answered 200.
    pub(crate) async fn up(&mut self, path: &str) -> Result<()> {
        self.start()?;
        self.answers(path).await
    }

    /// Waits until `path` is answered 200.
    pub(crate) async fn answers(&mut self, path: &str) -> Result<()> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let http = client(Duration::from_secs(2))?;
        let started = Instant::now();
        loop {
            if let Ok(answer) = http.get(&url).send().await
                && answer.status() == 200
            {
                return Ok(());
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("it ended ({status}):\n{}", self.tail());
            }
            if started.elapsed() > DEADLINE {
                bail!("{path} is not answered 200:\n{}", self.tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            leftovers::ended(child.id());
        }
    }

    /// Stops it where it stands.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it is not started")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process")?, signal)?)
    }

    /// The last lines of its log that tell of trouble, else the last ones.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let troubled = |line: &&str| line.contains("ERROR") || line.contains("panicked");
        let mut lines: Vec<&str> = text.lines().filter(troubled).collect();
        if lines.is_empty() {
            lines = text.lines().collect();
        }
        let from = lines.len().saturating_sub(TAIL);
        lines.split_off(from).join("\n")
    }

    /// Memory that it has at this moment, MiB; 0 if it does not run.
    pub(crate) fn memory(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or_default() / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Takes the settings of whoever runs this out of a command's environment.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("QUEQIAO_")
            || text.starts_with("DATABASE_URL")
            || text.starts_with("RUST_LOG")
        {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").env("NO_PROXY", "*");
}

/// A client of this machine alone.
pub(crate) fn client(timeout: Duration) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().timeout(timeout);
    Ok(builder.build()?)
}

/// A port on which nobody listens and that the kernel gives to nobody as their own end of a connection, so that
/// a program which was killed finds it free again.
pub(crate) fn free_port(dice: &mut Dice) -> Result<u16> {
    for _ in 0..1000 {
        let port = u16::try_from(10_000 + dice.below(22_000))?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}
