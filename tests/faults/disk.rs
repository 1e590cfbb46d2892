//! The disk under the database fills up under pushes, stays full for a while, and has room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::context::Context;
use super::installation::{Installation, Storage};
use super::leftovers;
use super::process::{self, Process};
use super::reconcile;
use super::report::Findings;
use super::wechat::WeChat;

const MIB: u32 = 160;
const RATE: u64 = 60;
const SETTLES: Duration = Duration::from_secs(60);
const SPACE: &str = "faults_small";

/// A small file system in memory.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf, owner: Option<(u32, u32)>) -> Result<Self> {
        fs::create_dir_all(&path)?;
        let size = format!("size={MIB}m");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output()?;
        ensure!(
            done.status.success(),
            "mount: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        leftovers::mounted(&path);
        let small = Self(path);
        if let Some((user, group)) = owner {
            chown(&small.0, Some(user), Some(group))?;
        }
        fs::set_permissions(&small.0, fs::Permissions::from_mode(0o700))?;
        Ok(small)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all that is left.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        leftovers::unmounted(&self.0);
    }
}

/// What the server said while the disk was full.
#[derive(Default)]
struct Said {
    looks: u64,
    /// `/readyz` was 200.
    ready: u64,
    /// A change was neither made nor refused with 503 and a code.
    odd: Vec<String>,
    refused: u64,
}

/// Fills the disk of the database: with SQLite the data directory, so that the spool has no room either; with
/// PostgreSQL the tablespace.
pub(crate) async fn full(
    context: &mut Context,
    name: &'static str,
    is_postgres: bool,
) -> Result<Findings> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Findings::skipped("mounting a small file system needs root"));
    }
    let path = context.directory.join(format!("{name}-small"));
    let owner = match is_postgres {
        true => Some(
            fs::metadata(context.cluster()?.directory()).map(|meta| (meta.uid(), meta.gid()))?,
        ),
        false => None,
    };
    let small = match Small::mount(path.clone(), owner) {
        Ok(small) => small,
        Err(error) => {
            return Ok(Findings::skipped(format!(
                "a small file system cannot be mounted ({error})"
            )));
        }
    };
    let (storage, data) = match is_postgres {
        true => (
            on_tablespace(context, name, &path)?,
            context.directory.join(name).join("data"),
        ),
        false => (Storage::Sqlite, path.join("data")),
    };
    let findings = experiment(context, name, storage, data, &small).await;
    if is_postgres {
        let database = name.replace('-', "_");
        context.sql(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"))?;
        context.sql(&format!("DROP TABLESPACE {SPACE}"))?;
    }
    findings
}

fn on_tablespace(context: &mut Context, name: &str, path: &Path) -> Result<Storage> {
    let name = name.replace('-', "_");
    context.sql(&format!(
        "CREATE TABLESPACE {SPACE} LOCATION '{}'",
        path.display()
    ))?;
    context.sql(&format!("CREATE DATABASE {name} TABLESPACE {SPACE}"))?;
    Ok(Storage::Postgres { name })
}

async fn experiment(
    context: &mut Context,
    name: &str,
    storage: Storage,
    data: PathBuf,
    small: &Small,
) -> Result<Findings> {
    let directory = context.directory.join(name);
    fs::create_dir_all(&directory)?;
    let place = (directory, data);
    let installation = Installation::in_directories(context, place, storage, &[], false)?;
    let mut server = installation.server(context, "one")?;
    server.up("/readyz").await?;
    let wechat = WeChat::new(vec![server.port], context.seed, 300, 1000);
    let mut load = JoinSet::new();
    load.spawn(wechat.clone().at_rate(RATE));
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::task::block_in_place(|| small.fill())?;
    // The last pages that were there already are written first.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let filled = Instant::now();
    let lasts = Duration::from_secs(context.scale.pick(4, 20));
    let mut said = Said::default();
    while filled.elapsed() < lasts {
        look(&installation, &server, &mut said).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let full = filled.elapsed();
    small.free()?;
    let freed = Instant::now();
    server.answers("/readyz").await?;
    let mut findings = Findings::default();
    findings.seconds("full for", full);
    findings.seconds("ready again after", freed.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    wechat.stop();
    while load.join_next().await.is_some() {}
    installation
        .until_none("events WHERE state = 0", SETTLES)
        .await?;
    reconcile::events(&installation, &wechat, &mut findings)?;
    findings.count("given up by WeChat", reconcile::lost(&wechat));
    findings.count("changes refused with 503", said.refused);
    findings.zero(
        "changes neither made nor refused with 503",
        said.odd.len() as u64,
    );
    findings.zero("/readyz 200 while nothing could be stored", said.ready);
    findings.detail(format!("{} looks; {}", said.looks, said.odd.join("; ")));
    findings.detail(server.tail());
    Ok(findings)
}

/// Asks whether it is ready, and for a change.
async fn look(installation: &Installation, server: &Process, said: &mut Said) -> Result<()> {
    said.looks += 1;
    let staff = format!("/staff/full{}", said.looks);
    let (status, answer) = installation
        .api(server.port, Method::PUT, &staff, Some(json!({})))
        .await?;
    let code = answer.get("code").and_then(Value::as_str);
    let is_refused = match (status, code) {
        (200..=299, _) => false,
        (503, Some(_)) => true,
        _ => {
            said.odd.push(format!("{status} {answer}"));
            false
        }
    };
    said.refused += u64::from(is_refused);
    let url = format!("http://127.0.0.1:{}/readyz", server.port);
    let ready = process::client(Duration::from_secs(8))?
        .get(url)
        .send()
        .await?;
    // A change may find a place where there is one left: then the database is ready for some.
    said.ready += u64::from(is_refused && ready.status() == 200);
    Ok(())
}
