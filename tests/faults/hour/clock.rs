//! The replicas' clock, which is set forward and back while they run. That takes libfaketime, preloaded; without it
//! the clock stays right.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dice::Dice;

/// How far it is set, seconds: WeChat's report of a send is known as that of ours if the clocks differ by less than
/// a minute.
const FURTHEST: u64 = 45;
const MISSING: &str = "libfaketime is not installed";

pub(crate) struct Clocks {
    library: Option<PathBuf>,
    file: PathBuf,
}

impl Clocks {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let clocks = Self {
            library: library(),
            file: directory.join("clock"),
        };
        clocks.right()?;
        Ok(clocks)
    }

    /// What the programs need in their environment.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let Some(library) = &self.library else {
            return Vec::new();
        };
        vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Why it cannot be set, if it cannot.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.library.is_none().then_some(MISSING)
    }

    /// Sets it to another time; whether it could.
    pub(crate) fn step(&self, dice: &mut Dice) -> Result<bool> {
        let (seconds, back) = (dice.below(FURTHEST), dice.percent(50));
        let sign = if back { '-' } else { '+' };
        fs::write(&self.file, format!("{sign}{seconds}s\n"))?;
        Ok(self.library.is_some())
    }

    /// Sets it right.
    pub(crate) fn right(&self) -> Result<()> {
        Ok(fs::write(&self.file, "+0s\n")?)
    }
}

/// Where Debian, Fedora and others have it.
fn library() -> Option<PathBuf> {
    let places = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let mut directories: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
    directories.extend(
        fs::read_dir("/usr/lib")
            .ok()?
            .flatten()
            .map(|entry| entry.path()),
    );
    let mut files = directories
        .iter()
        .map(|directory| directory.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.is_file())
}
