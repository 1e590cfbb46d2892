//! What all experiments share: the program, a directory, a PostgreSQL of their own, chance.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};

use super::cluster::{Cluster, Durability, StartError, Stop};
use super::dice::Dice;
use super::installation::Storage;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// About two minutes in all.
    Short,
    /// Half an hour.
    Long,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) pass: Pass,
    /// Pushes a second in an outage, if it was said.
    pub(crate) rate: Option<u64>,
    /// How long an outage lasts, seconds, if it was said.
    pub(crate) outage: Option<u64>,
    /// How long the run of everything at once lasts, seconds, if it was said.
    pub(crate) length: Option<u64>,
}

impl Scale {
    /// One number for each pass.
    pub(crate) fn pick<T>(&self, short: T, long: T) -> T {
        match self.pass {
            Pass::Short => short,
            Pass::Long => long,
        }
    }
}

pub(crate) struct Context {
    pub(crate) program: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) scale: Scale,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    cluster: Option<Cluster>,
}

fn told(error: StartError) -> anyhow::Error {
    match error {
        StartError::NotInstalled => anyhow!("no PostgreSQL: install the server's programs"),
        StartError::Failed(why) => anyhow!("PostgreSQL: {why}"),
    }
}

impl Context {
    pub(crate) fn new(program: PathBuf, directory: PathBuf, scale: Scale, seed: u64) -> Self {
        Self {
            program,
            directory,
            scale,
            seed,
            dice: Dice::of(seed),
            cluster: None,
        }
    }

    /// Begins the next experiment, whose chance does not depend on those before it.
    pub(crate) fn begin(&mut self, name: &str) {
        let words = name.bytes().fold(self.seed, |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        self.dice = Dice::of(words);
    }

    /// The PostgreSQL, started when it is first asked for. Its commits are durable: what it acknowledged must
    /// survive its own crash.
    pub(crate) fn cluster(&mut self) -> Result<&mut Cluster> {
        if self.cluster.is_none() {
            let cluster = tokio::task::block_in_place(|| Cluster::start(Durability::Durable));
            self.cluster = Some(cluster.map_err(told)?);
        }
        self.cluster.as_mut().context("no cluster")
    }

    /// Where an installation of that name has its tables.
    pub(crate) fn storage(&mut self, is_postgres: bool, name: &str) -> Result<Storage> {
        if !is_postgres {
            return Ok(Storage::Sqlite);
        }
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        self.sql(&format!("CREATE DATABASE {name}"))?;
        Ok(Storage::Postgres { name })
    }

    /// Tells the server of the cluster to do something.
    pub(crate) fn sql(&mut self, sql: &str) -> Result<()> {
        let url = self.cluster()?.url("postgres");
        tokio::task::block_in_place(|| {
            let mut connection = PgConnection::establish(&url)?;
            Ok(connection.batch_execute(sql)?)
        })
    }

    /// What PostgreSQL has written into its log.
    pub(crate) fn log(&mut self) -> Result<String> {
        let file = self.cluster()?.directory().join("log");
        let log = std::fs::read(&file).with_context(|| file.display().to_string())?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Stops PostgreSQL.
    pub(crate) fn stop_postgres(&mut self, how: Stop) -> Result<()> {
        let cluster = self.cluster()?;
        tokio::task::block_in_place(|| cluster.stop(how)).map_err(told)
    }

    /// Starts it again.
    pub(crate) fn start_postgres(&mut self) -> Result<()> {
        let cluster = self.cluster()?;
        tokio::task::block_in_place(|| cluster.start_again()).map_err(told)
    }

    /// After an experiment that failed: a server that is not there is started for the next one.
    pub(crate) fn recover(&mut self) {
        let url = self.cluster.as_ref().map(|cluster| cluster.url("postgres"));
        if url.is_some_and(|url| PgConnection::establish(&url).is_err())
            && self.start_postgres().is_err()
        {
            self.cluster = None;
        }
    }
}
